"""Reading a user's own features from npy, npz, csv and parquet; errors name file, row and column."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup._validation import CosupError

FORMATS = (".npy", ".npz", ".csv", ".parquet")


@dataclass(frozen=True)
class Table:
    """Rows of text with a header; where each row stands in its file, for messages."""

    path: Path
    header: tuple[str, ...]
    rows: list[list[str]]
    first_row: int  # number of the first row in the file, as an editor or viewer counts

    def column(self, name: str) -> int | None:
        """Position of the column of this name, whatever its case."""
        found = [place for place, text in enumerate(self.header) if text.lower() == name]
        return found[0] if found else None

    def where(self, row: int, column: int) -> str:
        """Say where a cell is."""
        return f"{self.path}, row {row + self.first_row}, column {column + 1} ({self.header[column]!r})"


@dataclass(frozen=True)
class Features:
    """A feature matrix (n_samples, n_features), and the samples' ids where the file has them."""

    path: Path
    X: Any
    ids: tuple[str, ...] | None


def extension(path: Path, known: Sequence[str] = FORMATS) -> str:
    """Return the file's extension, or raise CosupError that lists those that are known."""
    found = path.suffix.lower()
    if found not in known:
        raise CosupError(f"{path} has the unknown extension {found!r}; use one of {', '.join(known)}")
    return found


def read_features(path: Path) -> Features:
    """Read features.

    Parameters
    ----------
    path : Path
        ``.npy``; ``.npz`` with the key ``X`` or a single array; ``.csv`` with a header, or ``.parquet``:
        one column a feature, and an optional column ``id``.

    Returns
    -------
    Features
        Finite numbers, at least one row and one column.

    Raises
    ------
    CosupError
        For whatever is wrong with the file: what, where, what to do.
    """
    kind = extension(path)
    ids: tuple[str, ...] | None = None
    if kind == ".npy":
        X = read_npy(path)
    elif kind == ".npz":
        X = pick(path, read_npz(path), "X")
    else:
        table = read_table(path)
        ids = table_ids(table)
        X = _numbers(table)
    if X.dtype.kind not in "fiub":
        raise CosupError(f"{path} holds values of type {X.dtype}; features must be numbers")
    if X.ndim != 2 or 0 in X.shape:
        raise CosupError(
            f"{path} has shape {X.shape}; features need one row a sample and one column a feature, at least one of each"
        )
    bad = ~np.isfinite(X)
    if bad.any():
        row, column = (int(v) for v in np.argwhere(bad)[0])
        raise CosupError(
            f"{path}: the value at row {row}, column {column} (counted from 0) is {X[row, column]}, "
            f"{int(bad.sum())} such "
            "values in all; fill them in or leave these samples out"
        )
    return Features(path, X, ids)


def read_npy(path: Path) -> Any:
    """Read one array; never a pickled one."""
    _not_empty(path)
    try:
        return np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise CosupError(
            f"{path} is not a readable .npy file of numbers ({error}); write it with numpy.save, without objects"
        ) from error


def read_npz(path: Path) -> dict[str, Any]:
    """Read all the arrays of an npz file; never a pickled one."""
    _not_empty(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile, AttributeError) as error:
        raise CosupError(
            f"{path} is not a readable .npz file of numbers ({error}); write it with numpy.savez, without objects"
        ) from error


def pick(path: Path, arrays: dict[str, Any], key: str) -> Any:
    """Take the array under `key`, or the only one there is."""
    if key in arrays:
        return arrays[key]
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    raise CosupError(f"{path} holds the arrays {', '.join(sorted(arrays)) or 'none'}; name the one to use {key!r}")


def read_table(path: Path) -> Table:
    """Read a CSV file (with a header) or a parquet file as text."""
    return _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)


def _read_csv(path: Path) -> Table:
    _not_empty(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CosupError(f"{path} is not UTF-8 text (byte {error.start}); save it as CSV in UTF-8") from error
    lines: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:  # an empty line is no row
                lines.append((reader.line_num, [cell.strip() for cell in cells]))
    except csv.Error as error:
        raise CosupError(f"{path}, row {reader.line_num}: {error}; check the quotes in this row") from error
    if not lines:
        raise CosupError(f"{path} is empty; a header and one row a sample are expected")
    header = tuple(lines[0][1])
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise CosupError(
                f"{path}, row {number} has {len(cells)} cells, but the header has {len(header)}; every "
                "row needs one "
                "cell a column (quote text that holds a comma)"
            )
    return _checked(Table(path, header, [cells for _, cells in lines[1:]], first_row=2))


def _read_parquet(path: Path) -> Table:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise CosupError(f"reading {path} needs pyarrow: pip install cosup[tables]") from error
    _not_empty(path)
    try:
        read = parquet.read_table(path)
    except (ArrowException, OSError) as error:
        raise CosupError(f"{path} is not a readable parquet file ({error})") from error
    columns = [["" if value is None else str(value).strip() for value in column.to_pylist()] for column in read.columns]
    rows = [list(cells) for cells in zip(*columns, strict=True)]
    return _checked(Table(path, tuple(read.column_names), rows, first_row=1))


def _checked(table: Table) -> Table:
    names = [name.lower() for name in table.header]
    for place, name in enumerate(names):
        if not name:
            raise CosupError(f"{table.path}: column {place + 1} has no name in the header; name it")
        if names.index(name) != place:
            raise CosupError(f"{table.path}: two columns are named {name!r}; rename one")
    if not table.rows:
        raise CosupError(f"{table.path} has a header but no rows; one row a sample is expected")
    return table


def table_ids(table: Table) -> tuple[str, ...] | None:
    """Take the column ``id``: every row needs one, and no two may be the same."""
    place = table.column("id")
    if place is None:
        return None
    seen: dict[str, int] = {}
    for row, cells in enumerate(table.rows):
        value = cells[place]
        if not value:
            raise CosupError(f"{table.where(row, place)}: the id is blank; every sample needs one")
        if value in seen:
            raise CosupError(
                f"{table.where(row, place)}: the id {value!r} stands in row "
                f"{seen[value] + table.first_row} too; every "
                "sample needs an id of its own"
            )
        seen[value] = row
    return tuple(seen)


def _numbers(table: Table) -> Any:
    places = [place for place in range(len(table.header)) if place != table.column("id")]
    if not places:
        raise CosupError(f"{table.path} has no column of features beside 'id'")
    out = np.empty((len(table.rows), len(places)))
    for row, cells in enumerate(table.rows):
        for target, place in enumerate(places):
            try:
                out[row, target] = float(cells[place])
            except ValueError as error:
                shown = "blank" if not cells[place] else f"{cells[place][:40]!r}, not a number"
                raise CosupError(
                    f"{table.where(row, place)} is {shown}; fill it in or leave the sample out"
                    + (" (is the first row a header?)" if row == 0 else "")
                ) from error
            if not np.isfinite(out[row, target]):
                raise CosupError(f"{table.where(row, place)} is {cells[place]}; fill it in or leave the sample out")
    return out


def join_rows(features: Features, ids: Sequence[str] | None, n_samples: int, path: Path) -> tuple[Any, str | None]:
    """Find, for each sample of `features`, its row in a file of labels.

    Returns
    -------
    order : (n_samples,) int array
    note : str or None
        What the user should know about how the two were joined.

    Raises
    ------
    CosupError
        When the lengths differ, or ids are missing on either side: which.
    """
    if ids is not None and features.ids is not None:
        missing = [name for name in features.ids if name not in set(ids)]
        extra = [name for name in ids if name not in set(features.ids)]
        if missing or extra:
            parts = [
                f"{path} lacks {_some(missing)}" if missing else "",
                f"{features.path} lacks {_some(extra)}" if extra else "",
            ]
            raise CosupError(
                "the ids of features and labels must be the same: " + "; ".join(part for part in parts if part)
            )
        place = {name: row for row, name in enumerate(ids)}
        return np.array([place[name] for name in features.ids]), None
    if len(features.X) != n_samples:
        raise CosupError(
            f"{features.path} has {len(features.X)} samples, but {path} has {n_samples}; they must "
            "describe the same "
            "samples in the same order, or both be CSV files with a column 'id'"
        )
    one_sided = (ids is None) != (features.ids is None)
    note = "only one of the files has ids: rows were joined by their order" if one_sided else None
    return np.arange(n_samples), note


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    shown = ", ".join(listed[:5])
    return f"{len(listed)} ids ({shown}{', ...' if len(listed) > 5 else ''})"


def _not_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise CosupError(f"{path} is empty (0 bytes)")
