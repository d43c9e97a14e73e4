"""Layouts of data sets, made on the spot: what is read, in which order, and what is said when it is wrong."""

import csv

import numpy as np
import pytest
import scipy.io

from cosup._validation import CosupError
from cosup.datasets import ImageList, read_image_list, split_images

WNIDS = ["n01440764", "n01443537", "n02119789", "n07930864"]
# As in the real devkit, its numbers are not in the wnids' order, and inner nodes of the tree follow the leaves.
DEVKIT = {1: "n02119789", 2: "n01440764", 3: "n07930864", 4: "n01443537"}


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def classes_of(images):
    return [images.class_names[label] if label >= 0 else None for label in images.labels]


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


DOMAINS = ["clipart", "infograph", "painting", "quickdraw", "real", "sketch"]


def make_domainnet(root, *, lists=""):
    """Three classes of two images a part; the painting domain lacks the last class, as it lacks the t-shirt."""
    (root / lists).mkdir(parents=True, exist_ok=True)
    for d, domain in enumerate(DOMAINS):
        for part in ("train", "test"):
            lines = []
            for label, name in enumerate(("airplane", "bus", "The_Eiffel_Tower")):
                if domain == "painting" and label == 2:
                    continue
                for i in range(2):
                    path = f"{domain}/{name}/{domain}_{label:03d}_{part}{i}.jpg"
                    touch(root, path)
                    lines.append(f"{path} {label}")
            (root / lists / f"{domain}_{part}.txt").write_text("\n".join(lines[:: 1 if d % 2 else -1]) + "\n")
    return root


@pytest.mark.parametrize("lists", ["", "splits"])
def test_domainnet_by_its_lists(tmp_path, lists):
    images = read_image_list(make_domainnet(tmp_path, lists=lists))
    assert images.class_names == ("airplane", "bus", "The_Eiffel_Tower")
    assert images.domain_names == tuple(DOMAINS)
    assert len(images) == 6 * 2 * 6 - 4
    for path, name, domain, split in zip(images.paths, classes_of(images), images.domains, images.splits, strict=True):
        assert path.startswith(f"{DOMAINS[domain]}/{name}/")
        assert split in path
    official = split_images(images, "official")
    assert set(official) == {"train", "test"}
    assert len(official["train"]) == 34


def test_domainnet_keeps_its_numbers_without_all_domains_and_leaves_duplicates_out(tmp_path):
    make_domainnet(tmp_path)
    painting = read_image_list(tmp_path, domains=["painting"])
    assert painting.class_names == ("airplane", "bus", "The_Eiffel_Tower")
    assert len(painting) == 8
    (tmp_path / "domain_net_duplicates.txt").write_text("painting/bus/painting_001_test0.jpg\nreal/bus/unlisted.jpg\n")
    assert len(read_image_list(tmp_path, domains=["painting"])) == 7
    own = tmp_path / "mine.txt"
    own.write_text("painting/bus/painting_001_test0.jpg\npainting/bus/painting_001_test1.jpg\n")
    assert len(read_image_list(tmp_path, domains=["painting"], duplicates="mine.txt")) == 6


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("real/bus/gone.jpg 1", r"real_test\.txt line 7: there is no image .*gone\.jpg"),
        ("real/gone/x.jpg 3", r"line 7: there is no folder .*real/gone"),
        ("real/bus/real_001_test0.jpg 1", "line 7: .* is listed already, in .*line"),
        ("real/bus/real_001_train0.jpg 1", r"is listed already, in .*real_train\.txt line"),
        ("real/bus/real_001_test0.jpg 0", "the label 0 is that of 'airplane' elsewhere"),
        ("real/bus/real_001_test0.jpg one", "'one' is no whole number"),
        ("real/bus/real_001_test0.jpg", "CLASS/FILE LABEL"),
        ("real/bus/real_001_test0.jpg -1", "out of range"),
        ("../secret/x.jpg 1", "no path inside"),
        ("/etc/passwd/x 1", "no path inside"),
        ("sketch/bus/sketch_001_test0.jpg 1", "'real/CLASS/FILE LABEL' is expected"),
    ],
)
def test_wrong_lines_of_a_list_are_named(tmp_path, line, message):
    make_domainnet(tmp_path)
    with (tmp_path / "real_test.txt").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(CosupError, match=message):
        read_image_list(tmp_path)


def test_domainnet_without_lists(tmp_path):
    make_domainnet(tmp_path)
    (tmp_path / "real_test.txt").unlink()
    with pytest.raises(CosupError, match=r"real_test\.txt is missing"):
        read_image_list(tmp_path)
    for file in tmp_path.glob("*.txt"):
        if file.name != "painting_train.txt" and file.name != "painting_test.txt":
            file.unlink()
    assert len(read_image_list(tmp_path, domains=["painting"])) == 8
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    with pytest.raises(CosupError, match="none of DomainNet's lists"):
        read_image_list(tmp_path, "domainnet")
    assert read_image_list(tmp_path).domain_names == tuple(DOMAINS)


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
