"""Explain one sample in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cosup.labels import TeacherLabels
from cosup.provenance.account import Account

__all__ = ["explain", "tell"]

NAMED = 6
"""Abstaining teachers up to which their names are listed."""


def explain(
    model: Any,
    labels: TeacherLabels,
    index: int,
    X: ArrayLike | None = None,
    *,
    class_names: Sequence[str] | None = None,
) -> str:
    """Explain what happened to one training sample.

    Parameters
    ----------
    model : fitted estimator of cosup
    labels : TeacherLabels
        The labels that it was fitted on.
    index : int
        The sample's position.
    X : array-like of shape (n_samples, n_features), optional
        The features that it was fitted on; without them, the student's answer is left out.
    class_names : sequence of str, optional

    Returns
    -------
    str
        Several lines.

    Raises
    ------
    CosupError
        If the model was read from disk and so has no provenance, or lengths do not fit together.
    IndexError
        If there is no such sample.

    Examples
    --------
    >>> import numpy as np
    >>> from cosup import CoSupervisedClassifier, TeacherLabels
    >>> X = np.random.default_rng(0).normal(size=(40, 3)) + 4 * np.repeat([[0], [1]], 20, axis=0)
    >>> labels = TeacherLabels(np.repeat([0, 1], 20)[:, None], names=["rules"])
    >>> model = CoSupervisedClassifier(random_state=0).fit(X, labels)
    >>> print(explain(model, labels, 3, class_names=["cat", "dog"]))
    sample 3
    level 0: assigned 'rules' (says cat; a student not trained on it gives this 1.00), kept.
    """
    account = Account.of(model, labels, X, class_names=class_names)
    return tell(account, range(len(account))[index])


def tell(account: Account, place: int) -> str:
    """Explain what happened to the sample at a position of an account; several lines."""
    names = account.class_names
    answer = int(account.answer[place])
    lines = [f"sample {account.ids[place]}"]
    if answer >= 0:
        lines[0] += f": the student answers {names[answer]} (confidence {_short(account.confidence[place])}"
        if account.second_confidence[place] >= 0.005:
            second = names[account.second[place]]
            lines[0] += f"; {second} gets {_short(account.second_confidence[place])}"
        lines[0] += ")."
    if account.rank[place] >= 0:
        lines.append(
            f"Place {account.rank[place] + 1:,} of {len(account):,} in the order in which to look: doubt "
            f"{_short(account.doubt[place])}, dispute among the teachers {_short(account.dispute[place])}."
        )
    lines += [_level(account, place, k) for k in range(len(account.levels))]
    return "\n".join(lines)


def _level(account: Account, place: int, k: int) -> str:
    level, teacher = account.levels[k], int(account.assigned[place, k])
    annotation = int(account.annotation[place, k])
    if annotation < 0:
        text = "nobody was assigned"
    else:
        name = account.class_names[annotation]
        who = repr(account.teachers[teacher]) if teacher >= 0 else "the teachers' vote"
        probability = float(account.probability[place, k])
        # A missing number is left out.
        seen = "" if math.isnan(probability) else f"; a student not trained on it gives this {_short(probability)}"
        text = f"assigned {who} (says {name}{seen}), "
        if account.kept[place, k]:
            text += "kept"
        else:
            text += f"rejected: {account.reason_texts[account.reason[place, k]]}"
    silent = []
    for t in np.flatnonzero(np.asarray(account.teacher_levels) == level):
        if t == teacher:
            continue
        annotated = int(account.annotated[place, t])
        if annotated < 0:
            silent.append(repr(account.teachers[t]))
            continue
        ending = "" if teacher < 0 or annotation < 0 else " and was overruled" if annotated != annotation else " too"
        text += f"; {account.teachers[t]!r} says {account.class_names[annotated]}{ending}"
    if silent:
        text += f"; {_listed(silent) if len(silent) <= NAMED else f'{len(silent)} others'} abstained"
    then = int(account.level_answer[place, k])
    text += f"; the student then answers {account.class_names[then]}." if then >= 0 else "."
    return f"level {level}: {text}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _short(value: Any) -> str:
    return f"{float(value):.2f}"
