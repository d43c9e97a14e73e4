"""The parts of a benchmark's report, each a function from summaries to markup."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cosup.methods import DEFAULT
from cosup.report import figures
from cosup.report.markup import Child, Data, Markup, Panel, join, table, tag
from cosup.report.method_names import name_for_readers
from cosup.report.summary import DASH, MethodSummary, Record, TaskSummary, duration, notes, percent, signed, span

FIXED_COLOURS = {DEFAULT: 0, "csl": 1, "oracle": 2, "csl-published-tuned": 3, "vanilla": 5}
"""A method's colour is the same in every figure; others take what is left."""


def colour(method: MethodSummary) -> int:
    """Position of the method's colour in the palette."""
    return FIXED_COLOURS.get(method.method, 4)


def results(task: TaskSummary) -> Markup:
    """Tabulate every method between the weak teacher and the ceiling."""
    header = (
        "", "accuracy %", "PGR %", "90 % interval", "against plain training, points of PGR", "kept at the last "
        "level, %",
        "right among the kept, %", "seconds",
    )  # fmt: skip
    rows: list[Sequence[Child]] = [("weak teacher alone", percent(task.weak), "0", *(DASH for _ in range(5)))]
    strong = []
    for place, method in enumerate(task.methods, start=1):
        last = method.last
        if method is task.ours:
            strong.append(place)
        rows.append(
            (
                method.label,
                percent(method.accuracy),
                DASH if method.pgr is None else percent(method.pgr.estimate),
                span(method.pgr),
                signed(method.versus),
                DASH if last is None else percent(last.keep_rate),
                DASH if last is None else percent(last.precision),
                duration(method.seconds),
            )
        )
    rows.append(("ceiling", percent(task.ceiling), "100", *(DASH for _ in range(5))))
    caption = (
        f"{task.title}: means over seeds {', '.join(map(str, task.seeds))}; {task.n_train:,} training "
        "samples without "
        f"labels, {task.n_test:,} test samples, {len(task.class_names)} classes; protocol "
        f"“{task.protocol}”. Seconds are of "
        "one fit on one core, the factorisation of the features (shared by all) left out."
    )
    return table(caption, header, rows, strong=strong)


def by_method(task: TaskSummary, name: str) -> list[Panel]:
    """Draw every method's PGR with its interval."""
    shown = [method for method in task.methods if method.pgr is not None]
    if not shown:
        return []
    rows = [figures.Dot(m.label, m.pgr, colour(m), filled=m.whole) for m in shown if m.pgr is not None]
    reference = task.vanilla.pgr.estimate if task.vanilla is not None and task.vanilla.pgr is not None else None
    drawing = figures.dots(
        rows,
        reference=reference,
        name=name,
        description=f"PGR by each method on {task.title}, with 90 % intervals; the values follow.",
    )
    data = Data(
        "Performance gap recovered, %",
        ("", "PGR", "low", "high"),
        [(r.label, percent(r.pgr.estimate), percent(r.pgr.low), percent(r.pgr.high)) for r in rows],
    )
    caption = (
        "Performance gap recovered by method, with 90 % bootstrap intervals over seeds and test samples. "
        "Filled: whole "
        "methods; hollow: ablations. The dashed line is plain training."
    )
    return [Panel(drawing, caption, [data])]


def _with_levels(task: TaskSummary) -> list[MethodSummary]:
    """Methods with a point a level to draw; two points make no figure."""
    return [method for method in task.methods if method.whole and len(method.levels) > 2]


def by_level(task: TaskSummary, name: str) -> list[Panel]:
    """Draw how the student grows from level to level."""
    shown = [m for m in _with_levels(task) if not all(math.isnan(level.pgr) for level in m.levels)]
    if not shown:
        return []
    series = [figures.Line(m.label, [level.pgr for level in m.levels], colour(m)) for m in shown]
    drawing = figures.lines(
        {"performance gap recovered, %": series},
        name=name,
        description=f"Performance gap recovered after each level on {task.title}; the values follow.",
        floor=figures.LOWEST,
        ticks=_level_names(shown),
        axis="level: number of teachers",
    )
    caption = (
        "The student after each level: level 0 is the generalists', the specialists come after it. "
        f"Values under {figures.LOWEST:.0f} are drawn at the edge."
    )
    return [Panel(drawing, caption, [_level_table("PGR by level, %", series)])]


def _level_names(methods: Sequence[MethodSummary]) -> list[str]:
    deepest = max(methods, key=lambda m: len(m.levels))
    levels = deepest.records[0]["levels"][: len(deepest.levels)]
    return [f"{level['level']}: {len(level['teachers'])}" for level in levels]


def selection(task: TaskSummary, name: str) -> list[Panel]:
    """Draw precision and recall of what each level kept."""
    shown = _with_levels(task)
    if not shown:
        return []
    panels = {
        "right among the kept, %": [
            figures.Line(m.label, [level.precision for level in m.levels], colour(m)) for m in shown
        ],
        "kept among the right, %": [
            figures.Line(m.label, [level.recall for level in m.levels], colour(m)) for m in shown
        ],
    }
    drawing = figures.lines(
        panels,
        name=name,
        description=f"Precision and recall of what each level kept on {task.title}; the values follow.",
    )
    data = [_level_table(title, series) for title, series in panels.items()]
    caption = (
        "Rejection: precision (left) and recall (right) of the annotations that each level "
        "kept, among those "
        "of the teachers it assigned. Truth is used for this measurement only."
    )
    return [Panel(drawing, caption, data)]


def _level_table(title: str, series: Sequence[figures.Line]) -> Data:
    depth = max(len(line.values) for line in series)
    rows = [
        (line.label, *(percent(v) for v in line.values), *(DASH for _ in range(depth - len(line.values))))
        for line in series
    ]
    return Data(title, ("", *(f"level {k}" for k in range(depth))), rows)


def assignment(task: TaskSummary, name: str) -> list[Panel]:
    """Draw who was assigned on which class, for our default and for csl on the first seed."""
    parts = []
    shown = [m for m in task.methods if m.whole and m.method in (DEFAULT, "csl")]
    for method in sorted(shown, key=lambda m: m is not task.ours):
        record = method.records[0]
        levels = [level for level in record["levels"] if len(level["teachers"]) > 1 and level["assignment"]]
        blocks = [_shares(level) for level in levels]
        if not blocks:
            continue
        drawing = figures.heat(
            blocks,
            task.class_names,
            name=f"{name}-{method.method}",
            description=f"Share of each true class that {method.label} gave to each teacher; values follow.",
        )
        data = [
            Data(
                title,
                ("", *task.class_names),
                [(teacher, *(percent(v, 0) for v in row)) for teacher, row in zip(names, rows, strict=True)],
            )
            for title, names, rows in blocks
        ]
        caption = (
            f"{method.label}, seed {record['seed']}: the share of each true class's training samples, in "
            "%, on which each "
            "teacher was assigned. Columns add up to 100 unless no teacher was assigned."
        )
        parts.append(Panel(drawing, caption, data))
    return parts


def _shares(level: Mapping[str, Any]) -> tuple[str, list[str], list[list[float]]]:
    counts: list[list[int]] = level["assignment"]
    totals = [sum(column) for column in zip(*counts, strict=True)]
    rows = [[c / t if t else math.nan for c, t in zip(row, totals, strict=True)] for row in counts]
    return f"level {level['level']}", list(level["teachers"]), rows


def ablations(task: TaskSummary) -> Markup | None:
    """Tabulate what each piece is worth."""
    found = task.ablations()
    if not found:
        return None
    rows: list[Sequence[Child]] = [
        (
            part.label,
            whole.label,
            DASH if part.pgr is None else percent(part.pgr.estimate),
            DASH if whole.pgr is None else percent(whole.pgr.estimate),
            signed(worth),
        )
        for whole, part, worth in found
    ]
    caption = (
        f"{task.title}: the worth of each piece. The whole method's PGR minus that of the method without "
        "the piece, on "
        "the same seeds and samples; above zero, the piece helps. In brackets the 90 % interval."
    )
    return table(caption, ("", "the whole", "PGR without, %", "PGR whole, %", "worth, points of PGR"), rows)


def classes(task: TaskSummary) -> Markup | None:
    """Tabulate accuracy by true class: all classes, or the hardest of our method where there are many."""
    shown = [method for method in task.methods if method.whole and method.per_class]
    if not shown:
        return None
    order = list(range(len(task.class_names)))
    which = "by true class"
    if len(order) > 16:
        lead = task.ours or shown[0]
        order = sorted(order, key=lambda c: (math.isnan(lead.per_class[c]), lead.per_class[c]))[:16]
        which = f"on the 16 classes that are hardest for {lead.label}"
    rows = [(m.label, *(percent(m.per_class[c], 0) for c in order)) for m in shown]
    return table(f"{task.title}: accuracy {which}, %", ("", *(task.class_names[c] for c in order)), rows)


def teachers(task: TaskSummary) -> Markup | None:
    """Tabulate where each method fails, by the right specialist."""
    shown = [method for method in task.methods if method.whole and method.per_teacher]
    if not shown:
        return None
    lead = task.ours or shown[0]
    order = [share.teacher for share in lead.per_teacher if not math.isnan(share.student)]
    if not order:
        return None
    which = "by the specialist that is right for it"
    if len(order) > 16:
        worst = {share.teacher: share.student for share in lead.per_teacher}
        order = sorted(order, key=lambda name: worst[name])[:16]
        which = f"of the 16 specialists where {lead.label} is worst"
    by_name = [{share.teacher: share for share in method.per_teacher} for method in shown]
    rows = [
        (m.label, *(percent(shares[n].student, 0) if n in shares else DASH for n in order))
        for m, shares in zip(shown, by_name, strict=True)
    ]
    own = {share.teacher: share.annotated for share in lead.per_teacher}
    rows.append(("the specialist itself", *(percent(own[name], 0) for name in order)))
    caption = (
        f"{task.title}: on how many training samples, in %, the final student is right, {which}. Truth is used for "
        "this measurement only."
    )
    return table(caption, ("", *order), rows)


def pictures(samples: Sequence[Mapping[str, Any]]) -> Markup:
    """Show samples that were kept and rejected."""
    parts: list[Child] = []
    for kept, title in ((False, "Overruled"), (True, "Kept")):
        chosen = [sample for sample in samples if sample["kept"] is kept]
        parts.append(tag("h4", title))
        if not chosen:
            parts.append(tag("p", "None.", class_="soft"))
            continue
        parts.append(tag("ul", [_picture(sample) for sample in chosen], class_="pictures"))
    return join(parts)


def _picture(sample: Mapping[str, Any]) -> Markup:
    alternative = f"A sample of class {sample['truth']}"

    def answer(who: str, named: str) -> Markup:
        right = named == sample["truth"]
        mark = " ✓" if right else " ✗"
        return tag("div", f"{who}: ", tag("span", named + mark, class_="right" if right else "wrong"))

    probability = sample["probability"]
    return tag(
        "li",
        tag("img", src=f"data:image/png;base64,{sample['image']}", alt=alternative),
        answer(sample["teacher"], sample["annotation"]),
        answer("student", sample["student"]),
        tag("div", f"truth: {sample['truth']}"),
        None if probability is None else tag("div", f"student gives it {percent(probability, 0)} %", class_="soft"),
        tag("div", f"reason: {sample['reason']}", class_="soft") if sample["reason"] else None,
    )


def method_notes(tasks: Iterable[TaskSummary]) -> Markup:
    """List the methods' own notes: fallbacks, teachers that were never assigned."""
    rows = [
        (task.title, label, str(level), str(count), note) for task in tasks for label, level, note, count in notes(task)
    ]
    if not rows:
        return tag("p", "No method had to fall back on anything.")
    return table(
        "Notes that the methods took while training",
        ("task", "method", "level", "runs", "note"),
        rows,
        text=(1, 4),
    )


def failed(records: Sequence[Record]) -> Markup:
    """List the runs that ended with an error."""
    rows = [(r["task"], name_for_readers(r["label"], r["method"]), str(r["seed"]), str(r["error"])) for r in records]
    return tag(
        "div",
        tag(
            "p",
            "These runs ended with an error and are in no number above. Running the same command again repeats them.",
        ),
        table(f"{len(rows)} failed runs", ("task", "method", "seed", "error"), rows, text=(1, 3)),
        class_="warn",
    )
