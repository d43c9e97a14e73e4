"""The ridge with many classes: sums over samples that do not grow with alphas times classes, and float32."""

import numpy as np
import pytest

from cosup import RidgeProbe
from cosup.students.ridge import calibration as readout_module
from cosup.students.ridge import gram as factor_module
from cosup.students.ridge import loo_errors as errors_module
from cosup.students.ridge.gram import Features, Sample
from cosup.students.ridge.grid import GRID
from cosup.students.ridge.solvers import Factor, Whole
from cosup.students.targets import Targets


def task(seed, n=None, d=None, c=None):
    """Features of some spectrum, noisy class ids; now and then an outlier."""
    rng = np.random.default_rng(seed)
    n, d, c = (
        n or int(rng.choice([60, 200, 600])),
        d or int(rng.choice([8, 40, 120])),
        c or int(rng.choice([3, 20, 70])),
    )
    y = rng.integers(c, size=n)
    X = rng.normal(size=(c, d))[y] * rng.choice([0.2, 0.5, 2.0]) + rng.normal(size=(n, d))
    X *= np.arange(1, d + 1.0) ** -rng.choice([0.0, 0.5, 1.5])
    X[0] *= 50 if seed % 4 == 0 else 1
    ids = np.where(rng.random(n) < rng.choice([0.0, 0.3, 0.7]), rng.integers(c, size=n), y)
    soft = np.eye(c)[ids] + 0.3 * rng.random((n, c))
    return X, ids, soft / soft.sum(axis=1, keepdims=True), rng.random(n) < 0.8


def reference(factor, moment):
    """Every sample's leave-one-out residuals at every regularisation, in float64."""
    sample = factor.sample
    Z = sample.features.read(sample.members) - sample.shift
    T = moment.targets.dense(sample.members)
    left = 1.0 - factor.leverages(GRID)
    missed = [Z @ factor.weight(moment, s) + moment.mean - T for s in GRID]
    return np.array([((m / h[:, None]) ** 2).sum() for m, h in zip(missed, left.T, strict=True)])


@pytest.mark.parametrize("seed", range(16))
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_regularisation_is_that_of_all_residuals(seed, kind, masked, monkeypatch):
    monkeypatch.setattr(errors_module, "WORTHWHILE", 0)
    X, ids, soft, train_mask = task(seed)
    targets = Targets.of(ids if kind == "hard" else soft, train_mask if masked else None, soft.shape[1], len(X))
    features = Features(X)
    sample = Sample(features, targets.members) if masked else Whole(features).sample
    factor, moment = Factor(sample), sample.moment(targets)
    found, expected = factor.grid_errors.of(moment), reference(factor, moment)
    assert found.argmin() == expected.argmin()
    assert found.min() == pytest.approx(expected.min(), rel=2e-5)
    if sample.n > 2 * sample.d:
        assert factor.grid_errors._curves is not None  # or nothing was summed
        near = expected < 2 * expected.min()
        np.testing.assert_allclose(found[near], expected[near], rtol=1e-4)


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("calibration", ["scores", "discriminant", "auto"])
@pytest.mark.parametrize("d", [8, 120])
def test_large_problems_in_float32_predict_what_float64_does(kind, masked, calibration, d, monkeypatch):
    X, ids, soft, train_mask = task(2, 600, d, 70)
    X = X.astype(np.float32)
    targets, train_mask = ids if kind == "hard" else soft, train_mask if masked else None
    fine = RidgeProbe(calibration=calibration).prepare(X).train(targets, train_mask=train_mask, n_classes=70)
    expected = fine.out_of_sample
    assert expected.dtype == np.float64
    monkeypatch.setattr(factor_module, "LARGE", 1)
    coarse = RidgeProbe(calibration=calibration).prepare(X).train(targets, train_mask=train_mask, n_classes=70)
    assert (coarse.alpha, coarse.calibration, coarse.inverse_temperature) == (
        fine.alpha,
        fine.calibration,
        fine.inverse_temperature,
    )
    assert coarse.out_of_sample.dtype == np.float32
    np.testing.assert_allclose(coarse.out_of_sample, expected, atol=2e-5)
    np.testing.assert_allclose(coarse.head.weight, fine.head.weight, rtol=1e-5, atol=5e-6 * abs(fine.head.weight).max())
    # What was computed from finer features stays as fine as these.
    assert RidgeProbe().prepare(X.astype(np.float64)).train(ids).out_of_sample.dtype == np.float64


@pytest.mark.parametrize("masked", [False, True])
def test_a_discriminant_of_fewer_features_than_classes_is_the_textbooks(masked):
    X, _, soft, train_mask = task(5, 600, 8, 20)
    train_mask = train_mask if masked else np.ones(len(X), dtype=bool)
    fit = RidgeProbe(alpha=0.1, calibration="discriminant").prepare(X).train(soft, train_mask=train_mask)
    scores = RidgeProbe(alpha=0.1, calibration="scores").prepare(X).train(soft, train_mask=train_mask)
    F = (X[train_mask] @ scores.head.weight + scores.head.bias) / scores.inverse_temperature
    counts = soft[train_mask].sum(axis=0)
    means = soft[train_mask].T @ F / counts[:, None]
    within = (F.T @ F - (means.T * counts) @ means) / train_mask.sum()
    within += readout_module.SHRINKAGE * np.trace(within) / 20 * np.eye(20)
    A = np.linalg.solve(within, means.T)
    logits = F @ A + np.log(counts / counts.sum()) - 0.5 * np.einsum("ij,ji->i", means, A)
    found = X[train_mask] @ fit.head.weight + fit.head.bias
    found, logits = (a - a.mean(axis=1, keepdims=True) for a in (found, logits))
    factor = (found * logits).sum() / (logits**2).sum()
    assert np.isclose(readout_module.TEMPERATURES, factor, rtol=1e-6).any()
    np.testing.assert_allclose(found, factor * logits, atol=1e-6 * abs(logits).max())


def test_the_likeliest_factor_is_found_from_a_bad_guess(monkeypatch):
    X, ids, _, _ = task(3, 600, 40, 20)
    order = np.argsort(ids, kind="stable")
    expected = (
        RidgeProbe(calibration="scores").prepare(X[order]).train(ids[order]).inverse_temperature
    )  # all samples are the guess
    monkeypatch.setattr(readout_module, "GUESS", 4)
    assert RidgeProbe(calibration="scores").prepare(X[order]).train(ids[order]).inverse_temperature == expected
