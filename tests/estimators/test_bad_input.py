"""Input that is wrong: one error type, a message that says what and where, and no training before it."""

import numpy as np
import pytest

from cosup import CosupError, TeacherLabels, co_supervise, make_method

N = 30


class Untouched:
    """A student that must never be reached."""

    def prepare(self, X):
        raise AssertionError("training began on bad input")


def features():
    return np.random.default_rng(0).normal(size=(N, 4))


def said():
    return np.stack([np.arange(N) % 3, (np.arange(N) + 1) % 3], axis=1)


def with_value(value, row=3, column=2):
    X = features()
    X[row, column] = value
    return X


BAD_FEATURES = {
    "NaN": (lambda: with_value(np.nan), r"X has NaN or infinite values, first at row 3, column 2 \(1 in all\)"),
    "infinite": (lambda: with_value(np.inf), r"X has NaN or infinite values, first at row 3, column 2"),
    "minus infinite": (lambda: with_value(-np.inf, 7, 0), r"first at row 7, column 0"),
    "opposite infinities": (
        lambda: np.where(np.arange(N)[:, None] < 1, [[np.inf, -np.inf, 0, 0]], features()),
        r"row 0, column 0 \(2 in all\)",
    ),
    "too few rows": (lambda: features()[:-1], r"X has 29 rows but the labels have 30 samples"),
    "too many rows": (lambda: np.vstack([features()] * 2), r"X has 60 rows but the labels have 30 samples"),
    "one dimension": (lambda: features()[:, 0], r"X must have shape|Expected 2D array"),
    "three dimensions": (lambda: features()[None], r"X must have shape|dim 3"),
    "a number": (lambda: 3.0, r"X must have shape|Expected 2D array"),
    "no rows": (lambda: features()[:0], r"empty|0 sample"),
    "no columns": (lambda: features()[:, :0], r"empty|0 feature"),
    "words": (lambda: np.full((N, 4), "a"), r"numbers|convert string"),
    "words as objects": (lambda: np.full((N, 4), "a", dtype=object), r"numbers|convert string"),
    "complex": (lambda: features() + 1j, r"numbers|Complex data not supported"),
}


@pytest.mark.parametrize("name", ["vanilla", "csl", "co-supervised"])
@pytest.mark.parametrize("kind", BAD_FEATURES)
def test_features(kind, name):
    make, message = BAD_FEATURES[kind]
    with pytest.raises(CosupError, match=message):
        make_method(name, student=Untouched()).fit(make(), TeacherLabels(said()))


@pytest.mark.parametrize("name", ["csl-published", "oracle"])
@pytest.mark.parametrize("kind", BAD_FEATURES)
def test_features_of_the_other_methods(kind, name):
    make, message = BAD_FEATURES[kind]
    with pytest.raises(CosupError, match=message):
        make_method(name, **({"truth": said()[:, 0]} if name == "oracle" else {})).fit(make(), TeacherLabels(said()))


@pytest.mark.parametrize("kind", ["NaN", "infinite", "no rows", "one dimension", "words"])
def test_features_to_predict(kind):
    make, message = BAD_FEATURES[kind]
    model = make_method("vanilla").fit(features(), TeacherLabels(said()))
    for predict in (model.predict, model.predict_proba, model.level_predict):
        with pytest.raises(CosupError, match=message):
            predict(make())


BAD_Y = {
    "several teachers": (lambda: said(), r"shape \(30, 2\).*TeacherLabels"),
    "another length": (lambda: said()[:-1, 0], r"29"),
    "one class": (lambda: np.zeros(N, dtype=int), r"at least two classes|one class"),
    "one class of strings": (lambda: np.full(N, "a"), r"at least two classes|one class"),
    "NaN": (lambda: np.where(np.arange(N) == 4, np.nan, said()[:, 0]), r"NaN"),
    "not classes": (lambda: features()[:, 0], r"continuous|class"),
    "nothing": (lambda: None, r"y"),
    "no samples": (lambda: said()[:0, 0], r"0"),
    "three dimensions": (lambda: said()[:, :1, None], r"shape|dim 3"),
}


@pytest.mark.parametrize("name", ["vanilla", "csl", "co-supervised"])
@pytest.mark.parametrize("kind", BAD_Y)
def test_plain_y(kind, name):
    make, message = BAD_Y[kind]
    with pytest.raises(CosupError, match=message):
        make_method(name, student=Untouched()).fit(features(), make())


def soft():
    return 0.8 * np.eye(3)[said()] + 0.2 / 3


def soft_with(value, where=(4, 1, 2)):
    p = soft()
    p[where] = value
    return p


def hard_with(value, where=(4, 1)):
    a = said()
    a[where] = value
    return a


BAD_LABELS = {
    "one dimension": (lambda: {"annotations": said()[:, 0]}, r"shape \(n_samples, n_teachers\).*reshape\(-1, 1\)"),
    "four dimensions": (lambda: {"annotations": np.zeros((N, 2, 3, 1))}, r"got \(30, 2, 3, 1\)"),
    "a number": (lambda: {"annotations": 3}, r"must have shape"),
    "nothing": (lambda: {"annotations": None}, r"must have shape"),
    "no samples": (lambda: {"annotations": said()[:0]}, r"annotations are empty: shape \(0, 2\)"),
    "no teachers": (lambda: {"annotations": said()[:, :0]}, r"annotations are empty: shape \(30, 0\)"),
    "no classes": (lambda: {"annotations": soft()[:, :, :0]}, r"annotations are empty"),
    "ragged": (lambda: {"annotations": [[0, 1], [1]]}, r"annotations"),
    "words": (lambda: {"annotations": [["cat", "dog"], ["dog", "dog"]]}, r"class ids must be integers"),
    "objects": (lambda: {"annotations": said().astype(object)}, r"class ids must be integers, got dtype object"),
    "booleans": (lambda: {"annotations": said() > 0}, r"class ids must be integers, got dtype bool"),
    "half a class": (lambda: {"annotations": said() + 0.5}, r"class ids must be whole numbers.*row 0, column 0"),
    "NaN class": (lambda: {"annotations": np.where(said() == 2, np.nan, said())}, r"whole numbers.*row"),
    "infinite class": (lambda: {"annotations": np.where(said() == 2, np.inf, said())}, r"whole numbers|finite"),
    "NaN class, classes given": (
        lambda: {"annotations": np.where(said() == 2, np.nan, said()), "n_classes": 3},
        r"whole numbers.*row 1, column 1",
    ),
    "class too large": (
        lambda: {"annotations": hard_with(7), "n_classes": 3, "names": ["a", "b"]},
        r"annotation 7 of teacher 'b' at row 4, column 1 \(1 in all\) is out of range.*0 to 2",
    ),
    "class too small": (lambda: {"annotations": hard_with(-2)}, r"annotation -2 of teacher 'teacher 1' at row 4"),
    "sum": (
        lambda: {"annotations": soft_with(0.5, (4, 1))},
        r"probabilities of teacher 'teacher 1' at row 4, column 1 \(1 in all\) sum to 1.5, not 1",
    ),
    "negative": (
        lambda: {"annotations": soft_with([1.2, -0.2, 0.0], (4, 1))},
        r"not negative.*row 4, column 1, class 1",
    ),
    "infinite": (lambda: {"annotations": soft_with(np.inf)}, r"finite.*row 4, column 1, class 2"),
    "some NaN": (lambda: {"annotations": soft_with(np.nan)}, r"some NaN, first at row 4, column 1.*all NaN"),
    "integer probabilities": (lambda: {"annotations": soft().astype(int)}, r"must be floating"),
    "columns": (lambda: {"annotations": soft(), "n_classes": 4}, r"3 columns of probabilities but n_classes is 4"),
    "silent teacher": (
        lambda: {"annotations": hard_with(-1, (slice(None), 1)), "names": ["a", "b"]},
        r"teacher 'b' \(column 1\) abstains on every sample",
    ),
    "silent soft teacher": (lambda: {"annotations": soft_with(np.nan, (slice(None), 0))}, r"column 0\) abstains"),
    "all silent": (lambda: {"annotations": np.full((N, 2), -1), "n_classes": 3}, r"abstains on every sample"),
    "gap in the levels": (lambda: {"annotations": said(), "levels": [0, 2]}, r"nobody is at level 1.*\[0, 2\]"),
    "no generalist": (lambda: {"annotations": said(), "levels": [1, 1]}, r"nobody is at level 0"),
    "negative level": (lambda: {"annotations": said(), "levels": [0, -1]}, r"levels must be whole numbers"),
    "half a level": (lambda: {"annotations": said(), "levels": [0, 0.5]}, r"levels must be whole numbers"),
    "NaN level": (lambda: {"annotations": said(), "levels": [0, np.nan]}, r"levels must be whole numbers"),
    "level names": (lambda: {"annotations": said(), "levels": ["a", "b"]}, r"levels must be whole numbers"),
    "number of levels": (lambda: {"annotations": said(), "levels": [0]}, r"one entry a teacher.*\(2,\), got \(1,\)"),
    "one class": (lambda: {"annotations": np.zeros((N, 1), int)}, r"at least two classes"),
    "one class of three": (lambda: {"annotations": np.ones((N, 2), int), "n_classes": 3}, r"same class \(1\)"),
    "classes": (lambda: {"annotations": said(), "n_classes": 1}, r"at least two classes"),
    "number of specialties": (lambda: {"annotations": said(), "specialties": [None]}, r"1 entries for 2 teachers"),
    "empty specialty": (lambda: {"annotations": said(), "specialties": [None, []]}, r"'teacher 1' is empty"),
    "specialty too large": (lambda: {"annotations": said(), "specialties": [None, [3]]}, r"from 0 to 2, got \[3\]"),
    "specialty too small": (lambda: {"annotations": said(), "specialties": [None, [-1]]}, r"from 0 to 2, got \[-1\]"),
    "half a specialty": (lambda: {"annotations": said(), "specialties": [[0.5], None]}, r"must be class ids"),
    "a specialty that is a number": (lambda: {"annotations": said(), "specialties": [0, 1]}, r"specialt"),
    "number of names": (lambda: {"annotations": said(), "names": ["a"]}, r"names has 1 entries for 2 teachers"),
    "names": (lambda: {"annotations": said(), "names": ["a", "a"]}, r"names must differ; 'a'"),
}


@pytest.mark.parametrize("kind", BAD_LABELS)
def test_labels(kind):
    make, message = BAD_LABELS[kind]
    with pytest.raises(CosupError, match=message):
        TeacherLabels(**make())


@pytest.mark.parametrize("name", ["csl", "co-supervised"])
def test_a_slice_with_one_class_left(name):
    labels = TeacherLabels(np.array([[0], [0], [0], [1]]))
    with pytest.raises(CosupError, match="at least two classes"):
        make_method(name, student=Untouched()).fit(np.eye(3), labels[:3])


def test_the_function_below_checks_its_labels():
    labels = TeacherLabels(np.array([[0], [0], [0], [1]]))
    with pytest.raises(CosupError, match="at least two classes"):
        co_supervise(np.eye(3), labels[:3], student=Untouched())


@pytest.mark.parametrize("name", ["vanilla", "csl", "co-supervised", "oracle"])
def test_a_student_that_is_none(name):
    parameters = {"truth": said()[:, 0]} if name == "oracle" else {}
    with pytest.raises(CosupError, match="there is no student"):
        make_method(name, student="forest", **parameters).fit(features(), TeacherLabels(said()))


def test_every_error_of_ours_is_a_value_error():
    assert issubclass(CosupError, ValueError)
