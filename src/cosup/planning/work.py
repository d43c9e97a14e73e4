"""Count the runs of every measured kernel: the formulas of docs/reference/memory.md, one function a stage.

n samples, d features, c classes, m_k teachers at level k, T in all. What grows with the samples can be spread over
machines; the rest can't. A student counts its own operations (`cosup.students.costs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from cosup.cosupervision import CoSupervisedClassifier
from cosup.cosupervision.hierarchy import REMEMBERED
from cosup.methods import DEFAULT
from cosup.planning.engine_rates import LISTED
from cosup.planning.job import Job
from cosup.students import AdamProbe, Operations, RidgeProbe
from cosup.students.ridge.costs import RidgeCosts
from cosup.tasks.weak_heads import HeadRecipe
from cosup.utils.row_store import IN_MEMORY

__all__ = ["CHOOSE_ON", "KEEP_RATE", "TEACHERS_READ", "fit_terms", "predict_terms", "teach_terms"]

ROUNDS = CoSupervisedClassifier().rounds

KEEP_RATE = 0.6
"""Share of the annotations that the paper's checks keep: what the data decide, and the plan can't know."""

CHOOSE_ON, TEACHERS_READ = 1_000_000, 8
"""The sharded design: samples that alphas, inverse temperature and screening are chosen on, and teachers a level that
are read on a sample: those with the largest gates."""


def fit_terms(job: Job, d: int, method: str, *, factor: bool = True) -> list[Operations]:
    """Yield all terms of one fit; without `factor`, those that a sweep repeats on features it has factorised before."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    ridge = RidgeProbe().costs(n, d, job.dtype, CHOOSE_ON if job.sharded else None)
    terms: list[Operations] = []
    if method == "csl-published":
        terms += [Operations("checking features", f"check {job.dtype}", n * d, d), *_published(job, d)]
    else:
        terms += [*ridge.prepared(), *ridge.factor(c)] if factor else []
        play = {DEFAULT: _pooled, "csl": _paper, "vanilla": _vanilla}[method]
        terms += play(job, ridge)
    if method != "vanilla":
        T = sum(sizes)
        terms += _reading(job, Operations("arranging the hierarchy", "hierarchy", n * c * T, T, c))
        terms += _reading(job, Operations("estimating accuracies", "estimates", n * T * (c + 20), T, c))
    terms.append(Operations("provenance", "provenance", n * len(sizes)))
    return terms


def _reading(job: Job, one: Operations) -> Iterator[Operations]:
    """Count operations on annotations: of `top_k` classes with probabilities they are as much dearer as these are more.

    `one` is their count on class ids.
    """
    more = (job.top_k - 1) / (LISTED - 1) if job.top_k else 0.0
    if more != 1:
        yield one.times(1 - more)
    if more:
        yield replace(one.times(more), kernel=f"{one.kernel} listed")


def _worked(sizes: Sequence[int]) -> list[int]:
    """Count the levels that have rounds: not that of a lone generalist."""
    return [k for k, m in enumerate(sizes) if k > 0 or m > 1]


def _held(n: float, c: int, what: str, passes: float = 31) -> Iterator[Operations]:
    """Hold the marginals, in memory or, where that is too much, in a file."""
    yield Operations(what, "marginals", n * c, 1, c)
    if 8 * n * c > IN_MEMORY:
        yield Operations(what, "spilled", n * c * (passes + 1))


def _start(ridge: RidgeCosts, c: int) -> Iterator[Operations]:
    """Train the student of the generalists, and measure its agreement with them."""
    yield from ridge.training(c, soft=False, first=True)
    yield from ridge.blocks(c)


def _pooled(job: Job, ridge: RidgeCosts) -> Iterator[Operations]:
    """Yield the terms of `CoSupervisedClassifier`: rounds of gate, experts, pool and a new student."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    some = min(n, ridge.chosen_on)
    yield Operations("whom to trust", "repeats", some)
    yield Operations("whom to trust", "pairs", some * sum(sizes) * (sum(sizes) - 1) / 2)
    yield from _start(ridge, c)
    # The class prior: the first student's predictions and the generalists' annotations, once each.
    yield from ridge.blocks(c)
    yield Operations("class prior", "mass", n * c * sizes[0], sizes[0], c)
    soft = ridge.discriminant(c)
    for k in _worked(sizes):
        for term in _round(job, ridge, k, soft):
            yield term.times(ROUNDS)
        yield from ridge.blocks(c)
        yield Operations("predicting samples", "predicted class", n * c, 1, c)
    yield from ridge.blocks(c)
    yield from ridge.blocks(c)


def _round(job: Job, ridge: RidgeCosts, k: int, soft: bool) -> Iterator[Operations]:
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    yield from ridge.blocks(c)
    yield from _held(n, c, "holding marginals")
    for j in range(k + 1):
        m = sizes[j]
        read = min(m, TEACHERS_READ) if job.sharded else m
        yield Operations("gates", "mass", n * c * m, m, c)
        if not job.known and m > 1:
            yield from _reading(job, Operations("gates", "likelihood", n * read, read, c))
            for _ in range(3):
                yield from ridge.training(m, soft=True, first=True)
                yield from ridge.blocks(m)
        yield from _level_expert(job, j)
        # A lone generalist has no part in the pool once its confusions are corrected, but these are counted.
        if j > 0 or m > 1:
            yield from _reading(job, Operations("reading teachers", "mixture corrected", n * c * read, read, c))
            if 8 * n * c * m > REMEMBERED:
                yield from _reading(job, Operations("reading teachers", "annotations", 4 * n * read, read, c))
    yield Operations("pooling", "pool", n * c, 1, c)
    yield from _held(n, c, "holding marginals")
    yield Operations("pooling", "predicted class", n * c, 1, c)
    yield from ridge.training(c, soft=soft, first=False)


def _level_expert(job: Job, level: int) -> Iterator[Operations]:
    """Count the tables of a level's annotations, and the choice of the reading that the student finds likelier."""
    m, c = job.levels[level], job.classes
    read = min(m, TEACHERS_READ) if job.sharded else m
    yield Operations("reading teachers", "tables", float(m) * c * c, m, c, spread=False)
    yield from _reading(job, Operations("reading teachers", "level expert", job.n * c * read, read, c))


def _paper(job: Job, ridge: RidgeCosts) -> Iterator[Operations]:
    """Yield the terms of `PaperCSL`: a local student a teacher, both checks, a global student on what is kept."""
    n, c, d, sizes = job.n, job.classes, ridge.d, tuple(job.levels)
    yield from _start(ridge, c)
    for k in _worked(sizes):
        m = sizes[k]
        yield from ridge.blocks(c)
        yield Operations("gates", "mass", n * c * m, m, c)
        yield Operations("local students", "gram", n * d * d * (min(1, m - 1) if m > 1 else 0), d)
        yield Operations("local students", "cholesky", m * float(d) ** 3, d, spread=False)
        yield Operations("local students", "leverage", n * d * d, d)
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
        yield Operations("rejecting", "evidence", n * c, 1, c)
        kept = KEEP_RATE * n
        yield from ridge.factor(c, kept, min(kept, n - kept))
        yield from ridge.training(c, soft=False, first=False, n=kept)
        yield from ridge.copies(6, kept)
        for _ in range(2):
            yield from ridge.blocks(c)
        yield Operations("rejecting", "predicted class", n * c, 1, c)
    for _ in range(3):
        yield from ridge.blocks(c)


def _published(job: Job, d: int) -> Iterator[Operations]:
    """Yield the terms of `PublishedCSL`: Adam for the same number of steps at every level."""
    n, c, sizes = job.n, job.classes, tuple(job.levels)
    dtype = "float64" if job.dtype == "float32" else job.dtype
    levels = _worked(sizes)
    predict = Operations("predicting samples", f"predict {dtype}", n * d * c, d, c)
    yield AdamProbe().training_costs(n, d, c).times(1 + len(levels))
    yield predict.times(4 + 4 * len(levels))
    for k in levels:
        yield Operations("gates", "mass", n * c * sizes[k], sizes[k], c)
        yield Operations("rejecting", "evidence", n * c, 1, c)


def _vanilla(job: Job, ridge: RidgeCosts) -> Iterator[Operations]:
    """Yield the terms of `VanillaClassifier`: one training on the generalists' annotations."""
    yield Operations("arranging the hierarchy", "consensus", job.n * job.classes, 1, job.classes)
    yield from ridge.training(job.classes, soft=False, first=True)
    yield from ridge.blocks(job.classes)


def teach_terms(job: Job, d: int) -> list[Operations]:
    """Yield the terms of linear teachers by the published recipe, and of their annotations of every sample."""
    teachers, c = sum(job.levels), job.classes
    recipe = HeadRecipe()
    trained = teachers * recipe.iterations * recipe.batch_size * d * c
    return [
        Operations("training teachers", "adam", trained, d, c),
        Operations("annotating", "annotate", teachers * job.n * d * c, d, c),
    ]


def predict_terms(job: Job, d: int) -> list[Operations]:
    """Yield the terms of probabilities of new samples, and of a table of the answers."""
    n, c = job.predictions, job.classes
    dtype = "float64" if job.dtype == "float32" else job.dtype
    held = 4 * (d + c) if dtype == "float16" else 24 * c
    return [
        # Once where they are read, once where they are predicted.
        Operations("checking features", f"check {job.dtype}", 2 * n * d, d),
        Operations("fresh memory", "fresh memory", n * held),
        Operations("predicting samples", f"predict {dtype}", n * d * c, d, c),
        Operations("predicting samples", "predicted class", n * c, 1, c),
        Operations("writing a table", "row of text", n),
    ]
