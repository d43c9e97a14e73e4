"""Matrices of numbers in several files, brought together on disk: what does not fit into memory is mapped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.io.tables.arrays import check_finite
from cosup.io.tables.arrow import FeatureColumns, arrow_features
from cosup.io.tables.urls import Place, fetched, name_of, opened, require_room, size_of
from cosup.utils.optional_imports import import_extra
from cosup.utils.shard import Shard
from cosup.utils.slices import rows_within, slices
from cosup.utils.validation import BLOCK, CosupError, is_bfloat16, some

__all__ = ["MATRICES", "Matrix", "check_pairs", "gather_matrix"]

MATRICES = (".npy", ".parquet", ".safetensors")
"""Kinds of files that a matrix may be split into."""

SHARD_ROWS = 65_536
"""Rows of a table that are turned into numbers together."""


# eq=False: comparing arrays field by field has no single truth value.
@dataclass(frozen=True, eq=False)
class Matrix:
    """The rows of several files in one array, see `gather_matrix`.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_columns)
        Mapped from a file that vanishes with it.
    ids : tuple of str, or None
    shards : tuple of Shard
    names : tuple of str, or None
        Names of the columns.
    notes : tuple of str
    """

    X: Any
    ids: tuple[str, ...] | None
    shards: tuple[Shard, ...]
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def gather_matrix(places: Sequence[Place], source: Place) -> Matrix:
    """Copy the rows of several files, one after the other, into one array on disk.

    Parameters
    ----------
    places : sequence of path or URL
        ``.npy`` (n, d); ``.parquet``, one column a feature and perhaps ``id``, or one column of lists; or
        ``.safetensors`` with one tensor, or one named X. All of one kind, width and type.
    source : path or URL
        The name of all in messages.

    Returns
    -------
    Matrix

    Raises
    ------
    CosupError
        For whatever is wrong with a file: which, what, what to do; and before the work where the disk is too small.
    """
    ids: list[str] = []
    shards: list[Shard] = []
    first: Any = None
    columns: FeatureColumns | None = None
    file = tempfile.TemporaryFile(prefix="cosup-")  # noqa: SIM115 (the array that is mapped from it outlives it)
    with file:
        for place in places:
            rows = 0
            for read in _blocks(place):
                block, names = read.X, read.ids
                columns = columns or read
                _check_names(place, read, columns, places[0])
                given = block if is_bfloat16(block) or block.dtype.kind == "f" else block.astype(np.float64)
                if first is None:
                    first = given[:0]
                    _check_room(places, place, given.dtype.itemsize * given.shape[1], source)
                _check_like(place, given, first, places[0])
                check_finite(place, given, rows)
                if (names is None) != (not ids) and (rows or shards):
                    raise CosupError(
                        f"{place} {'has no' if names is None else 'has'} ids, unlike {places[0]}; all or none"
                    )
                ids += names or ()
                _write(file, given, source)
                rows += len(given)
            if not rows:
                raise CosupError(f"{place} holds no rows; leave the shard out")
            shards.append(Shard(name_of(place), rows))
        _check_ids(ids, shards)
        file.flush()
        shape = (sum(shard.rows for shard in shards), first.shape[1])
        X = np.memmap(file, dtype=first.dtype, mode="r", shape=shape)
    assert columns is not None
    return Matrix(X, tuple(ids) or None, tuple(shards), columns.names, columns.notes)


def check_pairs(
    features: Sequence[Shard], labels: Sequence[Shard], ids: tuple[Sequence[str] | None, Sequence[str] | None],
    sources: tuple[str, str],
) -> None:  # fmt: skip
    """Check that shards of labels go with shards of features: as many, of as many rows, with the same ids.

    Parameters
    ----------
    features, labels : sequence of Shard
        Nothing is checked where either is not sharded.
    ids : pair of (sequence of str, or None)
    sources : pair of str

    Raises
    ------
    CosupError
        Naming the first shard that does not.
    """
    if not features or not labels:
        return
    if len(features) != len(labels):
        longer, its = (features, 0) if len(features) > len(labels) else (labels, 1)
        raise CosupError(
            f"{sources[0]} has {len(features)} shards, but {sources[1]} has {len(labels)}: "
            f"{longer[min(len(features), len(labels))].name} of {sources[its]} goes with none; write one shard of "
            "labels for each of features"
        )
    start = 0
    for one, other in zip(features, labels, strict=True):
        if one.rows != other.rows:
            raise CosupError(
                f"the shard {one.name} of {sources[0]} has {one.rows} rows, but {other.name} of {sources[1]} has "
                f"{other.rows}; write this shard of labels again, one row for each of features"
            )
        rows = slice(start, start + one.rows)
        start += one.rows
        if ids[0] is None or ids[1] is None:
            continue
        missing = sorted(set(ids[0][rows]) - set(ids[1][rows]))
        if missing:
            raise CosupError(
                f"the shard {other.name} of {sources[1]} lacks {some(missing)} of {one.name} of {sources[0]}; shards "
                "go together in the order of their names: write both with the same samples"
            )


def _blocks(place: Place) -> Iterator[FeatureColumns]:
    """Yield rows of one file, with their ids, some at a time."""
    kind = name_of(place).rpartition(".")[2].lower()
    return _of_npy(place) if kind == "npy" else _of_parquet(place) if kind == "parquet" else _of_safetensors(place)


def _of_npy(place: Place) -> Iterator[FeatureColumns]:
    with opened(place) as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read(file)
        except ValueError as error:
            raise CosupError(f"{place} is not a readable .npy file ({error}); write it with numpy.save") from error
        if dtype.hasobject or (dtype.kind not in "fiub" and not is_bfloat16(np.empty(0, dtype))):
            raise CosupError(f"{place} holds values of type {dtype}; features must be numbers")
        if len(shape) != 2 or 0 in shape:
            raise CosupError(f"{place} has shape {shape}; one row a sample and one column a feature are expected")
        if by_columns:
            raise CosupError(f"{place} lies column by column; save numpy.ascontiguousarray of it")
        width = dtype.itemsize * shape[1]
        for rows in slices(shape[0], rows_within(BLOCK, shape[1])):
            count = rows.stop - rows.start
            data = _exactly(file, count * width, place)
            yield FeatureColumns(np.frombuffer(data, dtype=dtype).reshape(count, shape[1]), None, None)


def _exactly(file: Any, size: int, place: Place) -> bytes:
    parts = []
    while size:
        part = file.read(size)
        if not part:
            raise CosupError(f"{place} was cut short: {size} bytes and more are missing; write or copy it again")
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _of_parquet(place: Place) -> Iterator[FeatureColumns]:
    arrow = import_extra("pyarrow", extra="tables", purpose=f"reading {place}")
    parquet = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {place}")
    with opened(place) as file:
        try:
            for batch in parquet.ParquetFile(file).iter_batches(batch_size=SHARD_ROWS):
                yield arrow_features(arrow.Table.from_batches([batch]), str(place))
        except (arrow.ArrowException, OSError) as error:
            raise CosupError(f"{place} is not a readable parquet file ({error}); write it again") from error


def _of_safetensors(place: Place) -> Iterator[FeatureColumns]:
    import torch
    from safetensors import SafetensorError, safe_open

    with fetched(place) as path:
        try:
            with safe_open(path, framework="pt") as tensors:
                names = sorted(tensors.keys())
                if "X" not in names and len(names) != 1:
                    raise CosupError(f"{place} holds the tensors {some(names, 'names')}; name the one to use 'X'")
                part = tensors.get_slice("X" if "X" in names else names[0])
                shape = part.get_shape()
                if len(shape) != 2 or 0 in shape:
                    raise CosupError(f"{place} has shape {tuple(shape)}; one row a sample, one column a feature")
                for rows in slices(shape[0], rows_within(BLOCK, shape[1])):
                    block = part[rows].contiguous()
                    if block.dtype == torch.bfloat16:
                        words = block.view(torch.int16).numpy().view([("bfloat16", "<u2")])
                        yield FeatureColumns(words, None, None)
                    else:
                        yield FeatureColumns(block.numpy(), None, None)
        except (SafetensorError, OSError) as error:
            raise CosupError(f"{place} is not a readable .safetensors file ({error}); write it again") from error


def _check_room(places: Sequence[Place], first: Place, width: int, source: Place) -> None:
    """Check, before the rest is read, that there is room for all, by the size of the files."""
    sizes = [size_of(place) for place in places]
    known = [size for size in sizes if size is not None]
    if known and str(first).endswith((".npy", ".safetensors")):
        require_room(sum(known), source)
    elif known:
        with opened(first) as file:
            parquet = import_extra("pyarrow.parquet", extra="tables", purpose=f"reading {first}")
            rows = parquet.ParquetFile(file).metadata.num_rows
        require_room(int(rows * width * sum(known) / max(known[0], 1)), source)


def _check_names(place: Place, read: FeatureColumns, first: FeatureColumns, other: Place) -> None:
    if read.names != first.names:
        its, there = set(read.names or ()), set(first.names or ())
        odd = some(its ^ there, "columns") if its != there else "the same columns in another order"
        raise CosupError(
            f"{place} and {other} differ in {odd}; all shards need the same columns in the same order: write this one "
            "again"
        )


def _check_like(place: Place, block: Any, first: Any, other: Place) -> None:
    if block.shape[1] != first.shape[1] or block.dtype != first.dtype:
        raise CosupError(
            f"{place} has {block.shape[1]} features of {block.dtype}, but {other} has {first.shape[1]} of "
            f"{first.dtype}; all shards need the same: write this one again"
        )


def _check_ids(ids: Sequence[str], shards: Iterable[Shard]) -> None:
    if len(set(ids)) == len(ids):
        return
    seen: dict[str, str] = {}
    start = 0
    for shard in shards:
        for name in ids[start : start + shard.rows]:
            if name in seen:
                raise CosupError(f"the id {name!r} stands in the shards {seen[name]} and {shard.name}; keep it once")
            seen[name] = shard.name
        start += shard.rows


def _write(file: Any, block: Any, source: Place) -> None:
    try:
        file.write(np.ascontiguousarray(block).view(np.uint8))
    except OSError as error:
        raise CosupError(
            f"{source} could not be copied to {tempfile.gettempdir()} ({error.strerror}); set TMPDIR to a folder with "
            "more room"
        ) from error
