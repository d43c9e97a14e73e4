"""Compare two fits on the same samples: answers that flipped, classes that moved, estimates side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cosup.estimators.accuracy import STUDENT, Estimates
from cosup.provenance import Account
from cosup.utils.validation import CosupError, IntArray

__all__ = ["Comparison", "count_flips"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """The fit that another one is compared with.

    Attributes
    ----------
    account : Account
    estimates : Estimates, optional
    title : str
        What pages call it.
    """

    account: Account
    estimates: Estimates | None = None
    title: str = "the other model"

    def before(self, now: Account) -> IntArray:
        """Give this fit's answers on the samples of the other, in its class ids, (n,) int64; -1 where there is none.

        Raises
        ------
        CosupError
            If the two share no sample, or no class.
        """
        place = {name: i for i, name in enumerate(self.account.ids)}
        where = np.array([place.get(name, -1) for name in now.ids])
        if (where < 0).all():
            raise CosupError(f"{self.title} was fitted on other samples: none of its ids is among these")
        of = {name: c for c, name in enumerate(now.class_names)}
        classes = np.array([of.get(name, -1) for name in self.account.class_names] + [-1])
        if (classes < 0).all():
            raise CosupError(f"{self.title} knows other classes: none of its names is among these")
        return np.asarray(np.where(where < 0, -1, classes[self.account.answer[where]]))

    def to_json(self, now: Account, estimates: Estimates | None) -> dict[str, Any]:
        """Plain values for the page that compares."""
        before, C = self.before(now), len(now.class_names)
        both = (before >= 0) & (now.answer >= 0)
        side = []
        if self.estimates is not None and estimates is not None:
            one, other = self.estimates.to_json()["overall"], estimates.to_json()["overall"]
            of = {name: one[t] for t, name in enumerate((*self.account.teachers, STUDENT))}
            names = (*now.teachers, STUDENT)
            side = [[name, of.get(name, [None] * 3), other[t]] for t, name in enumerate(names)]
        return {
            "title": self.title,
            "both": int(both.sum()),
            "moved": int((both & (before != now.answer)).sum()),
            "flips": count_flips(before, now.answer, C),
            "before": np.bincount(before[both], minlength=C).tolist(),
            "now": np.bincount(now.answer[both], minlength=C).tolist(),
            "estimates": side,
        }


def count_flips(before: IntArray, now: IntArray, n_classes: int) -> list[list[int]]:
    """Class before, class now and number of samples whose answer changed, the most frequent first."""
    moved = (before >= 0) & (now >= 0) & (before != now)
    kinds, counts = np.unique(before[moved].astype(np.int64) * n_classes + now[moved], return_counts=True)
    order = np.argsort(-counts, kind="stable")
    return [[int(kinds[k] // n_classes), int(kinds[k] % n_classes), int(counts[k])] for k in order]
