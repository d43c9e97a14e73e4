"""Update or fit anew: test accuracy and time, when half of the samples or the last teachers come later.

    python benchmarks/updating.py [--tasks hierarchy,digits-classes] [--seeds 5] [--rounds 1,2] [--cache DIR]

Three models a seed: the old one (half of the samples, or without the last teacher of every level above the first), its
`update` with everything, and a fresh fit with everything.
"""

import argparse
import json
import time

import numpy as np

from cosup import CoSupervisedClassifier, TeacherLabels
from cosup import estimator as estimator_module
from cosup.datasets import load_task, task_options


def timed(call):
    start = time.perf_counter()
    return call(), time.perf_counter() - start


def without_last(labels):
    """The same without the last teacher of every level that has several."""
    kept = [t for t in range(labels.n_teachers)
            if len(labels.at_level(labels.levels[t])) == 1 or t != labels.at_level(labels.levels[t])[-1]]  # fmt: skip
    return TeacherLabels(labels.annotations[:, kept], labels.levels[kept], [labels.specialties[t] for t in kept],
                         n_classes=labels.n_classes)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", default="hierarchy,digits-classes,digits-domains")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", default=str(estimator_module.UPDATE_ROUNDS))
    parser.add_argument("--cache")
    given = parser.parse_args()
    for name in given.tasks.split(","):
        for what in ("samples", "teachers"):
            for rounds in map(int, given.rounds.split(",")):
                rows = []
                for seed in range(given.seeds):
                    cache = {"cache": given.cache} if given.cache and "cache" in task_options(name) else {}
                    task = load_task(name, seed=seed, **cache)
                    X, labels = task.X_train, task.labels
                    first = np.random.default_rng(seed).random(len(X)) < 0.5 if what == "samples" else slice(None)
                    known = labels[first] if what == "samples" else without_last(labels)
                    old = CoSupervisedClassifier(random_state=0).fit(X[first], known)
                    estimator_module.UPDATE_ROUNDS = rounds
                    new, its = timed(lambda: old.update(X, labels))  # noqa: B023 (called at once)
                    fresh, fresh_time = timed(lambda: CoSupervisedClassifier(random_state=0).fit(X, labels))  # noqa: B023
                    rows.append(
                        [100 * m.score(task.X_test, task.truth.y_test) for m in (old, new, fresh)] + [its, fresh_time]
                    )
                old, new, fresh, its, fresh_time = np.mean(rows, axis=0).round(2).tolist()
                gap = np.array(rows)[:, 1] - np.array(rows)[:, 2]
                print(json.dumps({
                    "task": name, "later": what, "rounds": rounds, "old": old, "updated": new, "fresh": fresh,
                    "gap": [round(float(g), 2) for g in (gap.mean(), gap.min())],
                    "update_s": its, "fresh_s": fresh_time,
                }), flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
