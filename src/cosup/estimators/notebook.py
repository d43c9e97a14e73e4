"""Show a fit in notebooks and hold it for pandas: the same list, the same array."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from cosup.estimators.supervision import PROVENANCE
from cosup.utils.tables import MOST, frame, html_table

__all__ = ["History", "Provenance"]


class History(list[dict[str, Any]]):
    """Records of the levels, a dictionary each (see `LevelRecord`), that notebooks show as a table.

    Parameters
    ----------
    records : iterable of dict
    names : sequence of str
        The teachers', by column.
    """

    def __init__(self, records: Iterable[dict[str, Any]] = (), names: Sequence[str] = ()) -> None:
        super().__init__(records)
        self.names = tuple(names)

    def __repr__(self) -> str:
        lines = [
            f"level {row['level']}: {row['kept']} of {row['samples']} samples kept, {row['outcome']}"
            for row in self._rows()
        ]
        return "\n".join([f"History({len(self)} levels)", *lines[:MOST]])

    def to_frame(self) -> Any:
        """Return a row a level, as a pandas data frame: the fields of records that are no arrays."""
        return frame({key: [row[key] for row in self._rows()] for key in _SHOWN}).set_index("level")

    def _rows(self) -> list[dict[str, Any]]:
        out = []
        for record in self:
            teachers = record["teachers"]
            named = [self.names[t] if t < len(self.names) else f"teacher {t}" for t in teachers]
            kept, assigned = np.asarray(record["kept"]), np.asarray(record["assigned"])
            rows = {**record, "teachers": ", ".join(named), "kept": int(kept.sum()), "samples": len(assigned)}
            out.append({key: rows.get(key) for key in _SHOWN})
        return out

    def _repr_html_(self) -> str:
        rows = [[_cell(row[key]) for key in _SHOWN] for row in self._rows()]
        notes = [note for record in self for note in record["notes"]]
        return html_table([key.replace("_", " ") for key in _SHOWN], rows, caption="A level a row", notes=notes)


_SHOWN = ("level", "teachers", "samples", "kept", "keep_rate", "agreement", "rounds", "alpha", "seconds", "outcome")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else text[:77] + "..."


class Provenance(np.ndarray):
    """Provenance of every sample at every level, of dtype `PROVENANCE`, that notebooks show as a table.

    A field of it is an array like any other.
    """

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return found.view(np.ndarray) if isinstance(found, Provenance) and found.dtype.names is None else found

    def __repr__(self) -> str:
        return np.array2string(np.asarray(self), threshold=MOST, prefix="Provenance(")

    def to_frame(self) -> Any:
        """Return a row a sample and level, as a pandas data frame."""
        two = np.atleast_2d(np.asarray(self)) if self.ndim != 1 else np.asarray(self)[:, None]
        sample, level = (places.ravel() for places in np.indices(two.shape))
        return frame({"sample": sample, "level": level, **{name: two[name].ravel() for name in PROVENANCE.names or ()}})

    def _repr_html_(self) -> str:
        if self.dtype.names is None or self.ndim != 2:
            return f"<pre>{np.array2string(np.asarray(self), threshold=20)}</pre>"
        levels = np.asarray(self)
        rows = []
        for k in range(levels.shape[1]):
            column = levels[:, k]
            reasons, counts = np.unique(column["reason"][~column["kept"]].astype(str), return_counts=True)
            why = ", ".join(f"{name}: {count:,}" for name, count in zip(reasons, counts, strict=True))
            rows.append((k, f"{len(column):,}", f"{int(column['kept'].sum()):,}", why or "-"))
        return html_table(
            ("level", "samples", "trained on", "not, because"), rows, caption="What became of the samples"
        )
