"""DomainNet's layout, made on the spot: six domains, official lists, duplicates."""

import pytest

from cosup.tasks import read_image_list, split_images
from cosup.utils.validation import CosupError
from layouts import classes_of, touch

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
