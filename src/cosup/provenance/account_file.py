"""An account on disk: a table of one row a sample, parquet or CSV, and what its columns mean in JSON beside it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cosup.provenance.account import Account
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, IntArray

__all__ = ["ACCOUNT", "PARQUET", "TABLE_CSV", "account_files", "has_parquet", "read_account"]

PARQUET, TABLE_CSV, ACCOUNT = "provenance.parquet", "provenance.csv", "provenance.json"
SCHEMA = 1

Column = tuple[Any, tuple[str, ...] | None]
"""Values, and the names that they are positions in (-1: blank); None: plain numbers (NaN: blank), flags or texts."""


def has_parquet() -> bool:
    """Whether pyarrow is installed."""
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
        What else is worth knowing of the fit: files, versions.

    Returns
    -------
    dict of str to bytes
        File name -> content: ``provenance.parquet``, or ``provenance.csv`` where pyarrow is not installed, and
        ``provenance.json``. In the table: ``id``, ``answer``, ``confidence``, ``second``, ``second_confidence``,
        ``look_rank`` (from 1), ``doubt``, ``dispute``, ``influence``; for every level k ``level k: believed``,
        ``says``, ``kept``, ``reason``, ``probability``, ``answer``; for every teacher ``says: NAME`` and
        ``support: NAME``.
    """
    columns = _columns(account)
    table = {PARQUET: _parquet(columns)} if has_parquet() else {TABLE_CSV: _csv(columns)}
    meta = {
        "schema": SCHEMA,
        "class_names": account.class_names,
        "teachers": [
            {"name": name, "level": level, "specialty": specialty}
            for name, level, specialty in zip(
                account.teachers, account.teacher_levels, account.specialties, strict=True
            )
        ],
        "levels": account.levels,
        "reasons": account.reasons,
        "facts": dict(facts or {}),
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
    facts : dict of str to str

    Raises
    ------
    CosupError
        When a file is missing, broken or of another schema, or pyarrow is needed and not installed.
    """
    folder = Path(folder)
    try:
        meta = json.loads((folder / ACCOUNT).read_bytes())
    except FileNotFoundError as error:
        raise CosupError(f"{folder} holds no {ACCOUNT}; make one with 'cosup fit --out {folder}'") from error
    except ValueError as error:
        raise CosupError(f"{folder / ACCOUNT} is not JSON ({error}); fit the model again") from error
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        found = meta.get("schema") if isinstance(meta, dict) else None
        raise CosupError(
            f"{folder / ACCOUNT} has schema {found!r}, this version of cosup reads {SCHEMA}; fit the model again"
        )
    path = folder / PARQUET if (folder / PARQUET).is_file() else folder / TABLE_CSV
    if not path.is_file():
        raise CosupError(f"{folder} holds neither {PARQUET} nor {TABLE_CSV}; fit the model again")
    try:
        codes, values = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
        return _assemble(meta, codes, values), dict(meta["facts"])
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CosupError):
            raise
        raise CosupError(f"{path} does not fit {ACCOUNT} ({error}); fit the model again") from error


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
        out[f"level {level}: believed"] = (account.believed[:, k], teachers)
        out[f"level {level}: says"] = (account.annotation[:, k], classes)
        out[f"level {level}: kept"] = (account.kept[:, k], None)
        # An empty reason is a blank: position 0 of the reasons becomes -1.
        out[f"level {level}: reason"] = (account.reason[:, k].astype(np.int32) - 1, account.reasons[1:])
        out[f"level {level}: probability"] = (account.probability[:, k], None)
        out[f"level {level}: answer"] = (account.level_answer[:, k], classes)
    for t, name in enumerate(teachers):
        out[f"says: {name}"] = (account.said[:, t], classes)
        out[f"support: {name}"] = (account.support[:, t], None)
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
"""From a column's name and the names in it to positions; from a column's name to plain values."""


def _read_parquet(path: Path) -> Reader:
    parquet: Any = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {path}")
    pyarrow: Any = import_extra("pyarrow", extra="tables", purpose=f"reading {path}")
    try:
        table = parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise CosupError(f"{path} is not a readable parquet file ({error}); fit the model again") from error

    def codes(column: str, names: tuple[str, ...]) -> IntArray:
        found = table[column].combine_chunks().dictionary_encode()
        place = {name: i for i, name in enumerate(names)}
        there = np.array([place[name] for name in found.dictionary.to_pylist()] + [-1], dtype=np.int32)
        return np.asarray(there[found.indices.fill_null(len(there) - 1).to_numpy(zero_copy_only=False)])

    def values(column: str) -> Any:
        found = table[column].combine_chunks()
        if pyarrow.types.is_string(found.type):
            return found.to_pylist()
        return found.to_numpy(zero_copy_only=False)

    return codes, values


def _read_csv(path: Path) -> Reader:
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True))
    if not rows:
        raise CosupError(f"{path} is empty; fit the model again")
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

    prefixes = [f"level {level}: " for level in levels]
    return Account(
        ids=tuple(values("id")),
        class_names=classes,
        teachers=names,
        teacher_levels=tuple(teacher["level"] for teacher in meta["teachers"]),
        specialties=tuple(
            None if teacher["specialty"] is None else tuple(teacher["specialty"]) for teacher in meta["teachers"]
        ),
        levels=levels,
        said=stack([codes(f"says: {name}", classes) for name in names]),
        support=stack([numbers(f"support: {name}") for name in names]),
        believed=stack([codes(p + "believed", names) for p in prefixes]),
        annotation=stack([codes(p + "says", classes) for p in prefixes]),
        kept=stack([values(p + "kept").astype(bool) for p in prefixes]),
        reason=stack([(codes(p + "reason", reasons[1:]) + 1).astype(np.uint8) for p in prefixes]),
        reasons=reasons,
        probability=stack([numbers(p + "probability") for p in prefixes]),
        level_answer=stack([codes(p + "answer", classes) for p in prefixes]),
        answer=codes("answer", classes),
        second=codes("second", classes),
        confidence=numbers("confidence"),
        second_confidence=numbers("second_confidence"),
        rank=values("look_rank").astype(np.int32) - 1,
        doubt=numbers("doubt"),
        dispute=numbers("dispute"),
        influence=numbers("influence"),
    )
