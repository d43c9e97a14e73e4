"""Plots of a fit, after scikit-learn's Display convention: made from an estimator, drawn by `plot`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from cosup.report.drawing import require_figures
from cosup.utils.validation import CosupError, FloatArray

__all__ = ["LevelsDisplay", "TeachersDisplay", "plot_levels", "plot_teachers"]


class _Display:
    """Holds the axes that it was drawn on: ``ax_`` and ``figure_``."""

    ax_: Any
    figure_: Any

    def _axes(self, ax: Any, height: float) -> Any:
        require_figures()
        if ax is None:
            from matplotlib import pyplot

            _, ax = pyplot.subplots(figsize=(6.4, height), layout="constrained")
        self.ax_, self.figure_ = ax, ax.figure
        return ax


@dataclass(eq=False)
class TeachersDisplay(_Display):
    """Estimated accuracies of the student and of every teacher, with 90 % intervals.

    Attributes
    ----------
    names : sequence of str
    values : ndarray of shape (n, 3)
        Estimate, lower and upper end; NaN where it is not known.
    """

    names: Sequence[str]
    values: FloatArray

    @classmethod
    def from_estimator(cls, model: Any) -> Self:
        """Of a fitted estimator with ``estimates_``.

        Raises
        ------
        CosupError
            If its method estimates nothing.
        """
        known = getattr(model, "estimates_", None)
        if known is None:
            raise CosupError("this model has no estimates_: it is not fitted, or its method estimates nothing")
        table = known.to_frame()
        return cls(list(table.index), table.to_numpy())

    def plot(self, ax: Any = None) -> Self:
        """Draw a line an interval, the student at the top."""
        ax = self._axes(ax, 1.2 + 0.28 * len(self.names))
        order = [
            len(self.names) - 1,
            *np.argsort(-np.nan_to_num(self.values[:-1, 0], nan=-1.0), kind="stable").tolist(),
        ]
        for place, row in enumerate(reversed(order)):
            middle, low, high = self.values[row]
            if not np.isnan(middle):
                colour = "C0" if row == order[0] else "0.35"
                ax.plot([low, high], [place, place], color=colour, linewidth=1.5)
                ax.plot([middle], [place], "o", color=colour, markersize=5)
        ax.set(xlim=(0, 1), xlabel="estimated accuracy, 90 % interval", yticks=range(len(order)))
        ax.set_yticklabels([self.names[row] for row in reversed(order)])
        return self


@dataclass(eq=False)
class LevelsDisplay(_Display):
    """The shares of samples that every level kept, overruled, and had no label for.

    Attributes
    ----------
    levels : sequence of int
    shares : ndarray of shape (n_levels, 3)
    """

    levels: Sequence[int]
    shares: FloatArray

    @classmethod
    def from_estimator(cls, model: Any) -> Self:
        """Of an estimator as it was fitted, with ``provenance_``.

        Raises
        ------
        CosupError
            If it has none, as one that was read from disk.
        """
        provenance = getattr(model, "provenance_", None)
        if provenance is None or not provenance.size:
            raise CosupError("this model has no provenance_: it is not fitted, or was read from disk")
        kept, silent = provenance["kept"].mean(axis=0), (provenance["annotation"] < 0).mean(axis=0)
        return cls([entry["level"] for entry in model.history_], np.stack([kept, 1 - kept - silent, silent], axis=1))

    def plot(self, ax: Any = None) -> Self:
        """Draw a bar a level."""
        ax = self._axes(ax, 1.2 + 0.5 * len(self.levels))
        left = np.zeros(len(self.levels))
        names = [f"level {level}" for level in self.levels]
        for part, (name, colour) in enumerate((("kept", "C0"), ("overruled", "C1"), ("no label", "0.8"))):
            ax.barh(names, self.shares[:, part], left=left, color=colour, label=name)
            left += self.shares[:, part]
        ax.invert_yaxis()
        ax.set(xlim=(0, 1), xlabel="share of samples")
        ax.legend(ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        return self


def plot_teachers(model: Any, ax: Any = None) -> TeachersDisplay:
    """Draw the estimated accuracies of a fitted model's student and teachers."""
    return TeachersDisplay.from_estimator(model).plot(ax)


def plot_levels(model: Any, ax: Any = None) -> LevelsDisplay:
    """Draw what every level of a fitted model trained on."""
    return LevelsDisplay.from_estimator(model).plot(ax)
