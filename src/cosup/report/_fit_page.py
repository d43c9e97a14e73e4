"""The page that ``cosup fit`` leaves beside a model: what the teachers said, and what was made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cosup.report._markup import Child, page, table, tag
from cosup.report._summary import duration, percent
from cosup.teachers import TeacherLabels


def build_fit_page(
    labels: TeacherLabels,
    history: Sequence[Mapping[str, Any]],
    class_names: Sequence[str],
    *,
    title: str = "A co-supervised student",
    facts: Mapping[str, str] | None = None,
) -> str:
    """Describe a fit on a user's own data as one self-contained HTML page.

    Parameters
    ----------
    labels : TeacherLabels
    history : sequence of dict
        ``history_`` of the fitted estimator.
    class_names : sequence of str
    title : str
    facts : mapping of str to str, optional
        Further rows of the table of facts: files, versions.

    Returns
    -------
    str
        The page.
    """
    speaks = labels.speaks()
    said = labels.hard()
    teachers: list[Sequence[Child]] = []
    believed = {
        (int(entry["level"]), int(column)): float(np.mean(np.asarray(entry["assigned"]) == column))
        for entry in history
        for column in entry["teachers"]
    }
    for column, name in enumerate(labels.names):
        level = int(labels.levels[column])
        own = said[speaks[:, column], column]  # not empty: TeacherLabels refuses a teacher who never speaks
        counts = np.bincount(own, minlength=labels.n_classes)
        specialty = labels.specialties[column]
        teachers.append(
            (
                name,
                str(level),
                percent(float(speaks[:, column].mean())),
                percent(believed.get((level, column))),
                f"{class_names[int(counts.argmax())]} ({percent(float(counts.max() / len(own)), 0)} %)",
                "not given" if specialty is None else ", ".join(class_names[int(c)] for c in specialty),
            )
        )
    levels = [
        (
            f"level {entry['level']}",
            str(len(entry["teachers"])),
            percent(float(entry["keep_rate"])),
            percent(_number(entry.get("agreement"))),
            str(entry.get("rounds", 1)),
            duration(_number(entry.get("seconds"))),
        )
        for entry in history
    ]
    noted = [(f"level {entry['level']}", str(note)) for entry in history for note in entry.get("notes", ())]
    sizes = "/".join(str(len(labels.at_level(k))) for k in range(labels.n_levels))
    rows = {
        "Samples": f"{labels.n_samples:,}",
        "Teachers": f"{labels.n_teachers}, in levels of {sizes}",
        "Classes": ", ".join(class_names),
        **(facts or {}),
    }
    introduction = (
        "What the teachers said, whom the student believed, and what it kept. No ground truth is involved, "
        "so nothing here says how often anybody is right."
    )
    about = [tag("tr", tag("th", key, scope="row"), tag("td", value, class_="text")) for key, value in rows.items()]
    return page(
        title,
        tag("h1", title),
        tag("p", introduction, class_="soft"),
        tag("table", tag("tbody", about)),
        tag("h2", "Levels"),
        table(
            "Kept: share of all samples whose annotation the level trained on. Agreement: of the student "
            "with its targets, on samples that it was not trained on.",
            ("", "teachers", "kept, %", "agreement, %", "rounds", "seconds"),
            levels,
        ),
        tag("h2", "Teachers"),
        table(
            "Coverage: share of the samples on which the teacher speaks. Believed: share on which its level chose it.",
            ("", "level", "coverage, %", "believed, %", "most frequent answer", "specialty"),
            teachers,
            text=(4, 5),
        ),
        tag("h2", "Notes"),
        table("What the method noted while training", ("level", "note"), noted, text=(1,))
        if noted
        else tag("p", "The method had to fall back on nothing."),
    )


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
