"""Families of tasks: what their names promise is what they plant, and Fashion-MNIST's files are checked."""

import gzip

import numpy as np
import pytest

from cosup.embedding import FeatureCache
from cosup.tasks import list_tasks, load_fashion, load_task, make_hierarchy, register_member, sweep_of
from cosup.utils.validation import CosupError

PLANTED = [name for name in list_tasks() if name.startswith("hierarchy-")]


def right(task):
    """Whether each teacher is right, (n_samples, n_teachers)."""
    return task.labels.hard() == task.truth.y_train[:, None]


@pytest.mark.parametrize("name", [name for name in PLANTED if name != "hierarchy-classes-1000"])
def test_every_member_loads_and_answers_to_its_name(name):
    task = load_task(name, seed=1)
    assert task.name == name
    sweep = sweep_of(name)
    assert (sweep is None) == (name == "hierarchy-random")


def test_the_number_of_specialists_and_of_classes_is_the_names():
    for number in (1, 8, 64):
        assert len(load_task(f"hierarchy-teachers-{number}").labels.at_level(1)) == number
    for number in (10, 100):
        assert load_task(f"hierarchy-classes-{number}").labels.n_classes == number


def test_members_take_the_options_that_they_leave_open():
    assert len(load_task("hierarchy-overlap-2", n_samples=120).X_train) == 120
    with pytest.raises(CosupError, match="no option 'overlap'"):
        load_task("hierarchy-overlap-2", overlap=1)


def test_a_member_needs_its_family():
    with pytest.raises(CosupError, match="hierarchy"):
        register_member("hierachy", "x", "no")
    with pytest.raises(CosupError, match="'n_classes'"):
        register_member("hierarchy", "x", "no", n_clases=3)
    with pytest.raises(CosupError, match="registered already"):
        register_member("hierarchy", "random", "no")


@pytest.mark.parametrize("seed", [0, 1])
def test_useless_teachers_are_right_by_chance_and_adversaries_never(seed):
    task = make_hierarchy(6000, 10, useless=1, adversarial=1, random_state=seed)
    inside = task.truth.expert[:, 2][:, None] == np.arange(7)
    shares = [right(task)[inside[:, t], t].mean() for t in task.labels.at_level(2)]
    # Ranges of three classes: chance is a third.
    assert shares == pytest.approx([0.8, 0.8, 1 / 3, 0.0], abs=0.05)
    plain = make_hierarchy(6000, 10, random_state=seed)
    # The others say what they say in the task without bad teachers.
    np.testing.assert_array_equal(task.labels.hard()[:, [0, 3, 4]], plain.labels.hard()[:, [0, 3, 4]])
    np.testing.assert_array_equal(task.X_train, plain.X_train)


def test_bad_teachers_pretend_to_the_accuracy_of_their_level():
    task = make_hierarchy(300, 10, useless=1, adversarial=1, soft=True)
    said = np.stack([task.labels.probabilities(t).max(axis=1) for t in task.labels.at_level(2)], axis=1)
    np.testing.assert_allclose(said, 0.8)


def test_in_the_random_task_nobody_knows_anything():
    task = load_task("hierarchy-random", n_samples=6000)
    for t, classes in enumerate(task.labels.specialties):
        rows = np.isin(task.truth.y_train, classes)
        assert right(task)[rows, t].mean() == pytest.approx(1 / len(classes), abs=0.05)


def test_correlated_teachers_are_wrong_on_the_same_samples():
    def together(correlation):
        task = make_hierarchy(5000, 10, teachers_per_level=(1, 1), accuracy=(0.6, 0.6), correlation=correlation)
        return np.corrcoef(right(task).T)[0, 1]

    assert together(0.0) == pytest.approx(0.0, abs=0.05)
    # Both use the common draw on a quarter of the samples.
    assert together(0.5) == pytest.approx(0.25, abs=0.05)
    assert together(1.0) == pytest.approx(1.0)


def test_imbalance_is_the_ratio_of_first_to_last():
    counts = np.bincount(make_hierarchy(60000, 10, imbalance=10).truth.y_train)
    assert counts[0] / counts[-1] == pytest.approx(10, rel=0.15)
    assert (np.diff(counts) < 0).all()


@pytest.mark.parametrize(
    "options", [{"imbalance": 0.5}, {"correlation": 1.1}, {"useless": -1}, {"adversarial": 0.5}, {"correlation": -1}]
)
def test_wrong_properties_are_refused(options):
    with pytest.raises(CosupError, match=next(iter(options))):
        make_hierarchy(100, 10, **options)


# -- Fashion-MNIST -------------------------------------------------------------------------------------------


class Pixels:
    """A backbone whose features are the pixels."""

    name, n_features, fingerprint = "pixels", 784, "1"

    def embed(self, images):
        return images.reshape(len(images), -1).astype(np.float32)


def write(folder, images, labels, *, cut=0):
    def idx(array):
        sizes = b"".join(int(n).to_bytes(4, "big") for n in array.shape)
        return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()

    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        packed = gzip.compress(idx(array))
        (folder / f"{name}.gz").write_bytes(packed[: len(packed) - cut])


@pytest.fixture
def garments():
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (60, 28, 28), dtype=np.uint8), np.arange(60, dtype=np.uint8) % 10


def test_fashion_reads_idx_files(tmp_path, garments):
    write(tmp_path, *garments)
    pictures = load_fashion(Pixels(), FeatureCache(tmp_path / "cache"), root=tmp_path)
    np.testing.assert_array_equal(pictures.images, garments[0])
    np.testing.assert_array_equal(pictures.y, garments[1])
    assert pictures.thumbnails.shape == (60, 16)
    np.testing.assert_allclose(pictures.thumbnails[3, 0], garments[0][3, :7, :7].mean() / 255)


def test_fashion_names_the_package_where_it_is_missing(tmp_path):
    with pytest.raises(CosupError, match="apt-get install dataset-fashion-mnist"):
        load_fashion(Pixels(), FeatureCache(tmp_path / "cache"), root=tmp_path)


def test_fashion_files_that_are_broken_are_refused(tmp_path, garments):
    cache = FeatureCache(tmp_path / "cache")
    images, labels = garments
    write(tmp_path, images, labels, cut=9)
    with pytest.raises(CosupError, match="cut short"):
        load_fashion(Pixels(), cache, root=tmp_path)
    write(tmp_path, images, labels[:-1])
    with pytest.raises(CosupError, match="60 pictures"):
        load_fashion(Pixels(), cache, root=tmp_path)
    write(tmp_path, labels, images)
    with pytest.raises(CosupError, match="not an idx file"):
        load_fashion(Pixels(), cache, root=tmp_path)
