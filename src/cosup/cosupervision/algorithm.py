"""Algorithm 1 of co-supervised learning (Liu & Alahi 2024).

Given features x_i, a hierarchy of weak teachers pi_km (level k, teacher m) and a strong student f_theta, train theta
without a true label. One step of a round is one function of `cosup.cosupervision.round`:

| step | in the paper | here |
| --- | --- | --- |
| initial student | theta_0, trained on the generalists | `train_initial` |
| assign | z(x_i) = argmax_m r_m(x_i), by the latest student | `assign`; the rules are in `assignment` |
| local students | theta_km, trained on {(x_i, pi_km(x_i)) : z(x_i) = m} | `train_local_students` |
| reject a | teacher-student consistency: theta_km contradicts pi_km | `reject`; the rules are in `rejection` |
| reject b | local-global consistency: theta_km contradicts theta | `reject` |
| pool | not in the paper: targets from the posterior of student and experts | `pool_targets`; see `pooling` |
| global student | theta_k, trained on what is kept | `train_global` |

Level 0 has rounds, too, where several generalists are to be combined (ours; the paper has one generalist).

Three methods are three settings of the same steps (`CSLConfig`):

| | `co-supervised`, the default | `csl`, the paper's algorithm | `csl-published`, the released code |
| --- | --- | --- | --- |
| student | ridge, regularised without labels | ridge, regularised without labels | linear probe by Adam, its recipe |
| teacher screening | yes, where there are specialists | no | no |
| several generalists | a confusion matrix each | votes | votes |
| assign | student's probability of the specialty, or a trained gate | as the default | class range of its argmax |
| predictions | out of sample | out of sample | in sample |
| local students | none | one a teacher | none |
| reject | none: the posterior overrules | teacher-student, local-global | small loss, quota by top-q |
| pool | posterior of all levels, marginals held | none | none |
| rounds a level | five at the most; ten where generalists are all there is | one | one |
| final student | mean over the rounds | the last | the last |
| fall back | to theta_0, where it explains the annotations better | no | no |

`Diagnostics` records what happens and estimates accuracies; no round depends on it. After the last level it averages
the rounds' students, or takes the initial one where `fall_back` says so.
"""

from __future__ import annotations

from typing import Any

from cosup.cosupervision.config import CSLConfig
from cosup.cosupervision.diagnostics import Diagnostics
from cosup.cosupervision.round import (
    annotations_of,
    assign,
    choose_targets,
    fall_back,
    pool_targets,
    prepare,
    reject,
    round_seeds,
    settled,
    student_view,
    train_global,
    train_initial,
    train_local_students,
)
from cosup.cosupervision.state import Outcome
from cosup.estimators.supervision import Supervision
from cosup.labels import TeacherLabels
from cosup.utils.validation import FloatArray

__all__ = ["co_supervise"]


def co_supervise(
    X: FloatArray,
    labels: TeacherLabels,
    *,
    student: Any = "ridge",
    config: CSLConfig | None = None,
    random_state: int = 0,
) -> Supervision:
    """Train a strong student under a hierarchy of weak teachers (Liu & Alahi 2024, algorithm 1).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite features x_i.
    labels : TeacherLabels of n_samples
        The annotations pi_km(x_i).
    student : str, Student or scikit-learn classifier
        A registered student's name, as ``"ridge"``, or the student itself.
    config : CSLConfig, optional
        The rule of each step. Default: that of `CoSupervisedClassifier`.
    random_state : int

    Returns
    -------
    Supervision
        The final student, that of every level, history, provenance and estimated accuracies.

    Raises
    ------
    CosupError
        If no generalist speaks, or fewer than two classes are named.
    """
    diagnostics = Diagnostics(labels)
    setup = prepare(X, labels, student, config or CSLConfig())
    state = initial = train_initial(setup, random_state)  # theta_0
    setup = choose_targets(setup, state.fit)  # class ids or probabilities
    diagnostics.start(setup, state)
    for k, level in enumerate(setup.hierarchy.levels):
        seeds = round_seeds(setup, k, random_state)
        for t, seed in enumerate(seeds, 1):  # t = 1 .. T
            view = student_view(setup, k, state, seed)  # f_theta(x_i), of a student that did not train on x_i
            gate, assignment = assign(setup, view, state.assignment)  # z(x_i)
            annotations = annotations_of(setup, assignment)  # pi_km(x_i) for m = z(x_i)
            local_students = train_local_students(setup, gate, annotations, state.fit, seed)  # theta_km
            assignment = reject(setup, assignment, annotations, local_students, state.fit)
            training, assignment = pool_targets(setup, view, gate, annotations, assignment)
            before = state.training
            state, outcome = train_global(setup, training, assignment, view, state, seed)  # theta_k
            diagnostics.round(state, outcome, training.notes)
            if outcome is not Outcome.TRAINED:
                break  # another round would see the same student
            if t > 1 and settled(before, training):
                diagnostics.settled(rounds_left=len(seeds) - t)
                break  # others would train nearly the same student
        diagnostics.level(k, level, state)
    return diagnostics.supervision(state, fall_back(setup, initial, state, diagnostics.agreement))
