"""Layouts of data sets, made on the spot: what is read, in which order, and what is said when it is wrong."""

import csv

import numpy as np
import pytest

from cosup.tasks import ImageList, read_image_list
from cosup.utils.validation import CosupError
from layouts import classes_of, touch


def test_folders_are_classes_in_torchvisions_order(tmp_path):
    names = ["bus-stop/1.png", "bus/2.jpg", "bus/10.jpg", "bus/a/1.png", "bus/b.png", "cat/deep/er/x.JPEG"]
    touch(tmp_path, *names, "bus/notes.txt", "cat/.hidden.png", ".git/x.png")
    images = read_image_list(tmp_path)
    assert images.class_names == ("bus", "bus-stop", "cat")
    assert images.paths == (
        "bus/10.jpg",
        "bus/2.jpg",
        "bus/b.png",
        "bus/a/1.png",
        "bus-stop/1.png",
        "cat/deep/er/x.JPEG",
    )
    assert images.labels.tolist() == [0, 0, 0, 0, 1, 2]
    assert images.domains is None
    assert images.splits is None
    assert images.path(4) == tmp_path / "bus-stop/1.png"


def test_a_list_can_be_cut(tmp_path):
    images = read_image_list(touch(tmp_path, "a/x/1.png", "a/y/1.png", "b/x/1.png"), "domains")
    part = images[[2, 0]]
    assert part.paths == ("b/x/1.png", "a/x/1.png")
    assert part.domains.tolist() == [1, 0]
    assert len(images[1:]) == 2
    assert len(images[np.array([True, False, False])]) == 1
    assert part.class_names == images.class_names == ("x", "y")


def test_folders_called_as_splits_are_splits(tmp_path):
    images = read_image_list(touch(tmp_path, "train/a/1.png", "train/b/1.png", "valid/a/2.png", "test/b/2.png"))
    assert images.class_names == ("a", "b")
    assert dict(zip(images.paths, images.splits.tolist(), strict=True)) == {
        "test/b/2.png": "test", "train/a/1.png": "train", "train/b/1.png": "train", "valid/a/2.png": "val",
    }  # fmt: skip


def test_names_may_be_strange(tmp_path):
    names = ("A: first/ü ñ.jpg", "a b/c,;d.jpg", "a b/x..jpg")
    assert read_image_list(touch(tmp_path, *names)).paths == names


def test_a_heap_of_photos_has_no_labels(tmp_path):
    images = read_image_list(touch(tmp_path, "b.png", "a.jpg"))
    assert images.paths == ("a.jpg", "b.png")
    assert images.labels.tolist() == [-1, -1]


def test_pacs_is_domains_of_classes(tmp_path):
    images = read_image_list(touch(tmp_path, "photo/dog/1.jpg", "photo/cat/1.jpg", "sketch/dog/1.png"))
    assert images.domain_names == ("photo", "sketch")
    assert images.class_names == ("cat", "dog")
    assert images.paths == ("photo/cat/1.jpg", "photo/dog/1.jpg", "sketch/dog/1.png")
    assert images.domains.tolist() == [0, 0, 1]


def test_vlcs_has_splits_inside_domains_and_full_holds_them_again(tmp_path):
    names = [f"{d}/{s}/{c}/{i}.jpg" for d in ("CALTECH", "SUN") for s in ("train", "crossval", "test", "full")
             for c in ("0", "1") for i in range(2)]  # fmt: skip
    images = read_image_list(touch(tmp_path, *names))
    assert len(images) == 24
    assert set(images.splits) == {"train", "val", "test"}
    only_full = touch(tmp_path / "x", "CALTECH/full/0/1.jpg", "SUN/full/0/1.jpg")
    assert read_image_list(only_full, "domains").class_names == ("0",)


def write_table(file, rows):
    if file.suffix == ".parquet":
        arrow = pytest.importorskip("pyarrow", reason="needs the extra `tables`")
        parquet = pytest.importorskip("pyarrow.parquet", reason="needs the extra `tables`")
        columns = {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}
        parquet.write_table(arrow.table(columns), file)
    else:
        with file.open("w", newline="") as stream:
            csv.writer(stream, delimiter="\t" if file.suffix == ".tsv" else ",").writerows(rows)
    return file


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_a_table_of_paths(tmp_path, suffix):
    touch(tmp_path, "x/1.jpg", "x/2.jpg", "y, z/3.jpg")
    rows = [("path", "label", "domain", "split"), ("y, z/3.jpg", "dog", "b", "test"), ("./x/1.jpg", "", "a", "train"),
            ("x/2.jpg", "cat", "b", "train")]  # fmt: skip
    file = write_table(tmp_path / f"labels.{suffix}", rows)
    for images in (read_image_list(tmp_path), read_image_list(file)):
        assert images.paths == ("y, z/3.jpg", "x/1.jpg", "x/2.jpg")
        assert classes_of(images) == ["dog", None, "cat"]
        assert images.domains.tolist() == [1, 0, 1]
        assert images.splits.tolist() == ["test", "train", "train"]
    # Any column may say the domain.
    turned = read_image_list(file, columns={"domain": "split", "split": "domain"})
    assert turned.domain_names == ("test", "train")


def test_numbers_as_labels_and_classes_in_ones_own_order(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg", "3.jpg")
    file = write_table(tmp_path / "t.csv", [("file", "y"), ("1.jpg", 10), ("2.jpg", 9), ("3.jpg", 0)])
    columns = {"path": "file", "label": "y"}
    assert read_image_list(file, columns=columns).class_names == ("0", "9", "10")
    with pytest.raises(CosupError, match=r"t\.csv line 2: the label 10 is out of range; there are 2 classes"):
        read_image_list(file, columns=columns, class_names=["cat", "dog"])
    file = write_table(tmp_path / "t.csv", [("path", "label"), ("1.jpg", 1), ("2.jpg", 0), ("3.jpg", 1)])
    assert classes_of(read_image_list(file, class_names=["cat", "ant"])) == ["ant", "cat", "ant"]


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("path", "label"), ("gone.jpg", "a")], {}, r"t\.csv line 2: there is no image"),
        ([("path", "label"), ("../a.jpg", "a")], {}, "line 2: .* no path inside"),
        ([("path", "label"), ("..\\a.jpg", "a")], {}, "no path inside"),
        ([("path", "label"), ("/etc/passwd", "a")], {}, "no path inside"),
        ([("path", "label"), ("C:\\a.jpg", "a")], {}, "no path inside"),
        ([("path", "label"), ("", "a")], {}, "no path inside"),
        ([("path", "label"), ("link.jpg", "a")], {}, "leads out of the folder"),
        ([("path", "label"), ("1.jpg", "a"), ("./1.jpg", "a")], {}, "1.jpg is listed twice"),
        ([("path", "label"), ("1.jpg", "a", "b")], {}, "line 2: it has 3 fields, and the header has 2"),
        ([("path", "path"), ("1.jpg", "a")], {}, "a column twice"),
        ([("path", "label")], {}, "has no rows"),
        ([("paths", "label"), ("1.jpg", "a")], {}, "no column 'path'.*Did you mean 'paths'"),
        ([("path", "label"), ("1.jpg", "a")], {"columns": {"label": "lable"}}, "no column 'lable'.*'label'"),
        ([("path", "label"), ("1.jpg", "a")], {"columns": {"lable": "label"}}, "no part 'lable'"),
        ([("path", "label"), ("1.jpg", "dgo")], {"class_names": ["dog"]}, "line 2: unknown class 'dgo'. Did you"),
        ([("path", "label", "domain"), ("1.jpg", "a", "")], {}, "line 2: the domain is missing"),
    ],
)
def test_wrong_rows_of_a_table_are_named(tmp_path, rows, options, message):
    root = touch(tmp_path / "root", "1.jpg")
    touch(tmp_path, "a.jpg")
    file = write_table(root / "t.csv", rows)
    if "link.jpg" in rows[-1]:
        (root / "link.jpg").symlink_to(tmp_path / "a.jpg")
    with pytest.raises(CosupError, match=message):
        read_image_list(file, **options)


def test_links_that_lead_out_are_refused_in_every_layout(tmp_path):
    touch(tmp_path, "secret/1.png")
    root = touch(tmp_path / "root", "a/1.png")
    (root / "b").symlink_to(tmp_path / "secret")
    with pytest.raises(CosupError, match="leads out of the folder"):
        read_image_list(root)
    (root / "b").unlink()
    (root / "a/2.png").symlink_to(tmp_path / "secret/1.png")
    with pytest.raises(CosupError, match="leads out of the folder"):
        read_image_list(root)


def test_what_is_no_layout(tmp_path):
    with pytest.raises(CosupError, match="there is no folder"):
        read_image_list(tmp_path / "gone")
    with pytest.raises(CosupError, match="there is no image in"):
        read_image_list(tmp_path)
    touch(tmp_path / "empty", "a/1.png", "b/notes.txt")
    with pytest.raises(CosupError, match=r"class folder .*b holds no image"):
        read_image_list(tmp_path / "empty")
    assert read_image_list(tmp_path / "empty", allow_empty=True).class_names == ("a",)
    touch(tmp_path / "deep", "a/x/1.png", "b/y/1.png")
    with pytest.raises(CosupError, match=r"holds the folders a, b with x, y in them: no layout"):
        read_image_list(tmp_path / "deep")
    with pytest.raises(CosupError, match="Did you mean 'imagenet'"):
        read_image_list(tmp_path / "deep", "imagnet")
    with pytest.raises(CosupError, match=r"no option 'alow_empty'. Did you mean 'allow_empty'"):
        read_image_list(tmp_path / "deep", "folders", alow_empty=True)
    with pytest.raises(CosupError, match="no folder 'train or val' of ImageNet; it holds a, b"):
        read_image_list(tmp_path / "deep", "imagenet")
    with pytest.raises(CosupError, match="holds no class folders"):
        read_image_list(touch(tmp_path / "loose", "a/1.png", "b/1.png"), "domains")


def test_lists_made_by_hand_are_checked(tmp_path):
    good = {"root": tmp_path, "paths": ("a", "b"), "labels": np.array([0, -1]), "class_names": ("x",)}
    assert len(ImageList(**good)) == 2
    for change, message in [
        ({"labels": np.array([0, 1])}, "label 1 of b is out of range"),
        ({"labels": np.array([0])}, "labels have shape"),
        ({"paths": ("a", "a")}, "a is listed twice"),
        ({"paths": ("a", "../b")}, "no path inside"),
        ({"domains": np.array([0, 0])}, "domain 0 of a is out of range"),
        ({"splits": np.array(["x"])}, "splits have shape"),
    ]:
        with pytest.raises(CosupError, match=message):
            ImageList(**good | change)
