"""JSON of one's own, an answer a record; and the files that batches of remote models return."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from cosup.io.labels.answers import Answer
from cosup.io.labels.label_file import LabelFile, register_export
from cosup.io.tables import ID_COLUMNS
from cosup.utils.texts import plain_text, shown
from cosup.utils.validation import CosupError

__all__ = ["TEACHERS", "VOTES", "answers_of_records", "key_of", "sample_of"]

IDS = ("id", "custom_id", "task", "task_id", *ID_COLUMNS)
TEACHERS = (
    "teacher", "worker", "worker_id", "annotator", "annotator_id", "performer", "labeler", "labeller", "rater", "coder",
    "username", "user", "model",
)  # fmt: skip
VOTES = ("label", "labels", "class", "class_name", "category", "annotation", "answer", "choice", "prediction")


def key_of(record: Mapping[str, Any], known: tuple[str, ...]) -> str | None:
    """Find the first of `known` keys that a record has, whatever its case."""
    found = next((key for key in known if key in record), None)
    if found is not None:
        return found
    lower = {str(key).lower(): key for key in record}
    return next((lower[key] for key in known if key in lower), None)


def sample_of(file: LabelFile, row: int, record: Mapping[str, Any]) -> Any:
    """Return the sample's id that a record holds.

    Raises
    ------
    CosupError
        If there is none.
    """
    key = (file.id if file.id in record else None) if file.id is not None else key_of(record, IDS)
    if key is None or record[key] is None or record[key] == "":
        wanted = file.id or "id"
        raise CosupError(
            f"{file.path}, row {row}: there is no {wanted!r} that says which sample this is about; found "
            f"{', '.join(map(str, record))}"
        )
    return record[key]


def answers_of_records(file: LabelFile, *, worker: str | None = None) -> Iterator[Answer]:
    """Read answers from records ``{"id": ..., "label": ...}`` or ``{"id": ..., "probabilities": {...}}``."""
    for row, record in file.records():
        sample = sample_of(file, row, record)
        by = worker if worker is not None and worker in record else key_of(record, TEACHERS)
        teacher = record[by] if by is not None and isinstance(record[by], str | int) else ""
        if "probabilities" in record:
            value = record["probabilities"]
            if value is not None and not isinstance(value, Mapping):
                raise CosupError(
                    f"{file.path}, row {row}: 'probabilities' must be an object of class names and numbers, or null"
                )
            yield Answer(sample, value, teacher, row)
            continue
        vote = file.label if file.label is not None and file.label in record else key_of(record, VOTES)
        if vote is None:
            raise CosupError(
                f"{file.path}, row {row}: there is neither 'label' nor 'probabilities'; found "
                f"{', '.join(map(str, record))}"
            )
        if isinstance(record[vote], Mapping):
            raise CosupError(
                f"{file.path}, row {row}: the label is the object {shown(record[vote])}; the name of a class, a whole "
                "number or null is expected (probabilities stand under 'probabilities')"
            )
        yield Answer(sample, record[vote], teacher, row)


def _is_batch(file: LabelFile) -> bool:
    return "custom_id" in file.keys and bool({"response", "error", "result"} & set(file.keys))


@register_export("batch", help="answers of OpenAI's and Anthropic's batch interfaces", recognises=_is_batch)
def read_batch(file: LabelFile) -> Iterator[Answer]:
    """Read answers in free text; those that name no class, and requests that failed, abstain."""
    for row, record in file.records():
        if file.class_names is None:
            raise CosupError(
                f"{file.path}, row {row}: answers in free text need the classes' names: --classes a,b (class_names)"
            )
        sample = sample_of(file, row, record)
        text = _answered(file, row, record)
        if text is None:
            yield Answer(sample, None, "", row, "failed to come")
            continue
        value = _class_of(text, tuple(map(str, file.class_names)))
        if value is None:
            yield Answer(sample, None, "", row, "name no class", repr(text[:40]))
        else:
            yield Answer(sample, value, "", row)


def _answered(file: LabelFile, row: int, record: Mapping[str, Any]) -> str | None:
    """Return the text that answered a request; None where it failed."""
    where = f"{file.path}, row {row}"
    result = record.get("result")
    if isinstance(result, Mapping):
        if result.get("type") != "succeeded":
            return None
        body: Any = result.get("message")
    else:
        response = record.get("response") or {}
        if not isinstance(response, Mapping):
            raise CosupError(f"{where}: 'response' is {shown(response)}; is this a batch's output?")
        if record.get("error") or response.get("status_code", 200) != 200:
            return None
        body = response.get("body")
    for find in (_of_chat, _of_responses, _of_messages):
        try:
            return str(find(body) or "")
        except (KeyError, IndexError, TypeError, AttributeError):
            continue
    raise CosupError(f"{where}: there is no response.body.choices[0].message.content; is this a batch's output?")


def _of_chat(body: Any) -> Any:
    return body["choices"][0]["message"]["content"]


def _of_responses(body: Any) -> Any:
    return next(part["text"] for item in body["output"] for part in item.get("content") or () if "text" in part)


def _of_messages(body: Any) -> Any:
    return "".join(part["text"] for part in body["content"] if part.get("type") == "text")


def _class_of(text: str, classes: tuple[str, ...]) -> Any:
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        held = text
    if isinstance(held, dict) and isinstance(held.get("probabilities"), dict):
        return held["probabilities"]
    found = next((held[k] for k in VOTES if k in held), None) if isinstance(held, dict) else held
    plain = plain_text(str(found)).strip("\"'`*.! \n").casefold()
    return next((name for name in classes if plain == plain_text(name).casefold()), None)
