"""crowd-kit's GLAD and MACE with their inner steps on arrays: the same sums, without a data frame made for each.

Only steps are replaced. Start, stopping rule and results are crowd-kit's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, softmax

from cosup.utils.validation import FloatArray

__all__ = ["on_arrays"]

_NORMAL = -0.5 * np.log(2.0 * np.pi)


def on_arrays(model: type[Any]) -> type[Any]:
    """Return crowd-kit's class with quicker steps, or as it is."""
    steps = {"GLAD": _GladSteps, "MACE": _MaceSteps}.get(model.__name__)
    return model if steps is None else type(model.__name__, (steps, model), {})


def _log_likelihoods(known: FloatArray, n_classes: int) -> tuple[FloatArray, FloatArray]:
    """Compute log sigmoid(x) of the true class, and log (1 - sigmoid(x)) / (K - 1) of any other one."""
    return -np.logaddexp(0.0, -known), -np.logaddexp(0.0, known) - np.log(n_classes - 1)


class _GladSteps:
    """Steps of `crowdkit.aggregation.classification.GLAD`. Rows of `data`: a class for every answer."""

    alphas_: Any
    betas_: Any
    probas_: Any

    def _e_step(self: Any, data: Any) -> Any:
        right, wrong = _log_likelihoods((data["alpha"] * np.exp(data["beta"])).to_numpy(), len(self.prior_labels_))
        data["posterior"] = np.where(data["delta"], right, wrong)
        scores = data.groupby(["task", "variable"])["posterior"].sum().unstack() + np.log(self.priors_)
        probas = softmax(scores.to_numpy(), axis=1)
        row, column = scores.index.get_indexer(data["task"]), scores.columns.get_indexer(data["variable"])
        data["posterior"] = probas[row, column]
        self.probas_ = scores.copy()
        self.probas_[:] = probas
        return data

    def _m_step(self: Any, data: Any) -> Any:
        # A sample's posteriors add up to one: an answer has K rows, one for its own class and K - 1 others.
        own = data[data["delta"]]
        named = own["posterior"].to_numpy()
        n_classes, n_workers = len(self.prior_labels_), len(self.workers_)
        worker, task = self.alphas_.index.get_indexer(own["worker"]), self.betas_.index.get_indexer(own["task"])
        means = np.concatenate([self.alphas_priors_mean_.to_numpy(), self.betas_priors_mean_.to_numpy()])

        def loss(x: FloatArray) -> float:
            right, wrong = _log_likelihoods(x[worker] * np.exp(x[n_workers + task]), n_classes)
            prior = _NORMAL - 0.5 * (x - means) ** 2
            total = float((named * right + (1.0 - named) * wrong).sum() + prior.sum())
            return np.inf if np.isnan(total) else -total

        def slope(x: FloatArray) -> FloatArray:
            ease, ability = np.exp(x[n_workers + task]), x[worker]
            gain = (named - expit(ability * ease)) * ease
            alphas = np.bincount(worker, gain, minlength=n_workers)
            betas = np.bincount(task, gain * ability, minlength=len(x) - n_workers)
            return np.asarray((x - means) - np.concatenate([alphas, betas]))

        start = np.concatenate([self.alphas_.to_numpy(), self.betas_.to_numpy()])
        options = {"disp": False, "maxiter": self.m_step_max_iter}
        found = minimize(loss, start, method="CG", jac=slope, tol=self.m_step_tol, options=options).x
        self.alphas_, self.betas_ = self._get_alphas_betas_by_point(found)
        data["alpha"] = found[self.alphas_.index.get_indexer(data["worker"])]
        data["beta"] = found[n_workers + self.betas_.index.get_indexer(data["task"])]
        return data


class _MaceSteps:
    """The expectations of `crowdkit.aggregation.classification.MACE`."""

    def _e_step(
        self: Any, annotation: Any, task_names: Any, worker_names: Any, label_names: Any, tasks: Any, workers: Any,
        labels: Any,
    ) -> Any:  # fmt: skip
        import pandas

        n_workers, n_labels = len(worker_names), len(label_names)
        spam = self.spamming_[workers, 0] * self.thetas_[workers, labels]
        knows = self.spamming_[workers, 1]
        each = spam[:, None] + knows[:, None] * (labels[:, None] == np.arange(n_labels))
        # Answers come sample by sample.
        starts = np.flatnonzero(np.diff(tasks, prepend=-1))
        gold = np.multiply.reduceat(each, starts) / n_labels
        total = gold.sum(axis=1)
        strategy = (gold[tasks] / each).sum(axis=1) * spam / total[tasks]
        knowing = gold[tasks, labels] * knows / (spam + knows) / total[tasks]
        # 0/0 of a likelihood that underflowed is left out of a data frame's sums.
        strategy, knowing = np.nan_to_num(strategy, posinf=np.inf), np.nan_to_num(knowing, posinf=np.inf)
        spent = np.bincount(workers, strategy, minlength=n_workers)
        known = np.bincount(workers, knowing, minlength=n_workers)
        by_label = np.bincount(workers * n_labels + labels, strategy, minlength=n_workers * n_labels)
        # crowd-kit sorts this table by names, whatever the order of the others.
        by_label = by_label.reshape(n_workers, n_labels)[np.argsort(worker_names)][:, np.argsort(label_names)]
        return (
            np.log(total + 1e-8).sum(),
            pandas.DataFrame(gold, index=task_names, columns=label_names),
            pandas.DataFrame(by_label),
            pandas.DataFrame(np.column_stack([spent, known])),
        )
