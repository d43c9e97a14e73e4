"""ImageNet's layouts, made on the spot: class folders, a flat val with its devkit or a mapping, Kaggle's."""

import numpy as np
import pytest
import scipy.io

from cosup.tasks import read_image_list, split_images
from cosup.utils.validation import CosupError
from layouts import classes_of, touch

WNIDS = ["n01440764", "n01443537", "n02119789", "n07930864"]
# As in the real devkit, its numbers are not in the wnids' order, and inner nodes of the tree follow the leaves.
DEVKIT = {1: "n02119789", 2: "n01440764", 3: "n07930864", 4: "n01443537"}


def make_val(root, *, flat, folder="val", n_each=3):
    """ImageNet's val, with images numbered as the real ones: classes take turns in another order than wnids'."""
    truth = [1 + i % 4 for i in range(4 * n_each)]
    for i, number in enumerate(truth):
        name = f"ILSVRC2012_val_{i + 1:08d}.JPEG"
        touch(root, f"{folder}/{name}" if flat else f"{folder}/{DEVKIT[number]}/{name}")
    return truth


def make_devkit(root, truth, place="ILSVRC2012_devkit_t12/data"):
    (root / place).mkdir(parents=True)
    (root / place / "ILSVRC2012_validation_ground_truth.txt").write_text("".join(f"{n}\n" for n in truth))
    rows = [(i, w, "words", "gloss", 0, [], 0, 0) for i, w in DEVKIT.items()]
    rows.append((5, "n00001740", "entity", "all", 4, [1, 2, 3, 4], 0, 0))
    types = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O"),
             ("children", "O"), ("wordnet_height", "O"), ("num_train_images", "O")]  # fmt: skip
    synsets = np.empty((len(rows), 1), dtype=types)
    for i, row in enumerate(rows):
        synsets[i, 0] = tuple(np.array(v) if not isinstance(v, str) else v for v in row)
    scipy.io.savemat(root / place / "meta.mat", {"synsets": synsets})


def val_of(root, **options):
    images = read_image_list(root, **options)
    return [
        (path.rpartition("/")[2], name) for path, name in zip(images.paths, classes_of(images), strict=True)
    ], images


def test_flat_val_with_its_devkit_is_val_in_class_folders(tmp_path):
    make_val(tmp_path / "folders", flat=False)
    make_devkit(tmp_path / "flat", make_val(tmp_path / "flat", flat=True))
    expected, images = val_of(tmp_path / "folders")
    assert images.class_names == tuple(WNIDS)
    got, flat = val_of(tmp_path / "flat")
    assert got == expected
    assert flat.class_names == images.class_names
    assert set(flat.splits) == {"val"}
    # The published split therefore picks the same images.
    for name in ("train", "test"):
        chosen = [split_images(i, "published", seed=3, n_train=9)[name] for i in (images, flat)]
        np.testing.assert_array_equal(*chosen)


def mapping_lines(truth, form):
    for i, number in enumerate(truth):
        name, wnid = f"ILSVRC2012_val_{i + 1:08d}", DEVKIT[number]
        yield {
            "wnids": wnid,
            "spaces": f"{name}.JPEG {wnid}",
            "numbers": f"{name}.JPEG {WNIDS.index(wnid)}",
            "kaggle": f"{name},{wnid} 1 2 30 40 {wnid} 5 6 7 8",
        }[form]


@pytest.mark.parametrize(
    ("form", "file"),
    [
        ("wnids", "imagenet_2012_validation_synset_labels.txt"),
        ("spaces", "val.txt"),
        ("numbers", "val.txt"),
        ("kaggle", "LOC_val_solution.csv"),
        ("spaces", "own.txt"),
    ],
)
def test_flat_val_with_a_mapping_file(tmp_path, form, file):
    make_val(tmp_path / "folders", flat=False)
    root = tmp_path / "flat"
    truth = make_val(root, flat=True)
    touch(root, *(f"train/{wnid}/1.JPEG" for wnid in WNIDS))
    head = ["ImageId,PredictionString"] if form == "kaggle" else []
    (root / file).write_text("\n".join([*head, *mapping_lines(truth, form)]))
    options = {"mapping": file} if file == "own.txt" else {}
    assert val_of(root, part="val", layout="imagenet", **options)[0] == val_of(tmp_path / "folders")[0]


def test_train_and_val_together_and_as_kaggle_has_them(tmp_path):
    base = tmp_path / "ILSVRC/Data/CLS-LOC"
    make_val(base, flat=False, n_each=1)
    touch(base, *(f"train/{wnid}/{wnid}_{i}.JPEG" for wnid in WNIDS for i in (10, 9)))
    images = read_image_list(tmp_path)
    assert images.class_names == tuple(WNIDS)
    assert images.splits.tolist() == ["train"] * 8 + ["val"] * 4
    assert images.paths[0] == "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_10.JPEG"
    assert len(read_image_list(tmp_path, "imagenet", part="train")) == 8
    assert {k: len(v) for k, v in split_images(images, "official").items()} == {"train": 8, "val": 4}


def test_what_is_wrong_with_imagenet_is_said(tmp_path):
    truth = make_val(tmp_path, flat=True)
    with pytest.raises(CosupError, match="nothing says their classes; copy ILSVRC2012_devkit_t12"):
        read_image_list(tmp_path)
    with pytest.raises(CosupError, match="no mapping file gone"):
        read_image_list(tmp_path, mapping="gone")
    mapping = tmp_path / "val.txt"
    lines = list(mapping_lines(truth, "spaces"))

    def say(text, message):
        mapping.write_text(text)
        with pytest.raises(CosupError, match=message):
            read_image_list(tmp_path)

    say("\n".join([*lines[:3], "gone.JPEG n01440764"]), r"val\.txt line 4: there is no image gone")
    say("\n".join([*lines, lines[1]]), r"line 13: ILSVRC2012_val_00000002\.JPEG is listed twice")
    say("\n".join(lines[1:]), r"does not say the class of val/ILSVRC2012_val_00000001")
    say("\n".join([*lines[1:], "ILSVRC2012_val_00000001.JPEG dog"]), "line 12: a wnid, as n01440764, is expected")
    say("\n".join(mapping_lines(truth, "numbers")), "takes the class folders of train")
    touch(tmp_path, *(f"train/{wnid}/1.JPEG" for wnid in WNIDS[:2]))
    say("\n".join(mapping_lines(truth, "numbers")), "line 1: the label 2 is out of range; there are 2")
    make_devkit(tmp_path, [*truth[:-1], 5])
    with pytest.raises(CosupError, match=r"ground_truth\.txt line 12: the label 5 is out of range"):
        read_image_list(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt").write_text("1\n2\n")
    with pytest.raises(CosupError, match="2 labels, but there are 12 images"):
        read_image_list(tmp_path)
    (tmp_path / "ILSVRC2012_devkit_t12/data/meta.mat").write_bytes(b"nonsense")
    with pytest.raises(CosupError, match=r"not the devkit's meta\.mat"):
        read_image_list(tmp_path)
