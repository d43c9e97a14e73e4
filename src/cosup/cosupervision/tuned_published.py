"""The released recipe with its length and learning rate chosen without a label, as every rival's regularisation is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cosup.cosupervision.algorithm import co_supervise
from cosup.cosupervision.classifier import PublishedCSL
from cosup.cosupervision.judging import joint_posterior
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.students import AdamProbe, Student, train_heads
from cosup.students.held_out_choice import choose
from cosup.utils.validation import BoolArray, FloatArray, IntArray

__all__ = ["TunedPublishedCSL"]

STEPS = (500, 2000, 8000)
RATES = (1e-4, 3e-4, 1e-3)
CANDIDATES = np.array(
    sorted(((rate, steps) for steps in STEPS for rate in RATES), key=lambda pair: (pair[0] * pair[1], pair[0]))
)
"""Learning rates and numbers of steps. Stopping early regularises: the shortest path, rate times steps, comes first.
8,000 steps at 1e-4 are the paper's own on its 40,000 samples."""


class TunedPublishedCSL(PublishedCSL):
    """The recipe of the released code (`PublishedCSL`), with as many steps as the samples at hand call for.

    Its 20 epochs at a learning rate of 1e-4 are 8,000 steps on the paper's 40,000 samples, and 500 on 2,500. Here both
    numbers are chosen by the rule of all rivals (`choose`): of the pairs in `CANDIDATES` the one whose probe, trained
    on four fifths of the generalists' labels, predicts the most probable classes of the others, as the default's
    joint model has them. Longer paths than one that is certainly worse than a shorter one are not trained. All else is
    as published.

    Parameters
    ----------
    criterion : {"top1", "top2", "top3", "all"}
        The q of the rejection; "all" keeps everything.
    batch_size : int
    soft : bool
        Train on the teachers' probabilities rather than on their most probable class.
    random_state : int, RandomState or None
        Hold-out, initialisation and batches.
    """

    def __init__(
        self, criterion: str = "top3", *, batch_size: int = 100, soft: bool = False, random_state: Any = None
    ) -> None:
        super().__init__(criterion, batch_size=batch_size, soft=soft, random_state=random_state)

    def _supervise(self, X: FloatArray, labels: TeacherLabels, seed: int) -> Supervision:
        student, config = self._plan()
        chosen = self._tuned(X, labels, seed)
        result = co_supervise(
            X, labels, student=self._probe(student, *chosen, len(X)), config=config, random_state=seed
        )
        rate, steps = chosen
        result.history[0]["notes"].append(f"chosen without a label: {steps:,.0f} steps at a learning rate of {rate:g}")
        return result

    def _probe(self, student: Student, rate: float, steps: float, n: int) -> Student:
        assert isinstance(student, AdamProbe)
        return replace(student, learning_rate=float(rate), epochs=_epochs(steps, n, self.batch_size))

    def _tuned(self, X: FloatArray, labels: TeacherLabels, seed: int) -> tuple[float, float]:
        generalist = labels.consensus(labels.at_level(0))

        def predictions(candidates: FloatArray, sees: BoolArray) -> IntArray:
            mask = sees[:, 0] & (generalist >= 0)
            heads = train_heads(
                X, np.maximum(generalist, 0), n_classes=labels.n_classes, train_mask=mask,
                seeds=[seed] * len(candidates), learning_rates=candidates[:, 0].tolist(),
                epochs=[_epochs(steps, int(mask.sum()), self.batch_size) for steps in candidates[:, 1]],
                batch_size=self.batch_size, shared_order=True, device="cpu",
            )  # fmt: skip
            held = ~sees[:, 0]
            out = np.full((len(candidates), len(X)), -1)
            for head, row in enumerate(out):
                row[held] = heads[head].predict_proba(X[held]).argmax(axis=1)
            return out

        rate, steps = choose(
            predictions, joint_posterior(X, labels, seed), seed, CANDIDATES,
            stages=CANDIDATES[:, 1], paths=CANDIDATES.prod(axis=1),
        )  # fmt: skip
        return float(rate), float(steps)


def _epochs(steps: float, n: int, batch_size: int) -> int:
    """Convert steps to epochs on `n` samples, at least one."""
    return max(1, round(steps * batch_size / max(n, 1)))
