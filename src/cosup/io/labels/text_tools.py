"""Exports of tools for annotating texts: Prodigy, doccano, Argilla."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cosup.io.labels.answers import Answer
from cosup.io.labels.json_lines import IDS, key_of, sample_of
from cosup.io.labels.label_file import LabelFile, register_export
from cosup.utils.validation import CosupError

__all__: list[str] = []

_VERDICTS = ("accept", "reject", "ignore")


def _is_prodigy(file: LabelFile) -> bool:
    return file.first.get("answer") in _VERDICTS and bool(
        {"label", "accept", "options", "_task_hash", "_input_hash"} & set(file.keys)
    )


@register_export("prodigy", help="Prodigy's JSON lines: rejected and ignored answers abstain",
                       recognises=_is_prodigy)  # fmt: skip
def read_prodigy(file: LabelFile) -> Iterator[Answer]:
    """Read answers ``{"label": ..., "answer": "accept"}`` or choices, ``{"accept": [...], "answer": "accept"}``."""
    for row, record in file.records():
        verdict = record.get("answer")
        if verdict not in _VERDICTS:
            raise CosupError(
                f"{file.path}, row {row}: 'answer' is {verdict!r}; accept, reject or ignore are what Prodigy writes"
            )
        meta = record.get("meta")
        if file.id is None and key_of(record, IDS) is None:
            held = meta if isinstance(meta, Mapping) and key_of(meta, IDS) is not None else None
            key = key_of(held, IDS) if held is not None else "_input_hash"
            sample = (held or record).get(key or "")
            if sample is None:
                sample = sample_of(file, row, record)
        else:
            sample = sample_of(file, row, record)
        teacher = record.get("_annotator_id") or record.get("_session_id") or ""
        if verdict != "accept":
            yield Answer(sample, None, teacher, row, f"are {verdict}ed" if verdict == "reject" else "are ignored")
        else:
            yield Answer(sample, record["accept"] if "accept" in record else record.get("label"), teacher, row)


def _is_doccano(file: LabelFile) -> bool:
    held = file.first.get("annotations")
    return isinstance(held, list) and "text" in file.keys and not _is_tasks(file.first)


def _is_tasks(record: Mapping[str, Any]) -> bool:
    return isinstance(record.get("data"), Mapping)


@register_export("doccano", help="doccano's JSON lines with annotations of several users",
                       recognises=_is_doccano)  # fmt: skip
def read_doccano(file: LabelFile) -> Iterator[Answer]:
    """Read answers ``{"id": ..., "text": ..., "annotations": [{"label": ..., "user": ...}]}``."""
    for row, record in file.records():
        sample = sample_of(file, row, record)
        by_user: dict[Any, list[Any]] = {}
        for held in record.get("annotations") or ():
            if not isinstance(held, Mapping) or "label" not in held:
                raise CosupError(f"{file.path}, row {row}: an annotation has no 'label'")
            if "start_offset" in held:
                raise CosupError(
                    f"{file.path}, row {row} labels parts of a text (start_offset); a class for the whole text is "
                    "expected: export a project of text classification"
                )
            by_user.setdefault(str(held.get("user", "")), []).append(held["label"])
        for user, labels in by_user.items() or [("", [])]:
            yield Answer(sample, labels, f"user {user}" if user else "", row)


def _is_argilla(file: LabelFile) -> bool:
    keys = set(file.keys)
    flat = any(key.endswith((".responses", ".suggestion")) for key in keys)
    return flat or ("fields" in keys and bool({"responses", "suggestions"} & keys))


@register_export("argilla", help="Argilla's records: submitted responses, and suggestions as a teacher",
                       recognises=_is_argilla)  # fmt: skip
def read_argilla(file: LabelFile) -> Iterator[Answer]:
    """Read each user's answers to one question, and the suggestions of each agent."""
    for row, record in file.records():
        sample = record.get("external_id") or sample_of(file, row, record)
        answers = list(_of_argilla(record))
        questions = [question for question, _, _, _ in answers]
        if not questions:
            yield Answer(sample, None, "suggestion", row)
            continue
        chosen = file.choose(questions, "question")
        for question, value, teacher, status in answers:
            if question != chosen:
                continue
            if status in ("submitted", "suggestion"):
                yield Answer(sample, value, teacher, row)
            else:
                yield Answer(sample, None, teacher, row, f"are {status}")


def _of_argilla(record: Mapping[str, Any]) -> Iterator[tuple[str, Any, str, str]]:
    """Yield question, value, teacher and status of every response."""
    responses, suggestions = record.get("responses"), record.get("suggestions")
    if isinstance(responses, list):  # version 1: a response a user, which holds all questions
        for held in responses:
            for question, value in (held.get("values") or {}).items():
                yield question, value.get("value"), f"user {held.get('user_id')}", str(held.get("status"))
    elif isinstance(responses, Mapping):  # version 2: a list of responses a question
        for question, given in responses.items():
            for held in given:
                yield question, held.get("value"), f"user {held.get('user_id')}", str(held.get("status", "submitted"))
    if isinstance(suggestions, Mapping):
        for question, held in suggestions.items():
            yield question, held.get("value"), str(held.get("agent") or "suggestion"), "suggestion"
    elif isinstance(suggestions, list):
        for held in suggestions:
            name = str(held.get("question_name") or held.get("question"))
            yield name, held.get("value"), str(held.get("agent") or "suggestion"), "suggestion"
    for key, given in record.items():  # as columns of a data set
        question, _, kind = key.rpartition(".")
        if kind == "responses" and question and isinstance(given, list):
            users = record.get(f"{key}.users") or [str(place) for place in range(len(given))]
            statuses = record.get(f"{key}.status") or ["submitted"] * len(given)
            for value, user, status in zip(given, users, statuses, strict=False):
                yield question, value, f"user {user}", str(status)
        elif kind == "suggestion" and question:
            yield question, given, str(record.get(f"{key}.agent") or "suggestion"), "suggestion"
