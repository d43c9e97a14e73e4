"""Records -> one self-contained HTML page with tables and figures, and a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cosup.benchmark import read_records, read_samples
from cosup.report import sections as html_sections
from cosup.report.across import Board, boards, cost, leaderboard, rank_figure, strength_and_gap, sweeps
from cosup.report.drawing import require_figures
from cosup.report.export_tables import export, slug
from cosup.report.factorial import Design, designs, interactions, main_effects
from cosup.report.first_screen import first_screen
from cosup.report.markup import REPORT_NAME, Child, Markup, Panel, join, page, tag
from cosup.report.method_names import key_of_names
from cosup.report.protocol_table import protocols
from cosup.report.published_anchors import anchors
from cosup.report.summary import Record, TaskSummary, failures, summarise
from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError

__all__ = ["build_report"]

MOST_HEADLINES = 6
"""Tasks on the first screen."""

FIRST = ("samples", "results", "ablations", "failures")
"""Sections before the details: statistics, cost, and how to reproduce it all."""


def build_report(folder: str | Path, *, figures: str | Path | None = None) -> Path:
    """Write ``report.html`` into the folder of a benchmark, from its records alone.

    Parameters
    ----------
    folder : path
        Holds ``records.jsonl`` and, where there are pictures, ``samples.json``; see `cosup.benchmark`.
    figures : path, optional
        Folder for what goes into a paper: every figure as SVG, PDF and CSV, and the leaderboards as LaTeX and
        Markdown.

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
    contents = _contents(records, tasks, read_samples(folder))
    path = folder / REPORT_NAME
    write_whole(path, _page(tasks, contents))
    if figures is not None:
        panels = [part for _, _, parts in contents for part in parts if isinstance(part, Panel)]
        export(panels, boards(tasks), Path(figures))
    return path


Contents = list[tuple[str, str, list[Child | Panel]]]


def _contents(
    records: Sequence[Record], tasks: Sequence[TaskSummary], samples: Sequence[Mapping[str, Any]]
) -> Contents:
    """Key, heading and parts of every section that has something to show."""
    broken = failures(records)
    crossed = designs(records)
    tables = boards(tasks)
    several = [board for board in tables if len(board.tasks) > 1]
    sections: Contents = [
        ("samples", "Samples overruled and kept", [_pictures(tasks, samples)]),
        ("results", "Results", [html_sections.results(task) for task in tasks]),
        ("ablations", "Worth of each piece", [html_sections.ablations(task) for task in tasks]),
        ("tasks", "The tasks", [_tasks(tasks)]),
        ("leaderboard", "Leaderboard", [part for board in several for part in _standing(board)]),
        ("anchors", "Figures of papers", [anchors(tasks)]),
        ("protocols", "The published protocol beside the clean one", [protocols(tasks)]),
        ("methods", "Gap recovered, by method", _each(tasks, "methods", html_sections.by_method)),
        ("levels", "Gap recovered, by level", _each(tasks, "levels", html_sections.by_level)),
        ("sweeps", "Gap recovered, over families of tasks", _boards(several, "sweep", sweeps)),
        ("strength", "Gap recovered, by the teacher's strength", _boards(several, "strength", strength_and_gap)),
        ("assignment", "Assignment: who was assigned", _each(tasks, "assignment", html_sections.assignment)),
        ("rejection", "Precision and recall of rejection", _each(tasks, "rejection", html_sections.selection)),
        ("factorial", "Ingredients crossed", [part for design in crossed for part in _design(design)]),
        ("cost", "Cost", _each(tasks, "cost", cost)),
        ("classes", "Accuracy by class", [html_sections.classes(task) for task in tasks]),
        ("teachers", "Accuracy by specialist", [html_sections.teachers(task) for task in tasks]),
        ("notes", "Notes of the methods", [html_sections.method_notes(tasks)]),
        ("failures", "Failed runs", [html_sections.failed(broken) if broken else None]),
        ("reproduce", "Names, commands and versions", [key_of_names(records), _reproduce(records)]),
    ]
    return [(key, title, [part for part in parts if part]) for key, title, parts in sections if any(parts)]


def _page(tasks: Sequence[TaskSummary], contents: Contents) -> str:
    title = "Co-supervised learning: how much of the gap is closed"
    nothing = not tasks and "factorial" not in [key for key, _, _ in contents]
    first = [entry for entry in contents if entry[0] in FIRST]
    rest = [entry for entry in contents if entry[0] not in FIRST]
    return page(
        title,
        tag("h1", title),
        first_screen(tasks[:MOST_HEADLINES]),
        tag("p", f"{len(tasks) - MOST_HEADLINES} more tasks: see Results.") if len(tasks) > MOST_HEADLINES else None,
        tag("p", "No run succeeded; see the failed runs below.", class_="warn") if nothing else None,
        _warning(tasks),
        _contents_list(first),
        [_section(*entry) for entry in first],
        tag("h2", "Details", id="details") if rest else None,
        tag("p", _truth(tasks), class_="soft") if tasks else None,
        _contents_list(rest),
        [_section(*entry) for entry in rest],
    )


def _section(key: str, name: str, parts: Sequence[Child | Panel]) -> Markup:
    return tag("section", tag("h2", name), [_shown(part) for part in parts], id=key)


def _contents_list(contents: Contents) -> Markup | None:
    if not contents:
        return None
    links = [tag("li", tag("a", name, href=f"#{key}")) for key, name, _ in contents]
    return tag("nav", tag("ul", links), aria_label="Contents" if contents[0][0] in FIRST else "Details")


def _truth(tasks: Sequence[TaskSummary]) -> str:
    """Say what truth is used for."""
    clean = all(task.protocol == "clean" for task in tasks)
    return (
        "Truth is used to measure, and by the oracle, which is told the right specialist of every sample and is named "
        "as such; nothing else is trained, selected or stopped by it"
        + ("." if clean else ", but for what is marked as chosen on test.")
    )


def _shown(part: Child | Panel) -> Child:
    return part.markup() if isinstance(part, Panel) else part


def _warning(tasks: Sequence[TaskSummary]) -> Markup | None:
    if all(task.protocol == "clean" for task in tasks):
        return None
    return tag(
        "p",
        "This report holds runs of the published protocol: their epoch was chosen on the test samples, as the "
        "released code does. Such numbers are marked, and are not to be compared with clean ones.",
        class_="warn",
    )


def _standing(board: Board) -> list[Child | Panel]:
    return [leaderboard(board), *rank_figure(board, f"ranks-{board.protocol}")]


def _design(design: Design) -> list[Child | Panel]:
    key = "factorial-" + slug(design.title if design.protocol == "clean" else f"{design.title} {design.protocol}")
    return [tag("h3", design.title), *main_effects(design, key), interactions(design)]


def _boards(several: Sequence[Board], key: str, draw: Any) -> list[Child | Panel]:
    return [panel for board in several for panel in draw(board, f"{key}-{board.protocol}")]


def _each(tasks: Sequence[TaskSummary], key: str, draw: Any) -> list[Child | Panel]:
    """Draw the figures of every task under its own heading."""
    parts: list[Child | Panel] = []
    for task in tasks:
        drawn = draw(task, f"{key}-{slug(_heading(task))}")
        if drawn:
            parts += [tag("h3", _heading(task)) if len(tasks) > 1 else None, *drawn]
    return parts


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
            parts += [tag("h3", task.title), html_sections.pictures(chosen)]
    if not parts:
        return None
    introduction = (
        "Drawn at random from the training samples of the first seed, by our default method: the "
        "annotation of the teacher "
        "whom the last level assigned, the final student's answer, and the truth. “Student gives it” is "
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
        [tag("pre", command, tabindex="0") for command in commands],
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
