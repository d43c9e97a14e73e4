"""The documentation is true: its code runs, its commands and options exist, its links lead somewhere.

A page's fenced Python and shell blocks are run in order, in one namespace and a folder that is empty (explorer.md: that
holds a fitted model).
What can't run says why in the line before it: ``<!-- not run: REASON -->``; a page that another file runs says
``<!-- run by: tests/FILE -->``. Lines of output that a page shows must appear, figures apart, in what its blocks print
or write (``<!-- not checked: REASON -->``). Indented commands are checked against the command line, not run.
"""

import importlib
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import numpy as np
import pytest
from click.testing import CliRunner

import cosup
from cosup.cli import main

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {path.name: path.read_text(encoding="utf-8") for path in [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]}
FENCE = re.compile(r"^(?:<!-- (not run|not checked): (.+?) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUN_BY = re.compile(r"^<!-- run by: (\S+) -->$", re.MULTILINE)
RUNNABLE = ("python", "bash", "sh", "shell", "console")


def blocks(text):
    """Reason for not running or checking (or None), language and code of every fenced block."""
    return [(reason or None, language, code) for _, reason, language, code in FENCE.findall(text)]


def commands(code):
    """Commands of a shell block, comments and continuations apart."""
    lines = code.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def script(name):
    """A script of docs/, as a module."""
    spec = importlib.util.spec_from_file_location(f"docs_{name}", ROOT / "docs" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- code -----------------------------------------------------------------------------------------------------------


def fit_a_model(folder):
    """What `cosup fit` leaves, for pages that look at it."""
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 20)
    X = rng.normal(size=(40, 3)) + 3 * truth[:, None]
    names = np.array(["login", "refund"])
    noisy = np.where(rng.random(40) < 0.25, 1 - truth, truth)
    np.savez(folder / "features.npz", X=X, ids=[f"ticket-{i:05}" for i in range(40)])
    rows = [f"ticket-{i:05},{names[noisy[i]]},{names[truth[i]] if i % 3 else ''}" for i in range(40)]
    (folder / "labels.csv").write_text("\n".join(["id,old model,rules", *rows]) + "\n")
    cosup_runs(["fit", "--features", "features.npz", "--labels", "labels.csv", "--levels", "0,1", "--out", "model"])


def cosup_runs(arguments):
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, f"cosup {shlex.join(arguments)}\n{result.output}"
    return result.output


def ran_here(name):
    return any(language in RUNNABLE for _, language, _ in blocks(TEXTS[name])) and not RUN_BY.search(TEXTS[name])


@pytest.mark.parametrize("name", [path.name for path in PAGES if ran_here(path.name)])
def test_code_blocks_run(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if name == "explorer.md":
        fit_a_model(tmp_path)
    names = {"__name__": "page"}
    printed = ""
    for reason, language, code in blocks(TEXTS[name]):
        if reason:
            continue
        if language == "python":
            exec(compile(code, name, "exec"), names)
        elif language in RUNNABLE:
            for words in commands(code):
                assert words[0] == "cosup", (
                    f"{words} can't be run here; put '<!-- not run: REASON -->' before the block"
                )
                printed += cosup_runs(words[1:])
        elif language == "text":
            printed += capsys.readouterr().out
            written = "".join(path.read_text() for path in sorted(tmp_path.glob("*.csv")))
            seen = plain(printed + written)
            missing = [line for line in code.splitlines() if plain(line).strip() not in seen]
            assert not missing, f"{name} shows what is not printed any more: {missing}"


def plain(text):
    """Text without figures and widths: what may differ between machines and versions."""
    return re.sub(r"[ \t]+", " ", re.sub(r"\d[\d.,]*", "#", text))


def test_what_is_not_run_says_why_or_where():
    for name, text in TEXTS.items():
        for reason, language, _ in blocks(text):
            assert reason is None or len(reason.split()) >= 3, (name, language, reason)
        for file in RUN_BY.findall(text):
            assert name in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not mention {name}"


# --- commands -------------------------------------------------------------------------------------------------------


def options_of(command):
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help", "-h"
    }  # fmt: skip


COMMANDS = {name: main.get_command(None, name) for name in main.commands_at}
OPTIONS = set().union(*(options_of(command) for command in COMMANDS.values())) | {"--version"}


def mentioned(text):
    """Every `cosup ...` of a page: in fences, indented and between backquotes."""
    fenced = "\n".join(code for _, language, code in blocks(text) if language in RUNNABLE[1:])
    rest = FENCE.sub("", text)
    indented = "\n".join(re.findall(r"^ {4,}(cosup .*)$", rest, re.MULTILINE))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    lines = [*fenced.replace("\\\n", " ").splitlines(), *indented.splitlines(), *spans]
    return [shlex.split(line, comments=True) for line in lines if re.match(r"cosup [a-z]", line)]


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "cli.md"])
def test_commands_and_options_exist(name):
    for words in mentioned(TEXTS[name]):
        command = COMMANDS.get(words[1])
        assert command is not None, f"{name}: no command {words[1]!r} in {shlex.join(words)}"
        unknown = {w.split("=")[0] for w in words[2:] if w.startswith("--")} - options_of(command)
        assert not unknown, f"{name}: {unknown} in {shlex.join(words)}"


def test_options_named_alone_exist():
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    for name, text in TEXTS.items():
        for option in re.findall(r"`(--[a-z-]+)", FENCE.sub("", text)):
            assert option in OPTIONS or f'"{option}"' in scripts, f"{name}: {option}"


def test_the_page_of_commands_is_their_help():
    page = " ".join((ROOT / "docs" / "cli.md").read_text(encoding="utf-8").split())
    assert page == " ".join(script("commands").page().split()), "run: python docs/commands.py"


def test_every_command_has_help_with_an_example_or_no_options():
    for name, command in COMMANDS.items():
        required = [p for p in command.params if p.required or isinstance(p, click.Argument)]
        assert not required or f"cosup {name}" in (command.help or ""), f"{name}: an example, please"


# --- Python, figures ------------------------------------------------------------------------------------------------


def test_the_pages_of_python_hold_every_public_name():
    pages = TEXTS["api.md"] + TEXTS["api-research.md"]
    shown = {name: importlib.import_module(name) for name in re.findall(r"^::: (\S+)$", pages, re.MULTILINE)}
    listed = {name for module in shown.values() for name in module.__all__} | {"CosupError"}
    assert set(cosup.__all__) <= listed
    for name, page in re.findall(r"\((api-research\.md|)#(cosup\.[\w.]+)\)", TEXTS["api.md"]):
        module, _, attribute = page.rpartition(".")
        assert attribute in shown[module].__all__, page
        assert f"::: {module}\n" in TEXTS[name or "api.md"] + "\n", page


def test_the_figure_and_its_table_are_what_the_code_does_today():
    figures = script("figures")
    drawn = json.loads(figures.DRAWN.read_text(encoding="utf-8"))
    assert figures.table(drawn) in TEXTS["how-it-works.md"], "run: python docs/figures.py"
    now = figures.measure()
    for old, new in zip(drawn["levels"], now["levels"], strict=True):
        np.testing.assert_allclose(new["student"], old["student"], atol=0.03, err_msg="run: python docs/figures.py")
        np.testing.assert_allclose(new["believed"], old["believed"], atol=0.15, err_msg="run: python docs/figures.py")


def test_the_figure_can_be_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    figures = script("figures")
    figures.draw(json.loads(figures.DRAWN.read_text(encoding="utf-8")), tmp_path / "levels.svg")
    svg = (tmp_path / "levels.svg").read_text(encoding="utf-8")
    assert "prefers-color-scheme:dark" in svg
    assert figures.INK not in svg


# --- links and the site ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_relative_links_of_the_front_pages_lead_to_files(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", TEXTS[name])):
        if not urlsplit(target).scheme and not target.startswith("#"):
            assert (ROOT / target.split("#")[0]).exists(), f"{name}: {target}"


class Page(HTMLParser):
    """Ids, links, and what a built page loads."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids.update(value for name, value in attributes if name in ("id", "name"))
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if found.get("src"):
            self.loads.append(found["src"])
        if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.loads.append(found["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return {path.relative_to(folder).as_posix(): Page(path) for path in folder.rglob("*.html")}


def test_links_and_anchors_of_the_site_exist(site):
    broken = []
    for name, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or name == "404.html":
                continue
            target = unquote(parts.path) or name
            other = site.get(target)
            if other is None or (parts.fragment and unquote(parts.fragment) not in other.ids):
                broken.append(f"{name}: {link}")
    assert not broken


def test_the_site_loads_nothing_from_elsewhere(site):
    assert {path.with_suffix(".html").name for path in PAGES} <= set(site)
    assert not [(name, load) for name, page in site.items() for load in page.loads if urlsplit(load).netloc]
