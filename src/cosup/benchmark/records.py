"""Write a run's record, name it, read it back and check it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.utils import atomic_files as whole
from cosup.utils.json_files import read_json
from cosup.utils.validation import BoolArray, CosupError

Record = dict[str, Any]

SCHEMA = 1
RECIPE = 2
"""Part of every run's name: raise it when the meaning of a run changes, and old records are measured anew."""
RECORDS_NAME = "records.jsonl"
SAMPLES_NAME = "samples.json"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def canonical(value: Any) -> str:
    """Write JSON text that is the same for equal values; raise CosupError for a value that JSON can't hold."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    except (TypeError, ValueError) as error:
        raise CosupError(
            f"parameters and options must be JSON values (text, number, list, true, false, null): {error}"
        ) from error


def run_id(
    task: str, task_options: Mapping[str, Any], label: str, method: str, parameters: Mapping[str, Any], seed: int,
    protocol: str,
) -> str:  # fmt: skip
    """Name a run by what defines it: 16 hex digits of a SHA-256."""
    definition = {
        "task": task,
        "task_options": dict(task_options),
        "label": label,
        "method": method,
        "parameters": dict(parameters),
        "seed": int(seed),
        "protocol": protocol,
        "recipe": RECIPE,
    }
    return hashlib.sha256(canonical(definition).encode()).hexdigest()[:16]


def task_label(name: str, options: Mapping[str, Any]) -> str:
    """Name a task with its options in tables: ``hierarchy (n_train=200)``."""
    if not options:
        return name
    return f"{name} ({', '.join(f'{key}={value}' for key, value in sorted(options.items()))})"


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file completely or not at all: to a temporary name beside it, then renamed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole.write_whole(path, content)


def encode_correct(correct: BoolArray) -> str:
    """Pack right/wrong into text: base64 of numpy's packed bits."""
    return base64.b64encode(np.packbits(correct).tobytes()).decode("ascii")


def decode_correct(record: Mapping[str, Any], field: str = "correct") -> BoolArray:
    """Decode whether each test sample of a run was predicted right.

    Parameters
    ----------
    record : mapping
        A record without an error.
    field : {"correct", "weak_correct", "ceiling_correct", "last_correct", "last_ceiling_correct"}
        The last two only where an epoch was chosen on test samples.

    Returns
    -------
    (n_test,) bool array
        Whether each test sample was answered right.

    Raises
    ------
    CosupError
        When the field isn't base64 of ``n_test`` bits.
    """
    n_test = int(record["n_test"])
    try:
        raw = base64.b64decode(record[field], validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise CosupError(f"run {record.get('run')}: {field} is not base64 ({error})") from error
    if len(raw) != (n_test + 7) // 8:
        raise CosupError(f"run {record.get('run')}: {field} holds {len(raw)} bytes for {n_test} test samples")
    return np.unpackbits(np.frombuffer(raw, dtype=np.uint8), count=n_test).astype(np.bool_)


def begin_records(path: Path) -> None:
    """Make the file of records, or drop from it what an interrupted write tore.

    Raises
    ------
    CosupError
        If it can't be written, or is a link: what that leads to is not written to.
    """
    try:
        if path.is_symlink():
            raise CosupError(f"{path} is a link, which is not followed; copy the file there, or name another folder")
        path.touch()
        repair(path)
    except OSError as error:
        raise CosupError(f"{path} can't be written: {error.strerror}; name another folder") from error


def append_record(path: Path, record: Record) -> None:
    """Add one line and make sure that it is on disk before going on: the whole line, or nothing of it."""
    line = json.dumps(record, allow_nan=False, ensure_ascii=False, separators=(",", ":")) + "\n"
    # Unbuffered: a buffer that a full disk refused would be written once more when the file is closed.
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        rest = memoryview(line.encode("utf-8"))
        try:
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            error.filename = str(path)
            raise


def repair(path: Path) -> None:
    """Drop the last line if an interrupted write tore it, so that the next one starts on its own line."""
    data = path.read_bytes()
    if not data or data.endswith(b"\n"):
        return
    start = data.rfind(b"\n") + 1
    try:
        json.loads(data[start:])
    except (ValueError, RecursionError):
        with path.open("r+b") as file:
            file.truncate(start)
    else:  # complete, only its line end is missing
        with path.open("ab") as file:
            file.write(b"\n")


def read_records(folder: str | Path) -> list[Record]:
    """Read and check the records of a benchmark.

    Parameters
    ----------
    folder : path
        The folder that was given to `run_benchmark` as `out`.

    Returns
    -------
    list of dict
        One record a run, in the order in which the runs first appear; of a run that was tried again (after an
        error) the last record. A torn last line is left out.

    Raises
    ------
    CosupError
        When there is no records.jsonl, or a line isn't a record of this schema: which line, and why.
    """
    path = Path(folder) / RECORDS_NAME
    if not path.is_file():
        raise CosupError(
            f"{path} does not exist; run 'cosup bench --out {folder}' or 'cosup demo --out {folder}' first"
        )
    lines = path.read_bytes().split(b"\n")
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            if number == len(lines):  # torn: it has no line end
                continue
            raise CosupError(
                f"{path}, line {number} is not JSON ({error}); remove this line, the run is then repeated"
            ) from error
        check_record(record, f"{path}, line {number}")
        records[record["run"]] = record
    return list(records.values())


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a JSON number")


def read_samples(folder: str | Path) -> list[dict[str, Any]]:
    """Read and check the pictures of kept and rejected samples; an empty list when there are none."""
    path = Path(folder) / SAMPLES_NAME
    if not path.is_file():
        return []
    samples = read_json(path, "delete it, the report goes without pictures")
    if not isinstance(samples, list):
        raise CosupError(f"{path} must hold a list; delete it, the report goes without pictures")
    for place, sample in enumerate(samples):
        _check_sample(sample, f"{path}, entry {place}")
    return samples


def _check_sample(sample: Any, where: str) -> None:
    good = (
        isinstance(sample, dict)
        and all(
            isinstance(sample.get(f), str)
            for f in ("task", "image", "teacher", "annotation", "student", "truth", "reason")
        )
        and isinstance(sample.get("kept"), bool)
        and (sample.get("probability") is None or _share(sample["probability"]))
    )
    if good:
        try:
            good = base64.b64decode(sample["image"], validate=True).startswith(PNG_SIGNATURE)
        except (binascii.Error, ValueError):
            good = False
    if not good:
        raise CosupError(f"{where} is not a picture of a sample; delete the file, the report goes without pictures")


# -- the schema, one check a field ---------------------------------------------------------------------------


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _optional(check: Any) -> Any:
    return lambda value: value is None or check(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _matrix(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(row, list) and all(_count(v) for v in row) for row in value)
        and len({len(row) for row in value}) <= 1
    )


_ALWAYS = {
    "run": _text,
    "schema": _count,
    "task": _text,
    "task_options": _mapping,
    "method": _text,
    "label": _text,
    "parameters": _mapping,
    "seed": _count,
    "protocol": _text,
    "seconds": _optional(_number),
    "peak_memory_mb": _optional(_number),
    "versions": _mapping,
    "error": _optional(_text),
}
_MEASURED = {
    "n_train": _count,
    "n_test": _count,
    "n_classes": _count,
    "weak": _share,
    "student": _share,
    "ceiling": _share,
    "pgr": _optional(_number),
    "correct": _text,
    "weak_correct": _text,
    "ceiling_correct": _text,
    "levels": lambda value: isinstance(value, list),
    "per_class": lambda value: isinstance(value, list) and all(_optional(_share)(v) for v in value),
}
_LEVEL = {
    "level": _count,
    "teachers": _texts,
    "assigned_accuracy": _optional(_share),
    "keep_rate": _optional(_share),
    "precision": _optional(_share),
    "recall": _optional(_share),
    "student": _optional(_share),
    "agreement": _optional(_share),
    "objective": _optional(_number),
    "rounds": _optional(_count),
    "seconds": _optional(_number),
    "notes": _texts,
    "assignment": _matrix,
}
_TEACHER = {
    "teacher": _text,
    "samples": _count,
    "student": _optional(_share),
    "said": _optional(_share),
    "found": _optional(_share),
}
_EXTRA = {
    "task_description": _text,
    "class_names": _texts,
    "machine": _text,
    "command": _optional(_text),
    "n_features": _optional(_count),
    "fit_memory_mb": _optional(_number),
    "macro_f1": _optional(_share),
    "per_teacher": lambda value: isinstance(value, list),
    "factors": lambda value: _mapping(value) and all(_text(v) for v in value.values()),
    # Of the published protocol: what was chosen on the test samples, the accuracy after every epoch, and the last one.
    "selected": lambda value: value in (None, "best epoch on test"),
    "epochs": lambda value: isinstance(value, list) and all(_share(v) for v in value),
    "last": _optional(_share),
    "last_correct": _optional(_text),
    "last_ceiling": _optional(_share),
    "last_ceiling_correct": _optional(_text),
}
"""Fields that records need not have, with what stands for them."""
_ABSENT: dict[str, Any] = {
    **dict.fromkeys(_EXTRA), "task_description": "", "class_names": [], "machine": "", "per_teacher": [],
    "factors": {}, "epochs": [],
}  # fmt: skip


def check_record(record: Any, where: str) -> None:
    """Raise CosupError unless `record` is a run of this schema, naming the first field that is wrong."""
    if not isinstance(record, dict):
        raise CosupError(f"{where} is not a record: a JSON object is expected")
    if record.get("schema") != SCHEMA:
        raise CosupError(
            f"{where} has schema {record.get('schema')!r}; this version of cosup reads schema {SCHEMA}. "
            "Measure into a new folder, or use the version that wrote it"
        )
    _check_fields(record, _ALWAYS, where)
    _check_fields({**_ABSENT, **record}, _EXTRA, where)
    if record["error"] is not None:
        return
    _check_fields(record, _MEASURED, where)
    for place, level in enumerate(record["levels"]):
        if not isinstance(level, dict):
            raise CosupError(f"{where}: levels[{place}] must be an object")
        _check_fields(level, _LEVEL, f"{where}, levels[{place}]")
        if level["assignment"] and len(level["assignment"]) != len(level["teachers"]):
            raise CosupError(f"{where}, levels[{place}]: assignment must have one row a teacher")
    for place, teacher in enumerate(record.get("per_teacher", [])):
        if not isinstance(teacher, dict):
            raise CosupError(f"{where}: per_teacher[{place}] must be an object")
        _check_fields(teacher, _TEACHER, f"{where}, per_teacher[{place}]")
    bits = [("correct", "student"), ("weak_correct", "weak"), ("ceiling_correct", "ceiling")]
    if record.get("selected") is not None:
        bits += [("last_correct", "last"), ("last_ceiling_correct", "last_ceiling")]
    for field, accuracy in bits:
        if record.get(field) is None or record.get(accuracy) is None:
            raise CosupError(f"{where}: the field {field!r} or {accuracy!r} is missing")
        share = float(decode_correct(record, field).mean()) if record["n_test"] else -1.0
        if abs(share - record[accuracy]) > 1e-6:
            raise CosupError(f"{where}: {accuracy} is {record[accuracy]} but {field} says {share:.6f}")


def _check_fields(record: Mapping[str, Any], checks: Mapping[str, Any], where: str) -> None:
    for field, check in checks.items():
        if field not in record:
            raise CosupError(f"{where}: the field {field!r} is missing")
        if not check(record[field]):
            shown = repr(record[field])
            raise CosupError(f"{where}: the field {field!r} has a value it can't have: {shown[:80]}")


def write_samples(folder: Path, task: str, samples: Sequence[Mapping[str, Any]]) -> None:
    """Replace the pictures of one task in samples.json, keeping those of the others."""
    others = [sample for sample in read_samples(folder) if sample["task"] != task]
    write_whole(folder / SAMPLES_NAME, json.dumps([*others, *samples], indent=1, allow_nan=False))
