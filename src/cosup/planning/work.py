"""Count the runs of every measured kernel: the formulas of docs/reference/memory.md, one function a stage.

n samples, d features, c classes, m_k teachers at level k, T in all. A term whose count grows with the samples can be
spread over machines; the others can't.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from cosup.cosupervision import CoSupervisedClassifier
from cosup.cosupervision.hierarchy import REMEMBERED
from cosup.methods import DEFAULT
from cosup.planning.engine_rates import LISTED
from cosup.planning.job import Job
from cosup.students.ridge.calibration import GUESS, HELD
from cosup.students.ridge.gram import KEPT, MANY
from cosup.students.ridge.grid import GRID
from cosup.students.ridge.loo_errors import WORTHWHILE
from cosup.utils.row_blocks import LARGE
from cosup.utils.row_store import IN_MEMORY

__all__ = ["CHOOSE_ON", "HEARD", "KEEP_RATE", "Term", "fit_terms", "predict_terms", "teach_terms"]

ALPHAS = len(GRID)
ROUNDS = CoSupervisedClassifier().rounds
EPOCHS = 20
"""Of the released recipe, on all samples; with fewer, it takes as many more."""

KEEP_RATE = 0.6
"""Share of the annotations that the paper's checks keep: what the data decide, and the plan can't know."""

HALF = 2
"""From this many classes a feature, the discriminant is taken to be what scores are read by (in halves)."""

CHOOSE_ON, HEARD = 1_000_000, 8
"""Of the sharded design: samples that alphas, inverse temperature and trust are chosen on, and teachers a level that
are read on a sample: those with the largest gates."""

TEACHER_STEPS, TEACHER_BATCH = 1000, 256
"""Of the published teachers."""


@dataclass(frozen=True)
class Term:
    """Operations of one kernel.

    Attributes
    ----------
    what : str
        In words; terms of the same are added up in the table.
    kernel : str
    count : float
    x, y : int
        The size that the kernel's rate is looked up at.
    spread : bool
        Whether it grows with the samples.
    large : bool
        Whether products are torch's in single precision.
    """

    what: str
    kernel: str
    count: float
    x: int = 1
    y: int = 1
    spread: bool = True
    large: bool = False

    def times(self, factor: float) -> Term:
        """So many of them."""
        return replace(self, count=self.count * factor)

    def reading(self, top_k: int | None) -> Iterator[Term]:
        """Count it on annotations of `top_k` classes with probabilities: as much dearer as they are more."""
        more = (top_k - 1) / (LISTED - 1) if top_k else 0.0
        if more != 1:
            yield self.times(1 - more)
        if more:
            yield replace(self.times(more), kernel=f"{self.kernel} listed")


@dataclass(frozen=True)
class Ridge:
    """A ridge student on n samples of d features, as `cosup.students` trains it.

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
        """Which read-out is expected."""
        return HALF * c >= self.d

    def _summed(self, c: int) -> bool:
        return c * ALPHAS >= WORTHWHILE * min(self.n, self.d)

    def _large(self, n: float, c: int) -> bool:
        return n * self.d * c >= LARGE

    def scores(self, c: int, passes: float, n: float) -> Iterator[Term]:
        """Products of features and weights: of all samples once a training, or of `n` anew for every pass."""
        if c <= self.d:  # of more classes, they are part of every pass's rate
            rows, times = (self.n, 1.0) if self.kept else (n, passes)
            yield Term(
                "multiplying by weights", "scores", times * rows * self.d * c, self.d, c, large=self._large(n, c)
            )

    def reads(self, double: float, single: float, n: float | None = None) -> Iterator[Term]:
        """Passes over the features where these are not kept."""
        rows = self.n if n is None else n
        if not self.kept:
            yield Term("reading features", f"read {self.dtype}", double * rows * self.d, self.d)
            yield Term("reading features", f"read single {self.dtype}", single * rows * self.d, self.d)

    def copies(self, passes: float, n: float) -> Iterator[Term]:
        """Rows of a part of the samples, copied out of features that are kept."""
        if self.kept:
            yield Term("reading features", "read float64", passes * n * self.d, self.d)

    def prepared(self) -> Iterator[Term]:
        """Checked and centred."""
        n, d = self.n, self.d
        yield Term("checking features", f"check {self.dtype}", n * d, d)
        yield Term("reading features", f"read {self.dtype}", n * d * (2 if self.kept else 1), d)
        if self.kept:
            yield Term("reading features", f"read single {self.dtype}", n * d, d)
            yield Term("fresh memory", "fresh memory", 12 * n * d)

    def factor(self, c: int, n: float | None = None, gram_of: float | None = None) -> Iterator[Term]:
        """Second moments, their eigenvectors and what all alphas share."""
        n, d = self.n if n is None else n, self.d
        chosen = min(n, self.chosen_on)
        yield Term("second moments", "gram", (n if gram_of is None else gram_of) * d * d, d)
        yield Term("eigenvectors", "eigh", float(d) ** 3, d, spread=False)
        yield Term("leverages", "leverages", n * d * (d + ALPHAS), d)
        yield from self.reads(2, 0, n)
        if self._summed(c):
            yield Term("choosing alpha", "curves", chosen * d * d, d)
            yield from self.reads(0, 1, chosen)

    def training(
        self, c: int, *, soft: bool, first: bool, n: float | None = None, choose: bool = True
    ) -> Iterator[Term]:
        """One training: moments, regularisation, read-out."""
        n, d = self.n if n is None else n, self.d
        kind, chosen, large = "soft" if soft else "hard", min(n, self.chosen_on), self._large(n, c)
        added = not soft and c >= MANY
        yield Term("moments of targets", f"moment {kind}" + " added" * added, n * d * (1 if added else c), d, c)
        if choose and self._summed(c):
            work = d + ALPHAS + (c if soft else 0)
            yield Term("choosing alpha", f"errors summed {kind}", chosen * d * work, d, c, large=large)
        elif choose:
            yield Term("choosing alpha", "errors predicted", chosen * d * c * ALPHAS, d, c)
        sought = chosen + 2 * GUESS
        narrow = self.discriminant(c) and 4 * n * (d + 1) <= HELD and d + 1 < c
        yield Term("choosing the read-out", f"compare {kind}", chosen * d * c, d, c, large=large)
        # The discriminant's own products and solution, whatever the number of samples.
        yield Term("choosing the read-out", "predict float64", 4 * d * float(c) ** 2, d, c, spread=False)
        yield Term("choosing the read-out", "cholesky", 2 * float(c) ** 3, c, spread=False)
        if self.discriminant(c):
            yield Term("choosing the read-out", f"discriminant {kind}", sought * d * c, d, c, large=large)
        elif first:
            yield Term("choosing the read-out", f"inverse temperature {kind}", sought * d * c, d, c, large=large)
        yield from self.scores(c, 1.0 + (self.discriminant(c) or first), chosen)
        yield from self.reads(1, 0, n)
        yield from self.reads(0, float(choose) + 2 + (0 if narrow else 1.5 * self.discriminant(c)), chosen)
        yield Term("overhead", "round", 1, spread=False)

    def blocks(self, c: int, n: float | None = None) -> Iterator[Term]:
        """Leave-one-out probabilities of all samples."""
        n = self.n if n is None else n
        kind = "discriminant" if self.discriminant(c) else "scores"
        single = self._large(n, c) and self.dtype != "float64"
        yield Term("predicting samples", f"blocks {kind}", n * self.d * c, self.d, c, large=single)
        if not self.kept:
            yield from self.scores(c, 1, n)
        yield from self.reads(*((0, 1) if single else (1, 0)), n)


def fit_terms(job: Job, d: int, method: str, *, factor: bool = True) -> list[Term]:
    """All of one fit; without `factor`, what a sweep does again on features that it has factorised before."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    ridge = Ridge(n, d, job.dtype, CHOOSE_ON if job.sharded else n)
    terms: list[Term] = []
    if method == "csl-published":
        terms += [Term("checking features", f"check {job.dtype}", n * d, d), *_published(job, d)]
    else:
        terms += [*ridge.prepared(), *ridge.factor(c)] if factor else []
        play = {DEFAULT: _pooled, "csl": _paper, "vanilla": _vanilla}[method]
        terms += play(job, ridge)
    if method != "vanilla":
        T = sum(sizes)
        terms += Term("arranging the hierarchy", "hierarchy", n * c * T, T, c).reading(job.top_k)
        terms += Term("estimating accuracies", "estimates", n * T * (c + 20), T, c).reading(job.top_k)
    terms.append(Term("provenance", "provenance", n * len(sizes)))
    return terms


def _worked(sizes: Sequence[int]) -> list[int]:
    """Levels that are played: not that of a lone generalist."""
    return [k for k, m in enumerate(sizes) if k > 0 or m > 1]


def _held(n: float, c: int, what: str, passes: float = 31) -> Iterator[Term]:
    """Marginals held, in memory or, where that is too much, in a file."""
    yield Term(what, "marginals", n * c, 1, c)
    if 8 * n * c > IN_MEMORY:
        yield Term(what, "spilled", n * c * (passes + 1))


def _start(ridge: Ridge, c: int) -> Iterator[Term]:
    """The student of the generalists, and how well it says what they say."""
    yield from ridge.training(c, soft=False, first=True)
    yield from ridge.blocks(c)


def _pooled(job: Job, ridge: Ridge) -> Iterator[Term]:
    """`CoSupervisedClassifier`: rounds of gate, experts, pool and a new student."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    some = min(n, ridge.chosen_on)
    yield Term("whom to trust", "repeats", some)
    yield Term("whom to trust", "pairs", some * sum(sizes) * (sum(sizes) - 1) / 2)
    yield from _start(ridge, c)
    # The class prior: the first student's predictions and the generalists' annotations, once each.
    yield from ridge.blocks(c)
    yield Term("class prior", "mass", n * c * sizes[0], sizes[0], c)
    soft = ridge.discriminant(c)
    for k in _worked(sizes):
        for term in _round(job, ridge, k, soft):
            yield term.times(ROUNDS)
        yield from ridge.blocks(c)
        yield Term("predicting samples", "predicted class", n * c, 1, c)
    yield from ridge.blocks(c)
    yield from ridge.blocks(c)


def _round(job: Job, ridge: Ridge, k: int, soft: bool) -> Iterator[Term]:
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    yield from ridge.blocks(c)
    yield from _held(n, c, "holding marginals")
    for j in range(k + 1):
        m = sizes[j]
        read = min(m, HEARD) if job.sharded else m
        yield Term("gates", "mass", n * c * m, m, c)
        if not job.known and m > 1:
            yield from Term("gates", "likelihood", n * read, read, c).reading(job.top_k)
            for _ in range(3):
                yield from ridge.training(m, soft=True, first=True)
                yield from ridge.blocks(m)
        yield from _level_expert(job, j)
        # What a lone generalist says counts only where it is taken at its word, but it is looked at.
        if j > 0 or m > 1:
            yield from Term("reading teachers", "mixture corrected", n * c * read, read, c).reading(job.top_k)
            if 8 * n * c * m > REMEMBERED:
                yield from Term("reading teachers", "annotations", 4 * n * read, read, c).reading(job.top_k)
    yield Term("pooling", "pool", n * c, 1, c)
    yield from _held(n, c, "holding marginals")
    yield Term("pooling", "predicted class", n * c, 1, c)
    yield from ridge.training(c, soft=soft, first=False)


def _level_expert(job: Job, level: int) -> Iterator[Term]:
    """Count the tables of a level's annotations, and the choice of the reading that the student finds likelier."""
    m, c = job.levels[level], job.classes
    read = min(m, HEARD) if job.sharded else m
    yield Term("reading teachers", "tables", float(m) * c * c, m, c, spread=False)
    yield from Term("reading teachers", "level expert", job.n * c * read, read, c).reading(job.top_k)


def _paper(job: Job, ridge: Ridge) -> Iterator[Term]:
    """`PaperCSL`: a local student a teacher, both checks, a global student on what survives."""
    n, c, d, sizes = job.n, job.classes, ridge.d, tuple(job.levels)
    yield from _start(ridge, c)
    for k in _worked(sizes):
        m = sizes[k]
        yield from ridge.blocks(c)
        yield Term("gates", "mass", n * c * m, m, c)
        yield Term("local students", "gram", n * d * d * (min(1, m - 1) if m > 1 else 0), d)
        yield Term("local students", "cholesky", m * float(d) ** 3, d, spread=False)
        yield Term("local students", "leverage", n * d * d, d)
        for term in ridge.training(c, soft=False, first=False, choose=False):
            yield replace(term, what="local students")
        yield from ridge.copies(5, n)
        # Every local student is asked about all samples, though only its own count.
        for term in ridge.blocks(c):
            yield replace(term.times(1 if job.sharded else m), what="local students")
        if ridge.kept:
            for term in ridge.scores(c, 1, n):
                yield replace(term.times(0 if job.sharded else m - 1), what="local students")
        yield from ridge.blocks(c)
        yield Term("rejecting", "evidence", n * c, 1, c)
        kept = KEEP_RATE * n
        yield from ridge.factor(c, kept, min(kept, n - kept))
        yield from ridge.training(c, soft=False, first=False, n=kept)
        yield from ridge.copies(6, kept)
        for _ in range(2):
            yield from ridge.blocks(c)
        yield Term("rejecting", "predicted class", n * c, 1, c)
    for _ in range(3):
        yield from ridge.blocks(c)


def _published(job: Job, d: int) -> Iterator[Term]:
    """`PublishedCSL`: Adam for the same number of steps at every level."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    dtype = "float64" if job.dtype == "float32" else job.dtype
    levels = _worked(sizes)
    predict = Term("predicting samples", f"predict {dtype}", n * d * c, d, c)
    yield Term("training with Adam", "adam", EPOCHS * n * d * c * (1 + len(levels)), d, c)
    yield predict.times(4 + 4 * len(levels))
    for k in levels:
        yield Term("gates", "mass", n * c * sizes[k], sizes[k], c)
        yield Term("rejecting", "evidence", n * c, 1, c)


def _vanilla(job: Job, ridge: Ridge) -> Iterator[Term]:
    """`VanillaClassifier`: one training on the generalists' words."""
    yield Term("arranging the hierarchy", "consensus", job.n * job.classes, 1, job.classes)
    yield from ridge.training(job.classes, soft=False, first=True)
    yield from ridge.blocks(job.classes)


def teach_terms(job: Job, d: int) -> list[Term]:
    """Linear teachers by the published recipe, and what they say of every sample."""
    teachers, c = sum(job.levels), job.classes
    trained = teachers * TEACHER_STEPS * TEACHER_BATCH * d * c
    return [
        Term("training teachers", "adam", trained, d, c),
        Term("annotating", "annotate", teachers * job.n * d * c, d, c),
    ]


def predict_terms(job: Job, d: int) -> list[Term]:
    """Probabilities of new samples, and a table of the answers."""
    n, c = job.predictions, job.classes
    dtype = "float64" if job.dtype == "float32" else job.dtype
    held = 4 * (d + c) if dtype == "float16" else 24 * c
    return [
        # Once where they are read, once where they are predicted.
        Term("checking features", f"check {job.dtype}", 2 * n * d, d),
        Term("fresh memory", "fresh memory", n * held),
        Term("predicting samples", f"predict {dtype}", n * d * c, d, c),
        Term("predicting samples", "predicted class", n * c, 1, c),
        Term("writing a table", "row of text", n),
    ]
