"""Records -> one self-contained HTML page with tables and figures, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosup._validation import CosupError
from cosup.benchmark import read_records, read_samples, write_whole
from cosup.report import _sections
from cosup.report._figures import require as require_figures
from cosup.report._fit_page import build_fit_page
from cosup.report._markup import Child, Markup, join, page, tag
from cosup.report._summary import Record, TaskSummary, failures, summarise
from cosup.report._text import render_table

__all__ = ["REPORT_NAME", "build_fit_page", "build_report", "render_table", "require_figures"]

REPORT_NAME = "report.html"


def build_report(folder: str | Path) -> Path:
    """Write ``report.html`` into the folder of a benchmark, from its records alone.

    Parameters
    ----------
    folder : path
        Holds ``records.jsonl`` and, where there are pictures, ``samples.json``; see `cosup.benchmark`.

    Returns
    -------
    Path
        The page: one file, without scripts, that fetches nothing.

    Raises
    ------
    CosupError
        When there are no records, they can't be read, or matplotlib isn't installed.
    """
    folder = Path(folder)
    records = read_records(folder)
    if not records:
        raise CosupError(f"{folder} holds no records yet; run 'cosup bench --out {folder}' first")
    require_figures()
    tasks = summarise(records)
    samples = read_samples(folder)
    path = folder / REPORT_NAME
    write_whole(path, _page(records, tasks, samples))
    return path


def _page(records: Sequence[Record], tasks: Sequence[TaskSummary], samples: Sequence[Mapping[str, Any]]) -> str:
    broken = failures(records)
    sections: list[tuple[str, str, Markup | None]] = [
        ("tasks", "The tasks", _tasks(tasks)),
        ("results", "Results", join([_sections.results(task) for task in tasks])),
        ("methods", "Gap recovered, by method", _each(tasks, "methods", _sections.by_method)),
        ("levels", "Gap recovered, by level", _each(tasks, "levels", _sections.by_level)),
        ("assignment", "Who was believed", _each(tasks, "assignment", _sections.assignment)),
        ("rejection", "Precision and recall of rejection", _each(tasks, "rejection", _sections.selection)),
        ("ablations", "What each piece is worth", join([_sections.ablations(task) for task in tasks])),
        ("samples", "Samples kept and rejected", _pictures(tasks, samples)),
        ("classes", "Accuracy by class", join([_sections.classes(task) for task in tasks])),
        ("notes", "What the methods noted", _sections.method_notes(tasks)),
        ("failures", "Failed runs", _sections.failed(broken) if broken else None),
        ("reproduce", "How to reproduce this", _reproduce(records)),
    ]
    present = [(key, title, content) for key, title, content in sections if content]
    title = "Co-supervised learning: how much of the gap is closed"
    return page(
        title,
        tag("h1", title),
        tag("div", [tag("p", _sections.headline(task)) for task in tasks], class_="lead"),
        tag("p", "No run succeeded; see the failed runs below.", class_="warn") if not tasks else None,
        tag(
            "p",
            "A strong student is trained on the annotations of weak teachers alone. The performance gap "
            "recovered (PGR) is (student \N{MINUS SIGN} weak) / (ceiling \N{MINUS SIGN} weak) in accuracy on "
            "test samples. Truth is used to measure, and by the oracle, which is told the right specialist "
            "of every sample and is named as such; nothing else is trained, selected or stopped by it.",
            class_="soft",
        ),
        tag(
            "nav",
            tag("ul", [tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in present]),
            aria_label="Contents",
        ),
        [tag("section", tag("h2", name), content, id=key) for key, name, content in present],
    )


def _each(tasks: Sequence[TaskSummary], key: str, draw: Any) -> Markup | None:
    """Draw one figure a task under its own heading."""
    parts: list[Child] = []
    for place, task in enumerate(tasks):
        drawn = draw(task, f"{key}-{place}")
        if drawn:
            parts.append(tag("h3", _heading(task)) if len(tasks) > 1 else None)
            parts.append(drawn)
    return join(parts) if parts else None


def _heading(task: TaskSummary) -> str:
    return task.title if task.protocol == "clean" else f"{task.title}, protocol “{task.protocol}”"


def _tasks(tasks: Sequence[TaskSummary]) -> Markup | None:
    if not tasks:
        return None
    return tag("ul", [tag("li", tag("strong", _heading(task)), ": ", task.description) for task in tasks])


def _pictures(tasks: Sequence[TaskSummary], samples: Sequence[Mapping[str, Any]]) -> Markup | None:
    parts: list[Child] = []
    for task in {task.title: task for task in tasks}.values():
        chosen = [sample for sample in samples if sample["task"] == task.title]
        if chosen:
            parts += [tag("h3", task.title), _sections.pictures(chosen)]
    if not parts:
        return None
    introduction = (
        "Drawn at random from the training samples of the first seed, by our default method: what the "
        "teacher whom the "
        "last level believed says, what the final student answers, and the truth. “Student gives it” is "
        "the probability "
        "of the teacher's answer, by a student that was not trained on the sample."
    )
    return join(tag("p", introduction), parts)


def _reproduce(records: Sequence[Record]) -> Markup:
    commands = sorted({record["command"] for record in records if record.get("command")})
    machines = sorted({record["machine"] for record in records if record.get("machine")})
    versions = sorted({", ".join(f"{key} {value}" for key, value in record["versions"].items()) for record in records})
    protocols = sorted({record["protocol"] for record in records})
    seeds = sorted({record["seed"] for record in records})
    peak = max((record["peak_memory_mb"] or 0.0 for record in records), default=0.0)
    rows: list[tuple[Child, ...]] = [
        ("Runs", str(len(records))),
        ("Seeds", ", ".join(map(str, seeds))),
        ("Protocol", ", ".join(protocols)),
        ("Versions", "; ".join(versions)),
        ("Machine", "; ".join(machines) or "not recorded"),
        ("Peak memory of a process", f"{peak:.0f} MB"),
    ]
    return join(
        [tag("pre", command) for command in commands],
        tag("p", "Rebuild this page from the records: ", tag("code", "cosup report DIR"), "."),
        tag(
            "table",
            tag("tbody", [tag("tr", tag("th", a, scope="row"), tag("td", b, class_="text")) for a, b in rows]),
        ),
        tag(
            "p",
            "Every run is one line of records.jsonl, with its parameters and with right or wrong for "
            "every test sample; "
            "intervals are hierarchical bootstraps (seeds, then test samples) of the ratio of means, "
            "2,000 resamples.",
        ),
    )
