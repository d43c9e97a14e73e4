"""The paper's vision experiments on layouts made on the spot, small networks with random weights, and PACS."""

import json
from pathlib import Path

import numpy as np
import pytest

from cosup.benchmark import Method, run_benchmark
from cosup.tasks import list_tasks, load_task, published_figures, task_options
from cosup.tasks.build_image_task import Parts
from cosup.tasks.weak_heads import WeakHead
from cosup.utils.validation import CosupError

pytest.importorskip("PIL")
from PIL import Image

PACS = Path(__file__).resolve().parents[2] / "shared" / "data" / "pacs" / "images"

NETWORK = """
import torch

def make(width, seed):
    generator = torch.Generator().manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, width, 5, stride=3), torch.nn.ReLU(),
                                  torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return network, {"resize": 16, "crop": [16, 16]}

def student():
    return make(12, 0)

def teacher():
    return make(4, 1)
"""


@pytest.fixture
def networks(tmp_path):
    path = tmp_path / "networks.py"
    path.write_text(NETWORK)
    return {"student": f"module:{path}:student", "teacher": f"module:{path}:teacher"}


def picture(path, label, rng):
    """A colour and a stripe that say the class, under noise: something to learn."""
    pixels = rng.integers(0, 120, (16, 16, 3))
    pixels[:, :, label % 3] += 100
    pixels[label % 16] += 60
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=90)


def make_imagenet(root, n_classes, train, val):
    rng = np.random.default_rng(0)
    for label in range(n_classes):
        wnid = f"n{1_000_000 + 7 * label:08d}"
        for i in range(train):
            picture(root / "train" / wnid / f"{wnid}_{i}.JPEG", label, rng)
        for i in range(val):
            picture(root / "val" / wnid / f"ILSVRC2012_val_{label * val + i:08d}.JPEG", label, rng)
    return root


def make_domainnet(root, n_classes, train, test):
    rng = np.random.default_rng(0)
    for domain in ("clipart", "infograph", "painting", "quickdraw", "real", "sketch"):
        for part, n in (("train", train), ("test", test)):
            lines = []
            for label in range(n_classes):
                for i in range(n):
                    name = f"{domain}/thing_{label:03d}/{domain}_{part}_{i}.jpg"
                    picture(root / name, label, rng)
                    lines.append(f"{name} {label}\n")
            (root / f"{domain}_{part}.txt").write_text("".join(lines))
    return root


def load(name, tmp_path, root, **options):
    return load_task(name, root=str(root), cache=tmp_path / "cache", **options)


# -- imagenet -------------------------------------------------------------------------------------------------


@pytest.fixture
def imagenet(tmp_path):
    return make_imagenet(tmp_path / "imagenet", n_classes=8, train=6, val=5)


@pytest.mark.parametrize("labels", ["soft", "hard"])
def test_imagenet_is_laid_out_as_published(imagenet, networks, tmp_path, labels):
    task = load("imagenet", tmp_path, imagenet, labels=labels, levels="1,2,4", iterations=30, **networks)
    assert [len(task.labels.at_level(k)) for k in range(3)] == [1, 2, 4]
    assert task.labels.is_soft == (labels == "soft")
    assert task.labels.specialties[0] is None
    assert [s.tolist() for s in task.labels.specialties[1:3]] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    # Four fifths of val in the order of the seeded shuffle, as published.
    order = np.arange(40)
    np.random.default_rng(0).shuffle(order)
    np.testing.assert_array_equal(task.truth.y_train, order[:32] // 5)
    np.testing.assert_array_equal(task.truth.y_test, order[32:] // 5)
    np.testing.assert_array_equal(task.truth.expert[:, 2], 3 + task.truth.y_train // 2)
    assert task.X_train.shape == (32, 48)


def test_the_annotations_are_those_of_heads_on_the_teachers_features(imagenet, networks, tmp_path):
    task = load("imagenet", tmp_path, imagenet, levels="1,2", iterations=30, **networks)
    folder = next((tmp_path / "cache" / "stores").glob("imagenet-teachers-*"))
    heads = [WeakHead.read(path) for path in sorted(folder.glob("*.safetensors"))]
    assert [head.classes.tolist() for head in heads] == [list(range(8))] * 3  # every softmax runs over all classes
    from cosup.embedding import make_backbone, read_image

    paths = sorted((imagenet / "val").rglob("*.JPEG"))
    order = np.arange(40)
    np.random.default_rng(0).shuffle(order)
    X = make_backbone(networks["teacher"]).embed([read_image(paths[i]) for i in order[:32]])
    for t, head in enumerate(heads):
        np.testing.assert_allclose(task.labels.probabilities(t), head.probabilities(X, 8), atol=5e-3)


def test_specialists_with_outputs_of_their_range_give_zero_outside(imagenet, networks, tmp_path):
    task = load("imagenet", tmp_path, imagenet, levels="1,2", iterations=30, outputs="range", **networks)
    assert task.labels.probabilities(1)[:, 4:].max() == 0
    assert task.labels.probabilities(2)[:, :4].max() == 0


def test_fewer_iterations_make_weaker_teachers(imagenet, networks, tmp_path):
    options = {"levels": "1,2", "learning_rate": 0.01, **networks}
    accuracy = {
        iterations: float((task.labels.hard()[:, 0] == task.truth.y_train).mean())
        for iterations in (1, 300)
        for task in [load("imagenet", tmp_path, imagenet, iterations=iterations, **options)]
    }
    assert accuracy[300] > accuracy[1] + 0.2


def test_val_alone_is_cut_in_three_or_refused(imagenet, networks, tmp_path):
    import shutil

    shutil.rmtree(imagenet / "train")
    with pytest.raises(CosupError, match="split='clean'"):
        load("imagenet", tmp_path, imagenet, levels="1,2", **networks)
    task = load("imagenet", tmp_path, imagenet, split="clean", levels="1,2", iterations=5, **networks)
    assert len(task.X_train) + len(task.X_test) < 40


def test_the_second_load_reads_what_the_first_left(imagenet, networks, tmp_path):
    first = load("imagenet", tmp_path, imagenet, levels="1,2", iterations=5, **networks)
    files = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.name != ".lock"}
    second = load("imagenet", tmp_path, imagenet, levels="1,2", iterations=5, **networks)
    assert {p: p.stat().st_mtime_ns for p in files} == files
    np.testing.assert_array_equal(first.X_train, second.X_train)
    np.testing.assert_array_equal(np.asarray(first.labels), np.asarray(second.labels))


def test_wrong_options_say_so(imagenet, networks, tmp_path):
    with pytest.raises(CosupError, match="root=DIR"):
        load_task("imagenet")
    with pytest.raises(CosupError, match="begin with one generalist"):
        load("imagenet", tmp_path, imagenet, levels="2,4", **networks)
    with pytest.raises(CosupError, match="levels must be 'domains'"):
        load("imagenet", tmp_path, imagenet, levels="many", **networks)
    with pytest.raises(CosupError, match="has no domains"):
        load("imagenet", tmp_path, imagenet, levels="domains", **networks)
    with pytest.raises(CosupError, match="has no option 'size'"):
        load("imagenet", tmp_path, imagenet, student_options={"size": 3}, **networks)


# -- domains, and any folder ----------------------------------------------------------------------------------


def test_domainnet_has_one_specialist_a_domain_and_tests_on_the_official_test(networks, tmp_path):
    root = make_domainnet(tmp_path / "domainnet", n_classes=4, train=4, test=1)
    task = load("domainnet", tmp_path, root, iterations=30, **networks)
    assert task.labels.names == ("generalist", "clipart", "infograph", "painting", "quickdraw", "real", "sketch")
    assert task.labels.levels.tolist() == [0] + [1] * 6
    assert set(task.labels.specialties) == {None}
    assert (len(task.X_train), len(task.X_test)) == (48, 24)
    assert np.bincount(task.truth.expert[:, 1]).tolist() == [0] + [8] * 6


def test_a_table_gives_a_specialist_for_any_column(networks, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["path,label,camera"]
    for i in range(60):
        picture(tmp_path / "photos" / f"{i}.jpg", i % 2, rng)
        lines.append(f"{i}.jpg,{'ab'[i % 2]},cam{i // 2 % 3}")
    (tmp_path / "photos" / "list.csv").write_text("\n".join(lines))
    task = load("images", tmp_path, tmp_path / "photos" / "list.csv", columns={"domain": "camera"}, **networks)
    assert task.labels.names == ("generalist", "cam0", "cam1", "cam2")
    assert task.class_names == ("a", "b")
    assert task.images_train.shape == (len(task.X_train), 96, 96, 3)


def test_unreadable_images_are_left_out_by_choice(networks, tmp_path):
    root = make_domainnet(tmp_path / "photos", n_classes=3, train=4, test=1)
    for file in root.glob("*.txt"):
        file.unlink()
    (root / "clipart" / "thing_001" / "clipart_train_0.jpg").write_bytes(b"")
    with pytest.raises(CosupError, match="1 images"):
        load("images", tmp_path, root, layout="domains", **networks)
    task = load("images", tmp_path, root, layout="domains", skip_unreadable=True, **networks)
    assert 0 < len(task.X_train) + len(task.X_test) <= 89


def test_images_without_classes_are_refused(networks, tmp_path):
    picture(tmp_path / "photos" / "a.jpg", 0, np.random.default_rng(0))
    with pytest.raises(CosupError, match="have no classes"):
        load("images", tmp_path, tmp_path / "photos", **networks)


def test_parts_that_share_an_image_are_refused():
    with pytest.raises(CosupError, match="in two parts"):
        Parts(np.array([0, 1]), np.array([1]), np.array([2]), np.arange(3))


def test_the_tasks_options_are_known_to_the_command_line():
    assert {"pacs", "images", "domainnet", "imagenet"} <= set(list_tasks())
    assert {"root", "labels", "student", "teacher", "iterations", "store"} <= set(task_options("imagenet"))


def test_published_figures_are_those_of_the_papers():
    pgr = {(f["labels"], f["levels"]): f["value"] for f in published_figures("imagenet") if f["metric"] == "pgr"}
    assert pgr["hard", "1"] == pytest.approx(0.497)
    assert pgr["soft", "1,2,4,8"] == pytest.approx(0.755)
    assert [f["value"] for f in published_figures("imagenet-hard-specialists-4")] == [pytest.approx(0.67)]
    assert published_figures("pacs") == []


def test_the_papers_curves_are_families_of_tasks(imagenet, networks, tmp_path):
    task = load("imagenet-hard-specialists-4", tmp_path, imagenet, iterations=5, **networks)
    assert task.name == "imagenet-hard-specialists-4"
    assert [len(task.labels.at_level(k)) for k in range(3)] == [1, 2, 4]
    assert not task.labels.is_soft
    assert {"imagenet-iterations-100", "domainnet-iterations-100"} <= set(list_tasks())


# -- the whole experiment -------------------------------------------------------------------------------------

METHODS = [Method(name, name) for name in ("vanilla", "csl-published", "csl", "co-supervised", "oracle")]


def test_an_experiment_runs_from_images_to_records(imagenet, networks, tmp_path):
    options = {"root": str(imagenet), "levels": "1,2", "iterations": 200, "learning_rate": 0.01, **networks}
    records = run_benchmark(
        [("imagenet", options)], METHODS[:2], [0], tmp_path / "runs", cache=tmp_path / "cache", n_jobs=1
    )
    assert [record["error"] for record in records] == [None, None]
    assert all(record["n_train"] == 32 for record in records)


def random_dinov2(folder):
    transformers = pytest.importorskip("transformers")
    import torch

    config = transformers.Dinov2WithRegistersConfig(
        hidden_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    with torch.random.fork_rng():
        model = transformers.AutoModel.from_config(config)
    model.save_pretrained(folder)
    processor = {
        "image_processor_type": "BitImageProcessor", "do_resize": True, "size": {"shortest_edge": 28}, "resample": 3,
        "do_center_crop": True, "crop_size": {"height": 28, "width": 28}, "do_rescale": True,
        "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225], "do_convert_rgb": True,
    }  # fmt: skip
    (Path(folder) / "preprocessor_config.json").write_text(json.dumps(processor))
    return f"hf:{folder}"


def whole_experiment(name, options, tmp_path):
    runs = {}
    for protocol, labels in (("published", "hard"), ("published", "soft"), ("clean", "soft")):
        runs[protocol, labels] = run_benchmark(
            [(name, {**options, "labels": labels})], METHODS, [0], tmp_path / "runs", protocol=protocol,
            cache=tmp_path / "cache", n_jobs=1,
        )  # fmt: skip
        assert [record["error"] for record in runs[protocol, labels]] == [None] * len(METHODS)
    return runs


@pytest.mark.slow
def test_all_of_imagenets_thousand_classes_end_to_end(tmp_path, networks):
    root = make_imagenet(tmp_path / "imagenet", n_classes=1000, train=2, val=5)
    options = {"root": str(root), "iterations": 60, "train_images": 2, "student": random_dinov2(tmp_path / "dino")}
    runs = whole_experiment("imagenet", {**options, "image_size": 28, "teacher": networks["teacher"]}, tmp_path)
    record = runs["published", "soft"][1]
    assert (record["n_classes"], record["n_train"], record["n_test"]) == (1000, 4000, 1000)
    assert [len(level["teachers"]) for level in record["levels"]] == [1, 2, 4, 8]


@pytest.mark.slow
def test_all_of_domainnets_classes_and_domains_end_to_end(tmp_path, networks):
    root = make_domainnet(tmp_path / "domainnet", n_classes=345, train=2, test=1)
    options = {"root": str(root), "iterations": 60, "student": random_dinov2(tmp_path / "dino")}
    runs = whole_experiment("domainnet", {**options, "image_size": 28, "teacher": networks["teacher"]}, tmp_path)
    record = runs["clean", "soft"][0]
    assert (record["n_classes"], record["n_train"], record["n_test"]) == (345, 2070, 2070)


@pytest.mark.slow
@pytest.mark.skipif(not PACS.is_dir(), reason="the PACS images are not here")
def test_pacs_from_jpeg(tmp_path):
    pytest.importorskip("efficientnet_lite_pytorch")
    task = load("pacs", tmp_path, PACS, image_size=96)
    assert task.labels.names == ("generalist", "art_painting", "cartoon", "photo", "sketch")
    assert (len(task.X_train), len(task.X_test)) == (560, 224)
    weak = float((task.weak_test == task.truth.y_test).mean())
    assert 0.3 < weak < 0.7
