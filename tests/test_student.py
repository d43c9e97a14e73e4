"""Students against what they claim to be: brute-force refits, plain loops, gradients."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.tree import DecisionTreeClassifier

from cosup import AdamProbe, CosupError, LogisticProbe, RidgeProbe, SklearnStudent
from cosup.datasets import make_hierarchy
from cosup.losses import cross_entropy, log_softmax, softmax
from cosup.student import LinearHead, MeanHead, Student, as_student, average_heads, shared
from cosup.student._logistic import GRID as LOGISTIC_GRID
from cosup.student._ridge_factor import GRID as RIDGE_GRID


def blobs(n, d, n_classes, distance=2.0, noise=0.2, seed=0):
    """Features, true classes, one-hot noisy targets; every class is shown."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % n_classes
    means = rng.normal(size=(n_classes, d))
    means *= distance / np.linalg.norm(means, axis=1, keepdims=True)
    X = means[y] + rng.normal(size=(n, d)) + 3.0
    named = np.where(rng.random(n) < noise, rng.integers(n_classes, size=n), y)
    return X, y, np.eye(n_classes)[named]


# -- losses ---------------------------------------------------------------------------------------------


def test_softmax_does_not_overflow():
    logits = np.array([[1000.0, 999.0, -1000.0], [-1e8, 0.0, 0.0]])
    expected = np.array([[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1)), 0], [0, 0.5, 0.5]])
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-15)
    np.testing.assert_allclose(np.exp(log_softmax(logits)), expected, atol=1e-15)


def test_cross_entropy_has_a_floor():
    targets = np.array([[1.0, 0.0], [0.5, 0.5], [1.0, 0.0]])
    probabilities = np.array([[0.25, 0.75], [0.5, 0.5], [0.0, 1.0]])
    np.testing.assert_allclose(cross_entropy(targets, probabilities, floor=0.01), [np.log(4), np.log(2), np.log(100)])
    assert np.isfinite(cross_entropy(targets, probabilities)).all()


# -- ridge ----------------------------------------------------------------------------------------------


def refit_scores(X, T, penalty, X_new):
    """Ridge with an intercept that is not penalised, solved as one linear system."""
    A = np.hstack([X, np.ones((len(X), 1))])
    P = penalty * np.diag([1.0] * X.shape[1] + [0.0])
    return np.hstack([X_new, np.ones((len(X_new), 1))]) @ np.linalg.solve(A.T @ A + P, A.T @ T)


def refit_without_each(X, T, penalty):
    rest = ~np.eye(len(X), dtype=bool)
    return np.concatenate([refit_scores(X[r], T[r], penalty, X[~r]) for r in rest])


def mean_scatter(X):
    return ((X - X.mean(axis=0)) ** 2).sum() / X.shape[1]


@pytest.mark.parametrize(("n", "d"), [(30, 8), (15, 40)])
@pytest.mark.parametrize("strength", [0.01, 1.0, 30.0])
def test_leave_one_out_is_what_refits_without_the_sample_predict(n, d, strength):
    X, _, T = blobs(n, d, 3)
    fit = RidgeProbe(strength=strength, readout="scores").prepare(X).train(T)
    expected = softmax(8 * refit_without_each(X, T, strength * mean_scatter(X)))
    np.testing.assert_allclose(fit.out_of_sample, expected, atol=1e-8)
    inside = softmax(8 * refit_scores(X, T, strength * mean_scatter(X), X))
    np.testing.assert_allclose(fit.in_sample, inside, atol=1e-8)
    assert fit.strength == strength


@pytest.mark.parametrize(("n", "d", "noise"), [(30, 8, 0.1), (30, 8, 0.7), (15, 40, 0.3)])
def test_strength_has_the_smallest_leave_one_out_squared_error(n, d, noise):
    X, _, T = blobs(n, d, 3, noise=noise)
    errors = [((refit_without_each(X, T, s * mean_scatter(X)) - T) ** 2).sum() for s in RIDGE_GRID]
    assert RidgeProbe().prepare(X).train(T).strength == RIDGE_GRID[int(np.argmin(errors))]


def test_noisier_targets_get_a_stronger_penalty():
    strengths = []
    for noise in (0.0, 0.8):
        X, _, T = blobs(200, 20, 4, noise=noise)
        strengths.append(RidgeProbe().prepare(X).train(T).strength)
    assert strengths[1] > strengths[0]


def test_the_discriminant_unmasks_the_middle_class():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = 4.0 * (y[:, None] - 1) + 0.6 * rng.normal(size=(300, 1))
    T = np.eye(3)[y]
    fits = {r: RidgeProbe(readout=r).prepare(X).train(T) for r in ("scores", "discriminant", "auto")}
    right = {r: (f.out_of_sample.argmax(axis=1) == y).mean() for r, f in fits.items()}
    assert right["scores"] < 0.75  # least squares never names the class in the middle
    assert right["discriminant"] > 0.95
    assert fits["auto"].readout == "discriminant"
    np.testing.assert_array_equal(fits["auto"].out_of_sample, fits["discriminant"].out_of_sample)


def test_auto_takes_the_scores_where_nothing_is_masked():
    X, _, T = blobs(300, 20, 3)
    assert RidgeProbe().prepare(X).train(T).readout == "scores"


@pytest.mark.parametrize("readout", ["scores", "discriminant"])
@pytest.mark.parametrize(("n", "d"), [(60, 6), (40, 60)])
def test_samples_left_out_are_predicted_by_the_student_that_never_saw_them(readout, n, d):
    X, _, T = blobs(n, d, 3)
    keep = np.random.default_rng(1).random(n) < 0.6
    changed = T.copy()
    changed[~keep] = np.nan  # must not be looked at
    fit = RidgeProbe(readout=readout).prepare(X).train(changed, keep=keep)
    alone = RidgeProbe(readout=readout).prepare(X[keep]).train(T[keep])
    assert fit.strength == alone.strength
    np.testing.assert_allclose(fit.out_of_sample[keep], alone.out_of_sample, atol=1e-9)
    np.testing.assert_allclose(fit.out_of_sample[~keep], alone.head.predict_proba(X[~keep]), atol=1e-9)
    np.testing.assert_allclose(fit.in_sample, alone.head.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(60, 6), (40, 60)])
@pytest.mark.parametrize("make", [RidgeProbe, LogisticProbe])
@pytest.mark.parametrize("masked", [False, True])
def test_a_given_strength_is_that_of_the_probe(make, n, d, masked):
    X, _, T = blobs(n, d, 3)
    keep = np.random.default_rng(1).random(n) < 0.7 if masked else None
    free = make().prepare(X)
    free.train(T)  # whatever it remembers of this must not matter
    told = free.train(T, keep=keep, strength=0.5)
    own = make(strength=0.5).prepare(X).train(T, keep=keep)
    assert told.strength == own.strength == 0.5
    np.testing.assert_allclose(told.out_of_sample, own.out_of_sample, atol=1e-7)
    np.testing.assert_allclose(told.in_sample, own.in_sample, atol=1e-7)
    if keep is None and make is RidgeProbe:
        expected = refit_without_each(X, T, 0.5 * mean_scatter(X)).argmax(axis=1)
        np.testing.assert_array_equal(told.out_of_sample.argmax(axis=1), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_features_place_and_scale_do_not_matter(dtype):
    X, _, T = blobs(100, 5, 3)
    a = RidgeProbe().prepare(X).train(T)
    b = RidgeProbe().prepare((64 * X - 128).astype(dtype)).train(T)
    assert a.strength == b.strength
    np.testing.assert_allclose(a.out_of_sample, b.out_of_sample, atol=1e-4)


@pytest.mark.parametrize("make", [RidgeProbe, LogisticProbe])
def test_features_that_say_nothing_give_the_class_shares(make):
    T = np.eye(3)[[0] * 12 + [1] * 20 + [2] * 8]
    out = make().prepare(np.ones((40, 4))).train(T).in_sample
    assert np.isfinite(out).all()
    np.testing.assert_allclose(out.sum(axis=1), 1)
    assert (out.argmax(axis=1) == 1).all()


@pytest.mark.parametrize("kept", [0, 1])
def test_ridge_needs_two_samples(kept):
    X, _, T = blobs(20, 3, 2)
    with pytest.raises(CosupError, match="at least 2 samples"):
        RidgeProbe().prepare(X).train(T, keep=np.arange(20) < kept)


# -- logistic -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("soft", [False, True])
def test_logistic_ends_where_the_gradient_is_nothing(soft):
    X, _, T = blobs(200, 5, 3)
    if soft:
        T = 0.7 * T + 0.1
    strength = 0.1
    fit = LogisticProbe(strength=strength).prepare(X).train(T)
    Z = X - X.mean(axis=0)
    residual = (fit.head.predict_proba(X) - T) / len(X)
    of_weight = Z.T @ residual + strength * np.mean(Z**2) * fit.head.weight
    assert np.abs(of_weight).max() < 2e-4
    assert np.abs(residual.sum(axis=0)).max() < 2e-4
    assert np.abs(fit.head.weight).max() > 0.05


@pytest.mark.parametrize("seed", [1, 2, 5])  # where shares of 90, 95 and 100 % choose differently
def test_logistic_takes_the_strongest_within_95_percent_of_the_best_agreement(seed):
    X, _, T = blobs(200, 10, 5, distance=1.5, seed=seed)
    named = T.argmax(axis=1)

    def agreement(strength):
        fit = LogisticProbe(strength=strength).prepare(X).train(T, random_state=seed)
        return (fit.out_of_sample.argmax(axis=1) == named).mean()

    found = np.array([agreement(s) for s in LOGISTIC_GRID])
    strongest = {share: LOGISTIC_GRID[found >= share * found.max()].max() for share in (0.9, 0.95, 1.0)}
    assert len(set(strongest.values())) == 3
    assert LogisticProbe().prepare(X).train(T, random_state=seed).strength == strongest[0.95]


def test_logistic_out_of_sample_is_not_in_sample():
    X, _y, T = blobs(80, 40, 3, noise=0.5)
    fit = LogisticProbe(strength=1e-3).prepare(X).train(T)
    named = T.argmax(axis=1)
    inside = (fit.in_sample.argmax(axis=1) == named).mean()
    outside = (fit.out_of_sample.argmax(axis=1) == named).mean()
    assert inside > outside + 0.2
    np.testing.assert_allclose(fit.out_of_sample.sum(axis=1), 1)


def test_logistic_ignores_the_targets_of_samples_left_out():
    X, _, T = blobs(100, 5, 3)
    keep = np.arange(100) % 4 > 0
    changed = T.copy()
    changed[~keep] = np.nan
    a = LogisticProbe(strength=0.1).prepare(X).train(T, keep=keep)
    b = LogisticProbe(strength=0.1).prepare(X).train(changed, keep=keep)
    np.testing.assert_array_equal(a.out_of_sample, b.out_of_sample)
    np.testing.assert_allclose(a.out_of_sample.sum(axis=1), 1)


# -- adam -----------------------------------------------------------------------------------------------


def plain_loop(X, T, *, epochs, batch_size, learning_rate, seed):
    """The recipe as anyone would write it in torch, with the probe's draws."""
    generator = torch.Generator().manual_seed(seed)
    n, d = X.shape
    layer = torch.nn.Linear(d, T.shape[1])
    bound = 1 / np.sqrt(d)
    with torch.no_grad():
        layer.weight.copy_(torch.empty(d, T.shape[1]).uniform_(-bound, bound, generator=generator).T)
        layer.bias.uniform_(-bound, bound, generator=generator)
    optimizer = torch.optim.Adam(layer.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * -(-n // batch_size))
    X, T = torch.tensor(X, dtype=torch.float32), torch.tensor(T, dtype=torch.float32)
    for _ in range(epochs):
        for rows in torch.randperm(n, generator=generator).split(batch_size):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(X[rows]), T[rows]).backward()
            optimizer.step()
            schedule.step()
    return layer.weight.detach().numpy().T, layer.bias.detach().numpy()


@pytest.mark.parametrize("soft", [False, True])
def test_adam_probe_is_a_plain_torch_loop(soft):
    X, _, T = blobs(130, 6, 4)
    if soft:
        T = 0.6 * T + 0.1
    recipe = {"epochs": 6, "batch_size": 50, "learning_rate": 1e-2}
    head = AdamProbe(**recipe).prepare(X).train(T, random_state=3).head
    weight, bias = plain_loop(X, T, seed=3, **recipe)
    np.testing.assert_allclose(head.weight, weight, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias, atol=1e-5)


def test_adam_probe_starts_as_torch_does():
    bound = 1 / np.sqrt(25)
    head = AdamProbe(learning_rate=1e-12, epochs=1).prepare(np.ones((50, 25))).train(np.eye(40)[np.zeros(50, int)]).head
    for values in (head.weight, head.bias):
        assert np.abs(values).max() <= bound * (1 + 1e-6)
        assert np.abs(values).max() > 0.9 * bound
        assert abs(values.mean()) < bound / 3


def test_adam_probe_takes_as_many_steps_however_few_samples_survive():
    X, _, T = blobs(130, 6, 4)
    keep = np.arange(130) % 3 > 0  # 86 of 130
    recipe = {"batch_size": 50, "learning_rate": 1e-2}
    head = AdamProbe(epochs=6, **recipe).prepare(X).train(T, keep=keep, random_state=1).head
    weight, _ = plain_loop(X[keep], T[keep], epochs=int(6 * 130 / keep.sum()), seed=1, **recipe)
    np.testing.assert_allclose(head.weight, weight, atol=1e-5)


def test_adam_probe_draws_from_its_seed_only():
    X, _, T = blobs(60, 4, 3)
    trainer = AdamProbe(epochs=2).prepare(X)
    torch.manual_seed(0)
    a = trainer.train(T, random_state=1).head.weight
    state = torch.random.get_rng_state()
    torch.manual_seed(5)
    b = trainer.train(T, random_state=1).head.weight
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, trainer.train(T, random_state=2).head.weight)
    torch.manual_seed(0)
    assert torch.equal(state, torch.random.get_rng_state())  # nor does it move the global stream


def test_adam_probe_cross_fits():
    X, _, T = blobs(60, 30, 3, noise=0.6)
    fit = AdamProbe(epochs=200, learning_rate=1e-2).prepare(X).train(T)
    named = T.argmax(axis=1)
    assert (fit.in_sample.argmax(axis=1) == named).mean() > (fit.out_of_sample.argmax(axis=1) == named).mean() + 0.2


# -- scikit-learn ---------------------------------------------------------------------------------------


def test_a_class_that_is_missing_from_a_fold():
    X, y, _ = blobs(40, 4, 2, distance=6.0)
    y = y.copy()
    y[7] = 2  # its fold's student never sees class 2
    fit = SklearnStudent(DecisionTreeClassifier(), folds=4).prepare(X).train(np.eye(4)[y])
    for out in (fit.out_of_sample, fit.in_sample):
        assert out.shape == (40, 4)
        np.testing.assert_allclose(out.sum(axis=1), 1)
    assert fit.out_of_sample[7, 2] == 0
    assert fit.in_sample[7, 2] == 1  # a tree remembers
    assert (fit.in_sample[:, 3] == 0).all()


def test_training_on_one_class_names_it():
    X, _, _ = blobs(20, 3, 2)
    fit = SklearnStudent(GaussianNB()).prepare(X).train(np.eye(3)[np.ones(20, int)])
    np.testing.assert_array_equal(fit.in_sample, np.eye(3)[np.ones(20, int)])


def test_a_classifier_without_probabilities_is_certain():
    X, y, T = blobs(90, 4, 3, distance=6.0, noise=0.0)
    out = SklearnStudent(RidgeClassifier()).prepare(X).train(T).out_of_sample
    assert set(np.unique(out)) == {0.0, 1.0}
    assert (out.argmax(axis=1) == y).mean() > 0.9


def test_a_classifiers_random_state_comes_from_the_method_and_it_is_cloned():
    X, _, T = blobs(60, 6, 3, noise=0.5)
    own = DecisionTreeClassifier(max_features=1)
    trainer = SklearnStudent(own).prepare(X)
    keep = np.arange(60) % 2 == 0
    a, b, c = (trainer.train(T, keep=keep, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.in_sample, b.in_sample)
    assert not np.array_equal(a.in_sample, c.in_sample)
    assert own.random_state is None
    assert not hasattr(own, "tree_")


@pytest.mark.parametrize(
    "student", [SklearnStudent(GaussianNB()), AdamProbe(epochs=1), LogisticProbe()], ids=lambda s: type(s).__name__
)
def test_cross_fitting_needs_as_many_samples_as_folds(student):
    X, _, T = blobs(20, 3, 2)
    with pytest.raises(CosupError, match="5-fold cross-fitting needs at least 5 samples, got 4"):
        _ = student.prepare(X).train(T, keep=np.arange(20) < 4).out_of_sample


# -- names, sharing, averaging --------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "made"), [("ridge", RidgeProbe), ("logistic", LogisticProbe), ("adam", AdamProbe)])
def test_students_by_name(name, made):
    assert as_student(name) == made()


def test_as_student_takes_students_and_classifiers():
    probe = RidgeProbe(strength=2.0)
    assert as_student(probe) is probe
    wrapped = as_student(GaussianNB())
    assert isinstance(wrapped, SklearnStudent)
    assert isinstance(wrapped, Student)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("rigde", "'ridge'"),
        (RidgeProbe, r"RidgeProbe\(\) instead of RidgeProbe"),
        (3, "got 3"),
        (None, "got None"),
    ],
    ids=["near name", "class", "number", "nothing"],
)
def test_as_student_refuses(wrong, message):
    with pytest.raises(CosupError, match=message):
        as_student(wrong)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RidgeProbe(strength=0), "strength of RidgeProbe"),
        (lambda: RidgeProbe(strength=float("nan")), "strength of RidgeProbe"),
        (lambda: RidgeProbe(readout="score"), "'scores'"),
        (lambda: LogisticProbe(strength=-1), "strength of LogisticProbe"),
        (lambda: LogisticProbe(folds=1), "folds of LogisticProbe"),
        (lambda: AdamProbe(learning_rate=0), "learning_rate of AdamProbe"),
        (lambda: AdamProbe(epochs=2.5), "epochs of AdamProbe"),
        (lambda: AdamProbe(folds=1), "folds of AdamProbe"),
        (lambda: SklearnStudent(GaussianNB(), folds=1), "folds of SklearnStudent"),
        (lambda: SklearnStudent(object()), "needs fit and predict"),
    ],
)
def test_impossible_students_are_refused_when_made(make, message):
    with pytest.raises(CosupError, match=message):
        make()


class Counting:
    def __init__(self):
        self.prepared = []

    def prepare(self, X):
        self.prepared.append(X)
        return RidgeProbe().prepare(X)


def test_shared_prepares_once_for_the_same_features():
    counting = Counting()
    student = shared(counting)
    X, _, T = blobs(30, 3, 2)
    first = student.prepare(X)
    assert student.prepare(X) is first
    assert student.prepare(X.copy()) is first
    assert len(counting.prepared) == 1
    other = student.prepare(X + 1)
    assert other is not first
    assert len(counting.prepared) == 2
    np.testing.assert_array_equal(first.train(T).out_of_sample, RidgeProbe().prepare(X).train(T).out_of_sample)


def test_averages_of_heads():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(10, 4))
    a, b = (LinearHead(rng.normal(size=(4, 3)), rng.normal(size=3)) for _ in range(2))
    mean = average_heads([a, b])
    assert isinstance(mean, LinearHead)
    np.testing.assert_allclose(mean.logits(X), (a.logits(X) + b.logits(X)) / 2)
    assert average_heads([a]) is a
    mixed = average_heads([a, MeanHead((b,))])
    np.testing.assert_allclose(mixed.predict_proba(X), (a.predict_proba(X) + b.predict_proba(X)) / 2)
    with pytest.raises(CosupError, match="no head"):
        average_heads([])


def test_many_classes_are_told_apart_by_more_than_their_order():
    """Scores of one class in a hundred are small: softmax of 8 times them would make every class about as likely."""
    task = make_hierarchy(2000, 500, n_features=128, n_classes=100, separation=5.0)
    fit = RidgeProbe(readout="scores").prepare(task.X_train).train(np.eye(100)[task.truth.y_train])
    right = (fit.out_of_sample.argmax(axis=1) == task.truth.y_train).mean()
    assert fit.sharpness > 16
    assert fit.out_of_sample.max(axis=1).mean() > right / 2
    # A weak teacher's labels of few classes keep the factor of 8.
    few = make_hierarchy(2000, 10, n_classes=10, teachers_per_level=(1,), accuracy=(0.6,))
    weak = np.eye(10)[few.labels.hard()[:, 0]]
    assert RidgeProbe(readout="scores").prepare(few.X_train).train(weak).sharpness == 8.0


def test_like_keeps_the_sharpness_of_an_earlier_fit_and_shares_the_factorisation():
    task = make_hierarchy(600, 10, n_features=64, n_classes=40, separation=5.0)
    trainer = RidgeProbe(readout="scores").prepare(task.X_train)
    first = trainer.train(np.eye(40)[task.labels.hard()[:, 0]])
    clean = np.eye(40)[task.truth.y_train]
    again = trainer.like(first).train(clean)
    assert again.sharpness == first.sharpness
    assert trainer.train(clean).sharpness != first.sharpness
    np.testing.assert_allclose(
        again.head.weight / again.sharpness, trainer.train(clean).head.weight / trainer.train(clean).sharpness
    )
