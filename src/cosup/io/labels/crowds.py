"""Exports of crowds: MTurk's batches, Toloka's pools, SageMaker's manifests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from cosup.io.labels.answers import Answer
from cosup.io.labels.label_file import LabelFile, register_export
from cosup.io.tables import ID_COLUMNS
from cosup.utils.validation import CosupError

__all__: list[str] = []


def _is_mturk(file: LabelFile) -> bool:
    return {"HITId", "WorkerId"} <= set(file.keys) and any(key.startswith("Answer.") for key in file.keys)


@register_export("mturk", help="batches of Mechanical Turk: rejected assignments abstain", recognises=_is_mturk)
def read_mturk(file: LabelFile) -> Iterator[Answer]:
    """Read every worker's answers; the one input column names the sample, or the HIT where there are several."""
    sample = file.id or _input(file.keys, "Input.") or "HITId"
    answers = [key for key in file.keys if key.startswith("Answer.")]
    ticked = _ticked(file, answers)
    chosen = "" if ticked else file.choose(answers, "column")
    file.notes.append(f"read as a batch of Mechanical Turk: {sample!r}, 'WorkerId', {chosen or 'the boxes ticked'!r}")
    for row, record in file.records():
        value = [name for key, name in ticked.items() if record[key].lower() == "true"] if ticked else record[chosen]
        if record.get("AssignmentStatus") == "Rejected":
            yield Answer(record[sample], None, record["WorkerId"], row, "were rejected")
        else:
            yield Answer(record[sample], value, record["WorkerId"], row)


def _ticked(file: LabelFile, answers: list[str]) -> dict[str, str]:
    """Map columns of boxes (``Answer.QUESTION.CLASS``, true or false) to classes."""
    table = file.table
    if table is None or len(answers) < 2 or file.label is not None:
        return {}
    found = [table.columns[table.names.index(key)] for key in answers]
    boxes = all({value.lower() for value in column.values} <= {"true", "false"} for column in found)
    # A box without a value of its own is called QUESTION.on.
    return {key: key.removesuffix(".on").rpartition(".")[2] for key in answers} if boxes else {}


def _input(keys: tuple[str, ...], prefix: str) -> str | None:
    inputs = [key for key in keys if key.startswith(prefix)]
    named = [key for key in inputs if key.removeprefix(prefix).lower() in ID_COLUMNS]
    return named[0] if named else inputs[0] if len(inputs) == 1 else None


def _is_toloka(file: LabelFile) -> bool:
    return "ASSIGNMENT:worker_id" in file.keys and any(key.startswith("OUTPUT:") for key in file.keys)


@register_export("toloka", help="Toloka's assignments: rejected ones abstain", recognises=_is_toloka)
def read_toloka(file: LabelFile) -> Iterator[Answer]:
    """Read every worker's answers to the one output."""
    chosen = file.choose((key for key in file.keys if key.startswith("OUTPUT:")), "output")
    sample = file.id or _input(file.keys, "INPUT:")
    if sample is None:
        raise CosupError(f"{file.path} has several inputs; name the one that says which sample: --id INPUT:NAME (id)")
    file.notes.append(f"read as Toloka's assignments: {sample!r}, 'ASSIGNMENT:worker_id', {chosen!r}")
    for row, record in file.records():
        if not record[sample]:  # Toloka parts suites by blank rows
            continue
        if record.get("ASSIGNMENT:status", "").upper() == "REJECTED":
            yield Answer(record[sample], None, record["ASSIGNMENT:worker_id"], row, "were rejected")
        else:
            yield Answer(record[sample], record[chosen], record["ASSIGNMENT:worker_id"], row)


def _jobs(record: Mapping[str, Any]) -> list[str]:
    return [key for key in record if f"{key}-metadata" in record]


def _is_manifest(file: LabelFile) -> bool:
    return bool({"source-ref", "source"} & set(file.keys)) and bool(_jobs(file.first))


@register_export("sagemaker", help="SageMaker manifests, a teacher a labelling job", recognises=_is_manifest)
def read_manifest(file: LabelFile) -> Iterator[Answer]:
    """Read the answers of every job, named by the classes in its metadata."""
    for row, record in file.records():
        source = record.get(file.id) if file.id else record.get("source-ref", record.get("source"))
        if source is None:
            raise CosupError(f"{file.path}, row {row}: there is no 'source-ref' that names the sample")
        jobs = [file.label] if file.label else _jobs(record)
        for job in jobs:
            meta = record.get(f"{job}-metadata") or {}
            value = record.get(job)
            if isinstance(meta.get("class-map"), Mapping):
                value = list(meta["class-map"].values())
            elif "class-name" in meta:
                value = meta["class-name"]
            note = "failed" if "failure-reason" in meta else ""
            yield Answer(_key(str(source)), None if note else value, job, row, note)


def _key(source: str) -> str:
    """Return an object's key, without its bucket."""
    return re.sub(r"^s3://[^/]+/", "", source)
