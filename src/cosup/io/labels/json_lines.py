"""A remote model's answers: JSON lines of one's own, and the files of OpenAI's batch interface."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.io.tables import not_empty
from cosup.labels.checks import SUM_TOLERANCE, sort_names
from cosup.labels.imported_labels import ImportedLabels
from cosup.utils.validation import CosupError, some, suggest

__all__ = ["read_json_lines"]

IDS = ("id", "custom_id", "task", "path", "file")
WORKERS = ("teacher", "worker", "annotator", "model")
VOTES = ("label", "class", "answer")

Answer = str | Mapping[str, Any] | None
"""A class's name, probabilities by name, or an abstention."""


class _Said:
    """What was read so far; where the lines are."""

    def __init__(self, path: Path, class_names: Sequence[str] | None) -> None:
        self.path, self.classes = path, None if class_names is None else tuple(map(str, class_names))
        self.answers: dict[str, dict[str, tuple[Answer, int]]] = {}  # teacher -> id -> answer, line
        self.ids: dict[str, int] = {}
        self.unclear: list[str] = []
        self.failed: list[str] = []

    def fault(self, line: int, why: str) -> CosupError:
        return CosupError(f"{self.path}, row {line}: {why}")


def read_json_lines(
    path: Path, *, class_names: Sequence[str] | None = None, teacher: str | None = None
) -> ImportedLabels:
    """Read answers, one JSON object a line.

    Parameters
    ----------
    path : Path
        ``{"id": "a", "label": "cat"}``, null abstains; or ``{"id": "a", "probabilities": {"cat": 0.9, "dog": 0.1}}``;
        with ``"teacher"`` (or worker, annotator, model) where there are several. Or what OpenAI's batch interface
        returns, ``{"custom_id": ..., "response": {"body": {"choices": [...]}}}``, whose message is a class's name or a
        JSON object with ``label`` or ``probabilities``: an answer that names no class, and a request that failed, are
        abstentions, which the notes count.
    class_names : sequence of str, optional
        Class id -> name; a batch file needs it. Default: all that occur.
    teacher : str, optional
        The teacher's name where lines have none. Default: the file's.

    Raises
    ------
    CosupError
        For a torn line, an answer without id, one that is no class, and the like: file, row and remedy.
    """
    said = _Said(path, class_names)
    for line, record in _records(path):
        _take(said, line, record, teacher or path.stem)
    if not said.answers:
        raise CosupError(f"{path} has no line; one JSON object a line is expected")
    notes = []
    if said.failed:
        notes.append(f"{len(said.failed)} requests failed ({said.failed[0]}), and abstain")
    if said.unclear:
        notes.append(f"{len(said.unclear)} answers name no class ({said.unclear[0]}), and abstain")
    return _labels(said, notes)


def _records(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    not_empty(path)
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.strip():
                continue
            try:
                record = json.loads(raw.decode("utf-8-sig"))
            except UnicodeDecodeError as error:
                raise CosupError(f"{path}, row {number} is not UTF-8 text; write the file in UTF-8") from error
            except ValueError as error:
                torn = "" if raw.endswith(b"\n") else " (the file's last line is cut short: fetch it again)"
                raise CosupError(f"{path}, row {number} is no JSON ({error}); one object a line{torn}") from error
            if not isinstance(record, dict):
                raise CosupError(f"{path}, row {number} is no JSON object, but {str(record)[:40]!r}")
            yield number, record


def _take(said: _Said, line: int, record: dict[str, Any], default: str) -> None:
    key = next((key for key in IDS if key in record), None)
    if key is None or record[key] is None or str(record[key]).strip() == "":
        raise said.fault(line, f"there is no 'id' that says which sample this is about; found {', '.join(record)}")
    sample = str(record[key]).strip()
    teacher = next((str(record[k]) for k in WORKERS if isinstance(record.get(k), str | int)), default)
    if "response" in record or ("custom_id" in record and "error" in record):
        answer = _batch_answer(said, line, record)
    elif "probabilities" in record:
        answer = record["probabilities"]
        if answer is not None and not isinstance(answer, Mapping):
            raise said.fault(line, "'probabilities' must be an object of class names and numbers, or null")
    else:
        vote = next((k for k in VOTES if k in record), None)
        if vote is None:
            raise said.fault(line, f"there is neither 'label' nor 'probabilities'; found {', '.join(record)}")
        answer = None if record[vote] is None else str(record[vote]).strip() or None
    _check(said, line, answer)
    its = said.answers.setdefault(teacher, {})
    if sample in its:
        raise said.fault(
            line,
            f"{teacher!r} answers for {sample!r} in row {its[sample][1]} too; keep one answer a teacher and sample",
        )
    its[sample] = answer, line
    said.ids.setdefault(sample, len(said.ids))


def _batch_answer(said: _Said, line: int, record: dict[str, Any]) -> Answer:
    if said.classes is None:
        raise said.fault(line, "answers in free text need the classes' names: --classes a,b (class_names)")
    response = record.get("response") or {}
    if record.get("error") or response.get("status_code", 200) != 200:
        said.failed.append(f"first in row {line}")
        return None
    try:
        text = response["body"]["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError) as error:
        raise said.fault(
            line, "there is no response.body.choices[0].message.content; is this a batch's output?"
        ) from error
    return _free_text(said, line, str(text or ""))


def _free_text(said: _Said, line: int, text: str) -> Answer:
    assert said.classes is not None
    try:
        held = json.loads(text)
    except ValueError:
        held = text
    if isinstance(held, dict) and isinstance(held.get("probabilities"), dict):
        return held["probabilities"]  # type: ignore[no-any-return]
    found = next((held[k] for k in VOTES if k in held), None) if isinstance(held, dict) else held
    plain = str(found).strip().strip("\"'`*.!").casefold()
    for name in said.classes:
        if plain == name.casefold():
            return name
    said.unclear.append(f"first in row {line}: {text[:40]!r}")
    return None


def _check(said: _Said, line: int, answer: Answer) -> None:
    """Raise for what is no class or no distribution."""
    named = [answer] if isinstance(answer, str) else list(answer or ())
    for name in named:
        if said.classes is not None and name not in said.classes:
            raise said.fault(line, f"unknown class {name!r}.{suggest(name, said.classes)}")
    if isinstance(answer, Mapping):
        bad = [n for n, p in answer.items() if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1]
        if bad:
            raise said.fault(
                line, f"the probability of {bad[0]!r} is {answer[bad[0]]!r}; a number from 0 to 1 is expected"
            )
        total = sum(answer.values())
        if abs(total - 1) > SUM_TOLERANCE:
            raise said.fault(line, f"the probabilities sum to {total:.4g}, not 1; normalise them, or write null")


def _labels(said: _Said, notes: Sequence[str]) -> ImportedLabels:
    everything = [answer for its in said.answers.values() for answer, _ in its.values()]
    named = {n for answer in everything for n in ([answer] if isinstance(answer, str) else answer or ())}
    classes = said.classes or sort_names(named)
    if len(classes) < 2:
        raise CosupError(f"{said.path} names {len(classes)} classes; training needs at least two")
    code = {name: place for place, name in enumerate(classes)}
    soft = any(isinstance(answer, Mapping) for answer in everything)
    shape = (len(said.ids), len(said.answers))
    out: Any = np.full((*shape, len(classes)), np.nan, dtype=np.float32) if soft else np.full(shape, -1, dtype=np.int32)
    silent = []
    for t, (teacher, its) in enumerate(said.answers.items()):
        for sample, (answer, _) in its.items():
            row = said.ids[sample]
            if soft and answer is not None:
                given = {answer: 1.0} if isinstance(answer, str) else answer
                out[row, t] = [given.get(name, 0.0) for name in classes]
            elif answer is not None:
                out[row, t] = code[answer]  # type: ignore[index]
        if all(answer is None for answer, _ in its.values()):
            silent.append(teacher)
    if silent:
        raise CosupError(
            f"{said.path}: {some(silent, 'teachers')} never name a class; leave them out. {' '.join(notes)}"
        )
    return ImportedLabels(
        out, classes, names=list(said.answers), ids=list(said.ids), source=str(said.path), notes=notes
    )
