"""An account on disk: a table of one row a sample, parquet or CSV, and what its columns mean in JSON beside it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from cosup.estimators.fit_folder import check_one_fit, once_more
from cosup.provenance.account import Account
from cosup.utils.atomic_files import committed_files
from cosup.utils.available_memory import check_memory
from cosup.utils.json_files import read_json
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, IntArray

__all__ = ["ACCOUNT", "PARQUET", "TABLE_CSV", "account_files", "has_parquet", "read_account"]

PARQUET, TABLE_CSV, ACCOUNT = "provenance.parquet", "provenance.csv", "provenance.json"
SCHEMA = 1
AGAIN = "fit the model again"

Column = tuple[Any, tuple[str, ...] | None]
"""Values, and the names that they are positions in (-1: blank); None: plain numbers (NaN: blank), flags or texts."""


def has_parquet() -> bool:
    """Tell whether pyarrow is installed."""
    try:
        import_extra("pyarrow.parquet", extra="tables", purpose="parquet")
    except CosupError:
        return False
    return True


def account_files(account: Account, facts: Mapping[str, str] | None = None) -> dict[str, bytes]:
    """Encode an account for a folder.

    Parameters
    ----------
    account : Account
    facts : mapping of str to str, optional
        Further facts of the fit: files, versions.

    Returns
    -------
    dict of str to bytes
        File name -> content: ``provenance.parquet``, or ``provenance.csv`` where pyarrow is not installed, and
        ``provenance.json``. In the table: ``id``, ``answer``, ``confidence``, ``second``, ``second_confidence``,
        ``look_rank`` (from 1), ``doubt``, ``dispute``, ``influence``; for every level k ``level k: assigned``,
        ``says``, ``kept``, ``reason``, ``probability``, ``answer``; for every teacher ``says: NAME`` and
        ``support: NAME``; where neighbours are known ``nearest 1``, ... (ids) and ``distance 1``, ....
    """
    columns = _columns(account)
    table = {PARQUET: _parquet(columns)} if has_parquet() else {TABLE_CSV: _csv(columns)}
    (encoded,) = table.values()
    meta = {
        "schema": SCHEMA,
        "sha256": hashlib.sha256(encoded).hexdigest(),
        "class_names": account.class_names,
        "teachers": [
            {"name": name, "level": level, "specialty": specialty}
            for name, level, specialty in zip(
                account.teachers, account.teacher_levels, account.specialties, strict=True
            )
        ],
        "levels": account.levels,
        "reasons": account.reasons,
        "reason_texts": account.reason_texts,
        "facts": dict(facts or {}),
        "nearest": 0 if account.nearest is None else account.nearest.shape[1],
    }
    return {**table, ACCOUNT: (json.dumps(meta, indent=1) + "\n").encode("utf-8")}


def read_account(folder: str | Path) -> tuple[Account, dict[str, str]]:
    """Read what `account_files` encoded, as ``cosup fit`` leaves it.

    Parameters
    ----------
    folder : path
        Holds ``provenance.json``, and ``provenance.parquet`` or ``provenance.csv``.

    Returns
    -------
    account : Account
        What happened to every sample.
    facts : dict of str to str
        Further facts of the fit: files, versions.

    Raises
    ------
    CosupError
        When a file is missing, broken or of another schema, or pyarrow is needed and not installed.
    """
    folder = Path(folder)
    return once_more(folder, lambda: _read(folder))


def _read(folder: Path) -> tuple[Account, dict[str, str]]:
    files = committed_files(folder)
    if ACCOUNT not in files:
        raise CosupError(f"{folder} holds no {ACCOUNT}; make one with 'cosup fit --out {folder}'")
    check_one_fit(folder)
    meta = read_json(files[ACCOUNT], AGAIN)
    if not isinstance(meta, dict) or type(meta.get("schema")) is not int or meta["schema"] != SCHEMA:
        found = meta.get("schema") if isinstance(meta, dict) else None
        raise CosupError(f"{folder / ACCOUNT} has schema {found!r}, this version of cosup reads {SCHEMA}; {AGAIN}")
    _check_meta(meta, folder / ACCOUNT)
    name = next((name for name in (PARQUET, TABLE_CSV) if name in files), None)
    if name is None:
        raise CosupError(f"{folder} holds neither {PARQUET} nor {TABLE_CSV}; {AGAIN}")
    with files[name].open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if meta.get("sha256", digest) != digest:
            raise CosupError(f"{folder / name} is damaged, or of another fit than {ACCOUNT}; {AGAIN}")
        file.seek(0)
        try:
            codes, values = (_read_parquet if name == PARQUET else _read_csv)(file, folder / name)
            return _assemble(meta, codes, values), dict(meta["facts"])
        except CosupError:
            raise
        # Any error of pyarrow and numpy on columns of another type.
        except (LookupError, TypeError, ValueError, NotImplementedError, AttributeError, ArithmeticError) as error:
            raise CosupError(f"{folder / name} does not fit {ACCOUNT} ({error}); {AGAIN}") from error


def _check_meta(meta: Mapping[str, Any], path: Path) -> None:
    """Check every field of ``provenance.json`` that is known."""
    classes, teachers, levels = (meta.get(key) for key in ("class_names", "teachers", "levels"))
    reasons, texts, facts = (meta.get(key) for key in ("reasons", "reason_texts", "facts"))
    n_classes = len(classes) if isinstance(classes, list) else 0
    checks = {
        "class_names": _distinct_texts(classes),
        "teachers": isinstance(teachers, list)
        and all(_is_teacher(teacher, n_classes) for teacher in teachers)
        and _distinct_texts([teacher["name"] for teacher in teachers]),
        "levels": isinstance(levels, list)
        and bool(levels)
        and all(_is_count(level) for level in levels)
        and len(set(levels)) == len(levels),
        "reasons": _distinct_texts(reasons) and isinstance(reasons, list) and reasons[0] == "" and len(reasons) < 256,
        "reason_texts": isinstance(texts, list)
        and all(isinstance(text, str) for text in texts)
        and isinstance(reasons, list)
        and len(texts) == len(reasons),
        "facts": isinstance(facts, dict) and all(isinstance(fact, str) for fact in facts.values()),
        "sha256": isinstance(meta.get("sha256", ""), str),
        "nearest": _is_count(meta.get("nearest", 0)),
    }
    for field, good in checks.items():
        if not good:
            raise CosupError(f"{path} lacks {field!r}, or holds there what it can't; {AGAIN}")


def _distinct_texts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, str) for item in value)
        and len(set(value)) == len(value)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 31


def _is_teacher(value: Any, n_classes: int) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not _is_count(value.get("level")):
        return False
    specialty = value.get("specialty", ())
    known = isinstance(specialty, list) and all(_is_count(item) and item < n_classes for item in specialty)
    return specialty is None or known


def _columns(account: Account) -> dict[str, Column]:
    classes, teachers = account.class_names, account.teachers
    out: dict[str, Column] = {
        "id": (account.ids, None),
        "answer": (account.answer, classes),
        "confidence": (account.confidence, None),
        "second": (account.second, classes),
        "second_confidence": (account.second_confidence, None),
        "look_rank": (account.rank + 1, None),
        "doubt": (account.doubt, None),
        "dispute": (account.dispute, None),
        "influence": (account.influence, None),
    }
    for k, level in enumerate(account.levels):
        out[f"level {level}: assigned"] = (account.assigned[:, k], teachers)
        out[f"level {level}: says"] = (account.annotation[:, k], classes)
        out[f"level {level}: kept"] = (account.kept[:, k], None)
        # An empty reason is a blank: position 0 of the reasons becomes -1.
        out[f"level {level}: reason"] = (account.reason[:, k].astype(np.int32) - 1, account.reasons[1:])
        out[f"level {level}: probability"] = (account.probability[:, k], None)
        out[f"level {level}: answer"] = (account.level_answer[:, k], classes)
    for t, name in enumerate(teachers):
        out[f"says: {name}"] = (account.annotated[:, t], classes)
        out[f"support: {name}"] = (account.support[:, t], None)
    if account.nearest is not None and account.distance is not None:
        for place in range(account.nearest.shape[1]):
            out[f"nearest {place + 1}"] = (account.nearest[:, place], account.ids)
            out[f"distance {place + 1}"] = (account.distance[:, place], None)
    return out


def _parquet(columns: Mapping[str, Column]) -> bytes:
    pyarrow: Any = import_extra("pyarrow", extra="tables", purpose=f"writing {PARQUET}")
    parquet: Any = import_extra("pyarrow.parquet", extra="tables", purpose=f"writing {PARQUET}")
    arrays = []
    for values, names in columns.values():
        if names is None:
            floats = isinstance(values, np.ndarray) and values.dtype.kind == "f"
            arrays.append(pyarrow.array(values, mask=np.isnan(values) if floats else None))
        else:
            codes = pyarrow.array(np.ascontiguousarray(values, dtype=np.int32), mask=values < 0)
            arrays.append(pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(names, pyarrow.string())))
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(arrays, names=list(columns)), sink, compression="zstd")
    return sink.getvalue()


def _csv(columns: Mapping[str, Column]) -> bytes:
    texts = [_texts(values, names) for values, names in columns.values()]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*texts, strict=True))
    return buffer.getvalue().encode("utf-8")


def _texts(values: Any, names: tuple[str, ...] | None) -> list[str]:
    if names is not None:
        return ["" if code < 0 else names[code] for code in values.tolist()]
    if not isinstance(values, np.ndarray):
        return list(values)
    if values.dtype.kind == "b":
        return ["yes" if flag else "no" for flag in values.tolist()]
    if values.dtype.kind == "f":
        return ["" if math.isnan(value) else f"{value:.6g}" for value in values.tolist()]
    return [str(value) for value in values.tolist()]


Reader = tuple[Callable[[str, tuple[str, ...]], IntArray], Callable[[str], Any]]
"""Two functions of a column's name: one reads its names as positions, the other its plain values."""


def _read_parquet(file: IO[bytes], path: Path) -> Reader:
    parquet: Any = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {path}")
    pyarrow: Any = import_extra("pyarrow", extra="tables", purpose=f"reading {path}")
    try:
        held = parquet.ParquetFile(file)
        rows, columns = held.metadata.num_rows, held.metadata.num_columns
        check_memory(
            8 * rows * columns, f"{path}, {rows:,} rows of {columns:,} columns,", "look at it on a larger machine"
        )
        table = held.read()
    except (pyarrow.ArrowException, OSError) as error:
        raise CosupError(f"{path} is not a readable parquet file ({error}); {AGAIN}") from error

    def numbers(found: Any) -> Any:
        if found.null_count:
            return found.to_numpy(zero_copy_only=False)
        # Not to_numpy, which imports pandas where it is installed: four times what numpy's import takes.
        if pyarrow.types.is_boolean(found.type):
            return np.from_dlpack(found.cast(pyarrow.uint8())).view(np.bool_)
        return np.from_dlpack(found)

    def codes(column: str, names: tuple[str, ...]) -> IntArray:
        found = table[column].combine_chunks().dictionary_encode()
        place = {name: i for i, name in enumerate(names)}
        there = np.array([place[name] for name in found.dictionary.to_pylist()] + [-1], dtype=np.int32)
        # Not fill_null, for the same reason.
        indices = found.indices.cast(pyarrow.int32())
        raw = np.frombuffer(indices.buffers()[1], dtype=np.int32)[indices.offset :][: len(indices)]
        return np.asarray(there[np.where(numbers(found.is_valid()), raw, -1)])

    def values(column: str) -> Any:
        found = table[column].combine_chunks()
        if pyarrow.types.is_string(found.type):
            return found.to_pylist()
        return numbers(found)

    return codes, values


def _read_csv(file: IO[bytes], path: Path) -> Reader:
    try:
        rows = list(csv.reader(io.StringIO(file.read().decode("utf-8"), newline=""), strict=True))
    except csv.Error as error:
        raise CosupError(f"{path} is no readable CSV ({error}); {AGAIN}") from error
    if not rows:
        raise CosupError(f"{path} is empty; {AGAIN}")
    columns = dict(zip(rows[0], zip(*rows[1:], strict=True), strict=True))

    def codes(column: str, names: tuple[str, ...]) -> IntArray:
        place = {"": -1, **{name: i for i, name in enumerate(names)}}
        return np.array([place[text] for text in columns[column]], dtype=np.int32)

    def values(column: str) -> Any:
        texts = columns[column]
        if column == "id":
            return texts
        if column.endswith(": kept"):
            return np.array([text == "yes" for text in texts])
        return np.array([math.nan if text == "" else float(text) for text in texts])

    return codes, values


def _assemble(meta: Mapping[str, Any], codes: Any, values: Any) -> Account:
    classes = tuple(meta["class_names"])
    names = tuple(teacher["name"] for teacher in meta["teachers"])
    levels, reasons = tuple(meta["levels"]), tuple(meta["reasons"])

    def numbers(column: str) -> Any:
        return values(column).astype(np.float32)

    def stack(parts: list[Any]) -> Any:
        return np.stack(parts, axis=1)

    ids = tuple(values("id"))
    rank = values("look_rank")
    if not all(isinstance(name, str) for name in ids) or len(set(ids)) != len(ids) or not ids:
        raise ValueError("ids are missing, no texts, or not distinct")
    if not (np.isfinite(rank).all() and (np.abs(rank) <= len(ids)).all()):
        raise ValueError("look_rank holds no ranks")
    prefixes = [f"level {level}: " for level in levels]
    near = range(1, meta.get("nearest", 0) + 1)
    return Account(
        ids=ids,
        class_names=classes,
        teachers=names,
        teacher_levels=tuple(teacher["level"] for teacher in meta["teachers"]),
        specialties=tuple(
            None if teacher["specialty"] is None else tuple(teacher["specialty"]) for teacher in meta["teachers"]
        ),
        levels=levels,
        annotated=stack([codes(f"says: {name}", classes) for name in names]),
        support=stack([numbers(f"support: {name}") for name in names]),
        assigned=stack([codes(p + "assigned", names) for p in prefixes]),
        annotation=stack([codes(p + "says", classes) for p in prefixes]),
        kept=stack([values(p + "kept").astype(bool) for p in prefixes]),
        reason=stack([(codes(p + "reason", reasons[1:]) + 1).astype(np.uint8) for p in prefixes]),
        reasons=reasons,
        reason_texts=tuple(meta["reason_texts"]),
        probability=stack([numbers(p + "probability") for p in prefixes]),
        level_answer=stack([codes(p + "answer", classes) for p in prefixes]),
        answer=codes("answer", classes),
        second=codes("second", classes),
        confidence=numbers("confidence"),
        second_confidence=numbers("second_confidence"),
        rank=rank.astype(np.int32) - 1,
        doubt=numbers("doubt"),
        dispute=numbers("dispute"),
        influence=numbers("influence"),
        nearest=stack([codes(f"nearest {place}", ids) for place in near]) if near else None,
        distance=stack([numbers(f"distance {place}") for place in near]) if near else None,
    )
