"""Label Studio's exports: JSON of tasks, JSON-MIN, CSV."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

from cosup.io.labels.answers import Answer
from cosup.io.labels.label_file import LabelFile, register_export
from cosup.io.tables import ID_COLUMNS
from cosup.utils.validation import CosupError

__all__ = ["media_name"]

_OF_THE_TOOL = ("annotation_id", "annotator", "created_at", "updated_at", "lead_time", "agreement", "id", "project",
                "annotation_notes", "was_cancelled", "predictions_score", "source")  # fmt: skip
_OF_THE_TASK = ("text", "image", "img", "audio", "video", "html", "url", "document", "title", "content", "dialogue",
                "file", "path", "filename", "file_name", "reviewtext", "ner", "meta_info")  # fmt: skip
_MEDIA = ("image", "img", "file", "path", "filename", "file_name", "audio", "video", "url")


def media_name(text: str) -> str:
    """Return the path that a task's file had before Label Studio served it.

    Examples
    --------
    >>> media_name("/data/upload/1/3f2a9b1c-cat.png"), media_name("/data/local-files/?d=red/00.png")
    ('cat.png', 'red/00.png')
    """
    text = unquote(text)
    if "?d=" in text:
        return text.partition("?d=")[2]
    return re.sub(r"^.*/?data/upload/(\d+/)?([0-9a-f]{8}-)?", "", text)


def _is_tasks(file: LabelFile) -> bool:
    return isinstance(file.first.get("data"), Mapping) and bool(
        {"annotations", "completions", "predictions"} & set(file.keys)
    )


@register_export("label-studio", help="Label Studio's JSON: annotations of people, predictions of models",
                       recognises=_is_tasks)  # fmt: skip
def read_label_studio(file: LabelFile) -> Iterator[Answer]:
    """Read the choices of every annotator and every model, on tasks named by the file (or ``id``) in their data."""
    tasks = []
    for row, task in file.records():
        if not isinstance(task.get("data"), Mapping):
            raise CosupError(f"{file.path}, row {row}: there is no 'data'; is this Label Studio's JSON?")
        people = task.get("annotations") or task.get("completions") or ()  # completions: before version 1
        for held in (*people, *(task.get("predictions") or ())):
            if isinstance(held, Mapping):
                tasks.append((row, task, held, _choices(file, row, held)))
    questions = [question for _, _, _, choices in tasks for question in choices]
    question = file.choose(questions, "question")
    for row, task, held, choices in tasks:
        teacher = _teacher(held)
        sample = _sample(file, task)
        if held.get("was_cancelled"):
            yield Answer(sample, None, teacher, row, "were skipped")
        else:
            yield Answer(sample, choices.get(question), teacher, row)


def _choices(file: LabelFile, row: int, held: Mapping[str, Any]) -> dict[str, Any]:
    """Map a question's name to its choices, one or several."""
    out: dict[str, Any] = {}
    for result in held.get("result") or ():
        value = result.get("value") if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping):
            raise CosupError(f"{file.path}, row {row}: a result has no 'value'; is this Label Studio's JSON?")
        if "choices" in value:
            out.setdefault(str(result.get("from_name", "choice")), []).extend(value["choices"] or ())
        elif "rating" in value:
            out[str(result.get("from_name", "rating"))] = value["rating"]
    return out


def _teacher(held: Mapping[str, Any]) -> str:
    by = held.get("completed_by")
    if isinstance(by, Mapping):
        by = by.get("email") or by.get("id")
    if by is not None:
        return f"annotator {by}" if isinstance(by, int) else str(by)
    return str(held.get("model_version") or "prediction")


def _sample(file: LabelFile, task: Mapping[str, Any]) -> Any:
    data = task["data"]
    if file.id is not None:
        return data.get(file.id, task.get(file.id))
    if "id" in data:
        return data["id"]
    media = next((str(data[key]) for key in _MEDIA if isinstance(data.get(key), str)), None)
    return media_name(media) if media is not None else task.get("id")


def _is_rows(file: LabelFile) -> bool:
    return {"annotation_id", "annotator"} <= set(file.keys)


@register_export("label-studio-rows", help="Label Studio's CSV and JSON-MIN, a row an annotation",
                       recognises=_is_rows)  # fmt: skip
def read_label_studio_rows(file: LabelFile) -> Iterator[Answer]:
    """Read the answers of every annotator in the choice's own column."""
    beside = {*_OF_THE_TOOL, *_OF_THE_TASK, *ID_COLUMNS, file.id}
    chosen = file.choose((key for key in file.keys if key.lower() not in beside), "column")
    ids = file.id or next((key for key in ("id", *ID_COLUMNS) if key in file.keys), None)
    if ids is None or ids not in file.keys:
        raise CosupError(f"{file.path} has no column {ids or 'id'!r} that says which task a row is about: --id NAME")
    file.notes.append(f"read as Label Studio's table of {ids!r}, 'annotator', {chosen!r}")
    for row, record in file.records():
        yield Answer(record.get(ids), _cell(record.get(chosen)), str(record.get("annotator") or ""), row)


def _cell(value: Any) -> Any:
    """Read a cell of the CSV, in which several choices stand as JSON."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value["choices"] if isinstance(value, Mapping) and "choices" in value else value
