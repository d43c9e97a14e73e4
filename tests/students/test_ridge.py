"""The ridge probe against brute-force refits."""

import numpy as np
import pytest

from blobs import blobs
from cosup import CosupError, LogisticProbe, RidgeProbe
from cosup.students.ridge import calibration, gram, loo_errors
from cosup.students.ridge.grid import GRID as RIDGE_GRID
from cosup.students.targets import Targets
from cosup.tasks import make_hierarchy
from cosup.utils.losses import softmax


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
@pytest.mark.parametrize("alpha", [0.01, 1.0, 30.0])
def test_leave_one_out_is_what_refits_without_the_sample_predict(n, d, alpha):
    X, _, T = blobs(n, d, 3)
    fit = RidgeProbe(alpha=alpha, calibration="scores").prepare(X).train(T)
    expected = softmax(8 * refit_without_each(X, T, alpha * mean_scatter(X)))
    np.testing.assert_allclose(fit.out_of_sample, expected, atol=1e-8)
    inside = softmax(8 * refit_scores(X, T, alpha * mean_scatter(X), X))
    np.testing.assert_allclose(fit.in_sample, inside, atol=1e-8)
    assert fit.alpha == alpha


@pytest.mark.parametrize(("n", "d", "noise"), [(30, 8, 0.1), (30, 8, 0.7), (15, 40, 0.3)])
def test_strength_has_the_smallest_leave_one_out_squared_error(n, d, noise):
    X, _, T = blobs(n, d, 3, noise=noise)
    errors = [((refit_without_each(X, T, s * mean_scatter(X)) - T) ** 2).sum() for s in RIDGE_GRID]
    assert RidgeProbe().prepare(X).train(T).alpha == RIDGE_GRID[int(np.argmin(errors))]


def test_noisier_targets_get_a_stronger_penalty():
    alphas = []
    for noise in (0.0, 0.8):
        X, _, T = blobs(200, 20, 4, noise=noise)
        alphas.append(RidgeProbe().prepare(X).train(T).alpha)
    assert alphas[1] > alphas[0]


def test_the_discriminant_unmasks_the_middle_class():
    rng = np.random.default_rng(0)
    y = np.arange(300) % 3
    X = 4.0 * (y[:, None] - 1) + 0.6 * rng.normal(size=(300, 1))
    T = np.eye(3)[y]
    fits = {r: RidgeProbe(calibration=r).prepare(X).train(T) for r in ("scores", "discriminant", "auto")}
    right = {r: (f.out_of_sample.argmax(axis=1) == y).mean() for r, f in fits.items()}
    assert right["scores"] < 0.75  # least squares never names the class in the middle
    assert right["discriminant"] > 0.95
    assert fits["auto"].calibration == "discriminant"
    np.testing.assert_array_equal(fits["auto"].out_of_sample, fits["discriminant"].out_of_sample)


def test_auto_takes_the_scores_where_nothing_is_masked():
    X, _, T = blobs(300, 20, 3)
    assert RidgeProbe().prepare(X).train(T).calibration == "scores"


@pytest.mark.parametrize("calibration", ["scores", "discriminant"])
@pytest.mark.parametrize(("n", "d"), [(60, 6), (40, 60)])
def test_samples_left_out_are_predicted_by_the_student_that_never_saw_them(calibration, n, d):
    X, _, T = blobs(n, d, 3)
    train_mask = np.random.default_rng(1).random(n) < 0.6
    changed = T.copy()
    changed[~train_mask] = np.nan  # must not be looked at
    fit = RidgeProbe(calibration=calibration).prepare(X).train(changed, train_mask=train_mask)
    alone = RidgeProbe(calibration=calibration).prepare(X[train_mask]).train(T[train_mask])
    assert fit.alpha == alone.alpha
    np.testing.assert_allclose(fit.out_of_sample[train_mask], alone.out_of_sample, atol=1e-9)
    np.testing.assert_allclose(fit.out_of_sample[~train_mask], alone.head.predict_proba(X[~train_mask]), atol=1e-9)
    np.testing.assert_allclose(fit.in_sample, alone.head.predict_proba(X), atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(60, 6), (40, 60)])
@pytest.mark.parametrize("make", [RidgeProbe, LogisticProbe])
@pytest.mark.parametrize("masked", [False, True])
def test_a_given_regularisation_is_that_of_the_probe(make, n, d, masked):
    X, _, T = blobs(n, d, 3)
    train_mask = np.random.default_rng(1).random(n) < 0.7 if masked else None
    free = make().prepare(X)
    free.train(T)  # whatever it remembers of this must not matter
    told = free.train(T, train_mask=train_mask, alpha=0.5)
    own = make(alpha=0.5).prepare(X).train(T, train_mask=train_mask)
    assert told.alpha == own.alpha == 0.5
    np.testing.assert_allclose(told.out_of_sample, own.out_of_sample, atol=1e-7)
    np.testing.assert_allclose(told.in_sample, own.in_sample, atol=1e-7)
    if train_mask is None and make is RidgeProbe:
        expected = refit_without_each(X, T, 0.5 * mean_scatter(X)).argmax(axis=1)
        np.testing.assert_array_equal(told.out_of_sample.argmax(axis=1), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_features_place_and_scale_do_not_matter(dtype):
    X, _, T = blobs(100, 5, 3)
    a = RidgeProbe().prepare(X).train(T)
    b = RidgeProbe().prepare((64 * X - 128).astype(dtype)).train(T)
    assert a.alpha == b.alpha
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
        RidgeProbe().prepare(X).train(T, train_mask=np.arange(20) < kept)


def test_many_classes_are_told_apart_by_more_than_their_order():
    """Scores of one class in a hundred are small: softmax of 8 times them would make every class about as likely."""
    task = make_hierarchy(2000, 500, n_features=128, n_classes=100, separation=5.0)
    fit = RidgeProbe(calibration="scores").prepare(task.X_train).train(np.eye(100)[task.truth.y_train])
    right = (fit.out_of_sample.argmax(axis=1) == task.truth.y_train).mean()
    assert fit.inverse_temperature > 16
    assert fit.out_of_sample.max(axis=1).mean() > right / 2
    # A weak teacher's labels of few classes keep the factor of 8.
    few = make_hierarchy(2000, 10, n_classes=10, teachers_per_level=(1,), accuracy=(0.6,))
    weak = np.eye(10)[few.labels.hard()[:, 0]]
    assert RidgeProbe(calibration="scores").prepare(few.X_train).train(weak).inverse_temperature == 8.0


def test_like_keeps_the_sharpness_of_an_earlier_fit_and_shares_the_factorisation():
    task = make_hierarchy(600, 10, n_features=64, n_classes=40, separation=5.0)
    trainer = RidgeProbe(calibration="scores").prepare(task.X_train)
    first = trainer.train(np.eye(40)[task.labels.hard()[:, 0]])
    clean = np.eye(40)[task.truth.y_train]
    again = trainer.like(first).train(clean)
    assert again.inverse_temperature == first.inverse_temperature
    assert trainer.train(clean).inverse_temperature != first.inverse_temperature
    np.testing.assert_allclose(
        again.head.weight / again.inverse_temperature,
        trainer.train(clean).head.weight / trainer.train(clean).inverse_temperature,
    )


@pytest.mark.parametrize("n_classes", [3, 20])
@pytest.mark.parametrize("alpha", [None, 1e-4, 0.1])
@pytest.mark.parametrize("left_out", [0, 7, 60])
def test_large_products_in_single_precision_say_the_same(n_classes, alpha, left_out, monkeypatch):
    """What features of single precision get from a size on, tried on small ones."""
    X, y, _ = blobs(120, 12, n_classes, noise=0.4)
    fits = []
    for large in (1 << 60, 0):
        monkeypatch.setattr(gram, "LARGE", large)
        trainer = RidgeProbe(alpha).prepare(X.astype(np.float32))
        # Halves after each other, of which the second follows from the first.
        train_mask = np.arange(len(X)) >= left_out
        fits.append(
            [
                trainer.train(y, train_mask=some, n_classes=n_classes)
                for some in ((train_mask, ~train_mask)[: 1 + (left_out > 7)])
            ]
        )
    for double, single in zip(*fits, strict=True):
        assert double.alpha == single.alpha
        np.testing.assert_allclose(single.out_of_sample, double.out_of_sample, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(single.in_sample, double.in_sample, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(single.head.weight, double.head.weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("away", [0.0, 2.0, 40.0])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_features_that_are_not_kept_are_read_about_zero_where_it_is_near(away, dtype, monkeypatch):
    X, y, _ = blobs(200, 12, 3, noise=0.4)
    X = ((X - X.mean(axis=0)) / X.std(axis=0) + away).astype(dtype)
    kept = RidgeProbe().prepare(X).train(y)
    monkeypatch.setattr(gram, "KEPT", 0)
    assert gram.Features(X).origin.any() == (away > gram.NEAR)
    read = RidgeProbe().prepare(X).train(y)
    assert read.alpha == kept.alpha
    np.testing.assert_allclose(read.out_of_sample, kept.out_of_sample, atol=1e-6)
    np.testing.assert_allclose(read.head.predict_proba(X), kept.head.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("n_classes", [3, 20])
@pytest.mark.parametrize("width", [4, 40])
def test_some_samples_choose_as_all_would(n_classes, width, monkeypatch):
    X, y, _ = blobs(3000, width, n_classes, noise=0.4)
    of_all = RidgeProbe().prepare(X).train(y)
    for module in (calibration, loo_errors):
        monkeypatch.setattr(module, "evenly_spaced", lambda n, _=0: np.arange(0, n, 4))
    of_some = RidgeProbe().prepare(X).train(y)
    assert (of_some.alpha, of_some.inverse_temperature) == (of_all.alpha, of_all.inverse_temperature)
    np.testing.assert_array_equal(of_some.head.weight, of_all.head.weight)


@pytest.mark.parametrize("n_classes", [3, 5])
def test_moments_of_class_ids_that_change_are_those_of_the_new_ones(n_classes):
    """Whether few or many changed, or the number of classes."""
    rng = np.random.default_rng(0)
    X, ids = rng.normal(size=(60, 4)), rng.integers(3, size=60)
    sample = gram.Sample(gram.Features(X), np.arange(1, 60))
    for changed in (0, 0, 3, 50, 1):
        ids = ids.copy()
        ids[rng.permutation(60)[:changed]] = rng.integers(n_classes, size=changed)
        moment = sample.moment(Targets.of(ids, np.arange(60) > 0, n_classes, 60))
        T = np.eye(n_classes)[ids[1:]]
        np.testing.assert_allclose(moment.mean, T.mean(axis=0))
        np.testing.assert_allclose(moment.product, (X[1:] - X[1:].mean(axis=0)).T @ T, atol=1e-12)
        n_classes = max(n_classes, 4)


def test_second_moments_of_a_part_by_way_of_the_other_one():
    """Whichever was summed before: the part asked for, the other one, or a third."""
    X = np.random.default_rng(0).normal(size=(30, 4))
    Z = X - X.mean(axis=0)
    parts = [np.arange(12), np.arange(12, 30), np.arange(0, 30, 3)]
    features = gram.Features(X)
    for some in (0, 1, 0, 1, 1, 2, 1, 0):
        members = parts[some]
        left_out = np.setdiff1d(np.arange(30), members)
        found = features.gram_less(members, left_out)
        np.testing.assert_allclose(found, Z[members].T @ Z[members], atol=1e-9)
        found[:] = 0.0  # an array of its own
