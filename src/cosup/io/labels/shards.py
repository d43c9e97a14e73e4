"""Labels in several files, one for each file of features: read one after the other, never all of them dense."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cosup.io.tables import Column, Place, Table, fetched, name_of, read_npy, read_npz, read_table
from cosup.labels.top_k import TopK
from cosup.utils.shard import Shard
from cosup.utils.validation import CosupError, IntArray

__all__ = ["TABLES", "read_arrays", "read_tables", "sharded_kind"]

TABLES = (".csv", ".tsv", ".parquet")
ARRAYS = (".npy", ".npz")
BY_SAMPLE = ("annotations", "classes", "probabilities", "ids")


@dataclass(frozen=True)
class ShardedTable(Table):
    """The rows of several tables one after the other; messages name the file that a row is from.

    Attributes
    ----------
    parts : tuple of Table
        Columns alike.
    """

    parts: tuple[Table, ...] = ()

    def _within(self, row: int) -> tuple[Table, int]:
        for part in self.parts:
            if row < len(part):
                return part, row
            row -= len(part)
        raise IndexError(row)

    def number(self, row: int) -> int:
        """Return the row's number in its file."""
        part, its = self._within(row)
        return part.number(its)

    def where(self, row: int, column: int) -> str:
        """Say where a cell is."""
        part, its = self._within(row)
        return part.where(its, column)


def sharded_kind(place: Place, files: Sequence[Place]) -> str:
    """Find the one kind of all files of a folder; `CosupError` where there is none, or several."""
    known = (*TABLES, *ARRAYS)
    found = sorted({name_of(file).rpartition(".")[2].lower() for file in files})
    if len(found) != 1 or f".{found[0]}" not in known:
        raise CosupError(
            f"{place} holds {' and '.join(found) or 'no'} files; a folder of labels holds shards of one kind only: "
            f"{', '.join(known)}"
        )
    return f".{found[0]}"


def read_tables(place: Place, files: Sequence[Place]) -> tuple[Table, tuple[Shard, ...]]:
    """Read all files as one table.

    Raises
    ------
    CosupError
        If a file can't be read, or has other columns than the first.
    """
    parts = []
    for file in files:
        with fetched(file) as copy:
            parts.append(replace(read_table(copy), source=str(file)))
        if parts[-1].names != parts[0].names:
            odd = next((n for n in parts[-1].names if n not in parts[0].names), None)
            what = f"the column {odd!r}, which {files[0]} lacks" if odd else "other columns, or in another order"
            raise CosupError(f"{file} has {what}; all shards need the same columns: write this one again")
    columns = []
    for at, name in enumerate(parts[0].names):
        known: dict[str, int] = {}
        codes = [_recoded(part.columns[at], known) for part in parts]
        columns.append(Column(name, np.concatenate(codes), tuple(known)))
    table = ShardedTable(str(place), tuple(columns), parts=tuple(_bare(part) for part in parts))
    return table, tuple(Shard(name_of(file), len(part)) for file, part in zip(files, parts, strict=True))


def _recoded(column: Column, known: dict[str, int]) -> IntArray:
    lookup = np.array([*(known.setdefault(text, len(known)) for text in column.values), -1], dtype=np.int32)
    return np.asarray(lookup[column.codes])


def _bare(part: Table) -> Table:
    """Leave of a part only what tells where its rows are; its texts are in the whole."""
    return replace(part, columns=tuple(Column(column.name, column.codes, ()) for column in part.columns))


def read_arrays(files: Sequence[Place], kind: str, top_k: int | None) -> tuple[dict[str, Any], tuple[Shard, ...]]:
    """Join the arrays of all files, sample after sample; dense soft ones become `TopK` where that is asked for.

    Raises
    ------
    CosupError
        If a file can't be read, its arrays are others than the first's, or what is not of samples differs.
    """
    shards: list[Shard] = []
    by_sample: dict[str, list[Any]] = {}
    common: dict[str, Any] = {}
    for file, arrays in _each(files, kind, top_k):
        own = {key: value for key, value in arrays.items() if key not in BY_SAMPLE}
        for key in sorted((set(own) ^ set(common)) | {k for k in own if k in common and _differ(own[k], common[k])}):
            if shards:
                raise CosupError(f"{file}: {key!r} is not what it is in {files[0]}; it must be the same in all shards")
        its = {key: value for key, value in arrays.items() if key in BY_SAMPLE}
        if shards and set(its) != set(by_sample):
            odd = sorted(set(its) ^ set(by_sample))[0]
            raise CosupError(
                f"{file} {'has' if odd in its else 'lacks'} {odd!r}, unlike {files[0]}; all shards or none"
            )
        common = common or own
        lengths = {len(value) for value in its.values()}
        if len(lengths) != 1:
            raise CosupError(
                f"{file} holds arrays of {' and '.join(map(str, sorted(lengths)))} rows; all need the same"
            )
        for key, value in its.items():
            before = by_sample.setdefault(key, [])
            if before and value.shape[1:] != before[0].shape[1:]:
                raise CosupError(
                    f"{file}: {key!r} has shape {value.shape} a shard, but {before[0].shape} in {files[0]}; all shards "
                    "need the same teachers and classes"
                )
            before.append(value)
        shards.append(Shard(name_of(file), lengths.pop()))
    whole = {key: _whole(by_sample.pop(key)) for key in list(by_sample)}
    return {**common, **whole}, tuple(shards)


def _each(files: Sequence[Place], kind: str, top_k: int | None) -> Iterator[tuple[Place, dict[str, Any]]]:
    for file in files:
        with fetched(file) as copy:
            arrays = {"annotations": read_npy(copy)} if kind == ".npy" else read_npz(copy)
        if "annotations" not in arrays and len(arrays) == 1:
            arrays = {"annotations": next(iter(arrays.values()))}
        given = arrays.get("annotations")
        if given is not None and given.ndim == 3 and top_k is not None:
            try:
                arrays["annotations"] = TopK.of(given, k=top_k)
            except CosupError as error:
                raise CosupError(f"{file}: {error}") from error
        yield file, arrays


def _whole(parts: list[Any]) -> Any:
    return TopK.joined(parts) if isinstance(parts[0], TopK) else np.concatenate(parts)


def _differ(one: Any, other: Any) -> bool:
    return not np.array_equal(one, other)
