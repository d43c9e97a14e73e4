"""Images are cut into parts: the published split, shares, a domain left out."""

import numpy as np
import pytest

from cosup.tasks import ImageList, split_images
from cosup.utils.validation import CosupError


def many(n=100, n_classes=4, **more):
    names = tuple(f"{i:03d}.png" for i in range(n))
    return ImageList("root", names, np.arange(n) % n_classes, tuple("abcdefgh"[:n_classes]), **more)


def test_the_published_split_is_numpys_shuffle_of_val():
    images = many(splits=np.array(["train"] * 40 + ["val"] * 60))
    order = np.arange(40, 100)
    np.random.default_rng(7).shuffle(order)
    parts = split_images(images, "published", seed=7, n_train=50)
    np.testing.assert_array_equal(parts["train"], order[:50])
    np.testing.assert_array_equal(parts["test"], order[50:])
    with pytest.raises(CosupError, match=r"trains on 40000 images .* but there are 60"):
        split_images(images, "published")
    with pytest.raises(CosupError, match="no image is in it"):
        split_images(images[:10], "published")


@pytest.mark.parametrize("name", ["random", "stratified"])
def test_shares_are_kept_and_every_image_is_in_one_part(name):
    images = many(domains=np.repeat([0, 1], 50), domain_names=("p", "q"))
    shares = {"teachers": 0.4, "train": 0.4, "test": 0.2}
    parts = split_images(images, name, seed=1, shares=shares)
    assert sorted(np.concatenate(list(parts.values()))) == list(range(100))
    assert {part: len(indexes) for part, indexes in parts.items()} == pytest.approx(
        {"teachers": 40, "train": 40, "test": 20}, abs=4
    )
    again = split_images(images, name, seed=1, shares=shares)
    other = split_images(images, name, seed=2, shares=shares)
    assert all(np.array_equal(parts[part], again[part]) for part in parts)
    assert not np.array_equal(parts["test"], other["test"])
    if name == "stratified":
        counts = np.bincount(images.labels[parts["test"]] + 4 * images.domains[parts["test"]], minlength=8)
        assert set(counts) <= {2, 3}


def test_a_domain_can_be_left_out_and_wrong_splits_are_said():
    images = many(domains=np.repeat([0, 1], 50), domain_names=("photo", "sketch"))
    assert split_images(images, "domain", domain="sketch")["test"].tolist() == list(range(50, 100))
    for call, message in [
        (lambda: split_images(images, "domain", domain="sketh"), "Did you mean 'sketch'"),
        (lambda: split_images(many(), "domain", domain="x"), "needs images with domains"),
        (lambda: split_images(images, "publishd"), "Did you mean 'published'"),
        (lambda: split_images(images, "official"), "no official split"),
        (lambda: split_images(images, "random", shares={"train": 0.5}), "add up to 1"),
        (lambda: split_images(images[:1], "random"), "is empty"),
        (lambda: split_images(images, "random", seed=-1), "seed"),
    ]:
        with pytest.raises(CosupError, match=message):
            call()
