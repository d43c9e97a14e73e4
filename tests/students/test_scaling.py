"""Features as people have them: broken cells, units, offsets, constants; and embeddings, which pass through."""

import numpy as np
import pytest

from cosup import LinearHead, RidgeProbe, TeacherLabels, load, make_method
from cosup.students.scaling import FeatureScaling, _centre_and_reach
from cosup.tasks import make_hierarchy

TASK = make_hierarchy(n_samples=800, n_test=800, n_features=24, n_classes=6, separation=5.0, random_state=3)
RNG = np.random.default_rng(0)
UNITS = 10 ** RNG.uniform(-3, 3, 24)
NOISE = 1e4 * RNG.normal(size=(800, 1))


def with_cell(value):
    X = TASK.X_train.astype(np.float64)
    X[17, 3] = value
    return X


CASES = {
    "cell of 300": (with_cell(300.0), TASK.X_test),
    "cell of 1e150": (with_cell(1e150), TASK.X_test.astype(np.float64)),
    "units": (TASK.X_train * UNITS, TASK.X_test * UNITS),
    "noise of 1e4": (np.hstack([TASK.X_train, NOISE]), np.hstack([TASK.X_test, NOISE])),
    "offset of 1e6": (TASK.X_train.astype(np.float64) + 1e6, TASK.X_test.astype(np.float64) + 1e6),
    "constant": (np.hstack([TASK.X_train, np.full((800, 1), 7.0)]), np.hstack([TASK.X_test, np.full((800, 1), 7.0)])),
}


def score(method, X, X_test):
    return make_method(method, random_state=0).fit(X, TASK.labels).score(X_test, TASK.truth.y_test)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", ["co-supervised", "vanilla", "csl"])
def test_bad_scales_cost_next_to_nothing(method, case):
    assert score(method, *CASES[case]) > score(method, TASK.X_train, TASK.X_test) - 0.02


def test_embeddings_of_one_scale_pass_through_as_they_are():
    X = RNG.normal(size=(500, 32)) * np.geomspace(0.2, 2.0, 32)
    assert FeatureScaling.of(X, lambda rows: RNG.integers(3, size=len(rows))) is None


def test_the_record_names_the_column():
    model = make_method("co-supervised").fit(CASES["cell of 300"][0], TASK.labels)
    assert any("(3)" in note for note in model.history_[0]["notes"])


def test_scale_and_centre_end_in_the_weights_that_are_saved(tmp_path):
    X, X_test = CASES["units"]
    model = make_method("co-supervised").fit(X, TASK.labels)
    assert isinstance(model.head_, LinearHead)
    model.save(tmp_path / "model")
    assert load(tmp_path / "model").predict_proba(X_test) == pytest.approx(model.predict_proba(X_test))
    assert (model.level_predict(X_test)[-1] == model.predict(X_test)).all()


def test_a_file_is_scaled_as_an_array_is(tmp_path):
    X, X_test = CASES["units"]
    np.save(tmp_path / "X.npy", X)
    ours, mapped = (
        make_method("vanilla").fit(given, TASK.labels).predict_proba(X_test)
        for given in (X, np.load(tmp_path / "X.npy", mmap_mode="r"))
    )
    assert mapped == pytest.approx(ours, abs=1e-9)


def test_a_student_that_is_not_linear_is_put_behind_the_scaling():
    X, X_test = CASES["units"]
    y = TASK.truth.y_train
    model = make_method("vanilla", student="mlp", random_state=0).fit(X, TeacherLabels(y[:, None], n_classes=6))
    assert model.score(X_test, TASK.truth.y_test) > 0.8


class OfInputs:
    """A student that reads what a network takes."""

    reads_raw_inputs = True

    def prepare(self, X):
        self.given = X
        return RidgeProbe().prepare(X)


def test_inputs_of_a_network_are_not_scaled():
    X, student = CASES["units"][0], OfInputs()
    make_method("vanilla", student=student).fit(X, TASK.labels)
    assert student.given is X


def test_medians_and_reaches_are_those_of_numpy():
    sample = RNG.normal(size=(101, 7)) * UNITS[:7]
    for given in (sample, sample[:100]):
        centre, reach = _centre_and_reach(given)
        np.testing.assert_allclose(centre, np.median(given, axis=0))
        np.testing.assert_allclose(reach, np.quantile(np.abs(given - centre), 0.99, axis=0))


@pytest.mark.parametrize("n_features", [24, 1024])
def test_columns_in_other_units_are_standardised_and_columns_of_next_to_nothing_are_not(n_features):
    task = make_hierarchy(n_samples=1100, n_test=10, n_features=n_features, n_classes=6, separation=5.0, random_state=3)
    units = np.resize(UNITS, n_features)
    noise = 1e-4 * RNG.normal(size=(1100, n_features // 4))

    def named(rows):
        return task.truth.y_train[rows]

    assert FeatureScaling.of((task.X_train * units).astype(np.float32), named) is not None
    assert FeatureScaling.of(np.hstack([task.X_train, noise]).astype(np.float32), named) is None
