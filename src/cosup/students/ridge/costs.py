"""Costs of the ridge student, counted from the constants that its training goes by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cosup.students.costs import Operations
from cosup.students.ridge.calibration import GUESS, holds_scores
from cosup.students.ridge.gram import KEPT
from cosup.students.ridge.grid import GRID, VAST
from cosup.students.ridge.loo_errors import CURVES, SEARCHED, WORTHWHILE
from cosup.utils.paired import SOME
from cosup.utils.row_blocks import BLOCK_BYTES, LARGE

__all__ = ["RidgeCosts", "moment_count", "sought_count", "summed_count"]

ALPHAS = len(GRID)

HALF = 2
"""From this many classes a feature, the discriminant is taken to be what scores are read by (in halves)."""

TORCH = 1 << 28
"""Bytes that importing torch takes, which the ridge does for large products only."""


def moment_count(n: float, d: int, c: int, *, soft: bool) -> tuple[str, float]:
    """Name the kernel of the targets' moments, and count it: rows are added up by class id, or multiplied."""
    return ("moment soft", n * d * c) if soft else ("moment hard", n * d)


def summed_count(n: float, d: int, c: int, *, soft: bool) -> float:
    """Count what leave-one-out errors on the grid take by sums; soft targets take a product with the classes more."""
    return n * d * (d + ALPHAS + (c if soft else 0))


LIKELY = 5
"""Regularisations that all samples are predicted at, where some samples exclude the others."""


def asked_count(n: float) -> float:
    """Count the samples that tell which read-out to take, where some leave no doubt."""
    return SOME if n >= 4 * SOME else n


def sought_count(n: float) -> float:
    """Count the samples that a search for the likeliest inverse temperature looks at."""
    return asked_count(n) + 2 * GUESS


def predicted_count(n: float, d: int, c: int) -> float:
    """Count what leave-one-out errors on the grid take by predictions."""
    if n < 4 * SEARCHED:
        return n * d * c * ALPHAS
    return (SEARCHED * ALPHAS + n * LIKELY) * d * c


@dataclass(frozen=True)
class RidgeCosts:
    """Operations and memory of a ridge student on n samples of d features.

    Attributes
    ----------
    n, d : int
    dtype : str
    chosen_on : float
        Samples that alphas and inverse temperature are chosen on.
    """

    n: float
    d: int
    dtype: str
    chosen_on: float

    @property
    def kept(self) -> bool:
        """Whether centred features stay in memory, so that they are read once."""
        return 8 * self.n * self.d <= KEPT

    def discriminant(self, c: int) -> bool:
        """Tell whether the discriminant is the calibration that is expected."""
        return HALF * c >= self.d

    def _summed(self, c: int) -> bool:
        return c * ALPHAS >= WORTHWHILE * min(self.n, self.d)

    def _large(self, n: float, c: int) -> bool:
        return n * self.d * c >= LARGE

    def scores(self, c: int, passes: float, n: float) -> Iterator[Operations]:
        """Yield products of features and weights: of all samples once a training, or of `n` anew for every pass."""
        if c <= self.d:  # of more classes, they are part of every pass's rate
            rows, times = (self.n, 1.0) if holds_scores(self.n, self.d, c) else (n, passes)
            yield Operations(
                "multiplying by weights", "scores", times * rows * self.d * c, self.d, c, large=self._large(n, c)
            )

    def reads(self, double: float, single: float, n: float | None = None) -> Iterator[Operations]:
        """Yield passes over the features where these are not kept."""
        rows = self.n if n is None else n
        if not self.kept:
            yield Operations("reading features", f"read {self.dtype}", double * rows * self.d, self.d)
            yield Operations("reading features", f"read single {self.dtype}", single * rows * self.d, self.d)

    def copies(self, passes: float, n: float) -> Iterator[Operations]:
        """Yield copies of a part of the samples' rows, out of features that are kept."""
        if self.kept:
            yield Operations("reading features", "read float64", passes * n * self.d, self.d)

    def prepared(self) -> Iterator[Operations]:
        """Yield the operations of checking and centring."""
        n, d = self.n, self.d
        yield Operations("checking features", f"check {self.dtype}", n * d, d)
        yield Operations("reading features", f"read {self.dtype}", n * d * (2 if self.kept else 1), d)
        if self.kept:
            yield Operations("reading features", f"read single {self.dtype}", n * d, d)
            yield Operations("fresh memory", "fresh memory", 12 * n * d)

    def factor(self, c: int, n: float | None = None, gram_of: float | None = None) -> Iterator[Operations]:
        """Yield second moments, their eigenvectors and whatever all alphas share."""
        n, d = self.n if n is None else n, self.d
        chosen = min(n, self.chosen_on)
        yield Operations("second moments", "gram", (n if gram_of is None else gram_of) * d * d, d)
        yield Operations("eigenvectors", "eigh", float(d) ** 3, d, spread=False)
        yield Operations("leverages", "leverages", n * d * (d + ALPHAS), d)
        yield from self.reads(2, 0, n)
        if self._summed(c):
            yield Operations("choosing alpha", "curves", chosen * d * d, d)
            yield from self.reads(0, 1, chosen)

    def training(
        self, c: int, *, soft: bool, first: bool, n: float | None = None, choose: bool = True
    ) -> Iterator[Operations]:
        """Yield the operations of one training: moments, regularisation, calibration."""
        n, d = self.n if n is None else n, self.d
        kind, chosen, large = "soft" if soft else "hard", min(n, self.chosen_on), self._large(n, c)
        yield Operations("moments of targets", *moment_count(n, d, c, soft=soft), d, c)
        if choose and self._summed(c):
            summed = summed_count(chosen, d, c, soft=soft)
            yield Operations("choosing alpha", f"errors summed {kind}", summed, d, c, large=large)
        elif choose:
            yield Operations("choosing alpha", "errors predicted", predicted_count(chosen, d, c), d, c)
        sought, asked = sought_count(chosen), asked_count(chosen)
        yield Operations("choosing the read-out", f"compare {kind}", asked * d * c, d, c, large=large)
        # The discriminant's own products and solution, whatever the number of samples.
        yield Operations("choosing the read-out", "predict float64", 4 * d * float(c) ** 2, d, c, spread=False)
        yield Operations("choosing the read-out", "cholesky", 2 * float(c) ** 3, c, spread=False)
        if self.discriminant(c):
            yield Operations("choosing the read-out", f"discriminant {kind}", sought * d * c, d, c, large=large)
        elif first:
            yield Operations("choosing the read-out", f"inverse temperature {kind}", sought * d * c, d, c, large=large)
        yield from self.scores(c, 1.0 + (self.discriminant(c) or first), asked)
        held = holds_scores(self.n, self.d, c)
        yield from self.reads(1 + held, 0, n)
        again = 0.0 if held else 2 + 1.5 * self.discriminant(c)
        yield from self.reads(0, float(choose), chosen)
        yield from self.reads(0, again, asked)
        yield Operations("overhead", "round", 1, spread=False)

    def blocks(self, c: int, n: float | None = None) -> Iterator[Operations]:
        """Leave-one-out probabilities of all samples."""
        n = self.n if n is None else n
        kind = "discriminant" if self.discriminant(c) else "scores"
        single = self._large(n, c) and self.dtype != "float64"
        yield Operations("predicting samples", f"blocks {kind}", n * self.d * c, self.d, c, large=single)
        if not holds_scores(self.n, self.d, c):
            yield from self.scores(c, 1, n)
            yield from self.reads(*((0, 1) if single else (1, 0)), n)

    def peak_bytes(self, c: int) -> int:
        """Count the bytes that training and predicting in blocks take at the most, beside features and targets."""
        n, d = int(self.n), self.d
        centred = (12 + 8) * n * d if self.kept else 0  # and coordinates, of all samples and of a subset
        scores = 24 * n * c if holds_scores(n, d, c) else 0  # of three trainings
        factors = 80 * d * d + 16 * ALPHAS * n  # of all samples, and of a subset
        if self._summed(c):
            factors += 12 * CURVES * d * d
        library = TORCH if self._large(n, c) or n * d * min(n, d) >= VAST else 0
        held = library + centred + scores + factors
        return held + 8 * (ALPHAS + 5) * d * c + 32 * c * c + 32 * n + 10 * BLOCK_BYTES
