"""The paper's vision experiments on layouts made on the spot, small networks with random weights, and PACS."""

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cosup import TeacherLabels
from cosup._validation import CosupError
from cosup.benchmark import Method, run_benchmark
from cosup.datasets import (
    HeadRecipe,
    annotate,
    list_tasks,
    load_task,
    published_figures,
    save_annotations,
    task_options,
)
from cosup.datasets.vision import Parts
from cosup.datasets.weak_heads import WeakHead, class_range_specialists, group_specialists, train_heads_of
from cosup.teachers import read_labels

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
    from cosup.datasets import make_backbone, read_image

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


# -- teachers -------------------------------------------------------------------------------------------------


def problem():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 6, 240)
    X = (np.eye(6)[y] + rng.normal(0, 0.3, (240, 6))).astype(np.float32)
    return X, y


@pytest.mark.parametrize("recipe", [HeadRecipe("logistic"), HeadRecipe("adam", 300, 0.05, outputs="range")])
def test_teachers_know_their_range_and_nothing_else(tmp_path, recipe):
    X, y = problem()
    specialists = class_range_specialists(y, 6, [1, 2, 3])
    heads = train_heads_of(specialists, lambda rows: X[rows], y, 6, recipe, tmp_path)
    for specialist, head in zip(specialists, heads, strict=True):
        said = head.probabilities(X, 6).argmax(axis=1)
        inside = np.isin(y, specialist.classes or range(6))
        assert (said[inside] == y[inside]).mean() > 0.85
        assert np.isin(said, specialist.classes or range(6)).all()
        np.testing.assert_allclose(head.probabilities(X, 6).sum(axis=1), 1, atol=1e-5)


def test_the_published_recipe_is_what_torch_does(tmp_path):
    import torch

    X, y = problem()
    recipe = HeadRecipe("adam", iterations=7, learning_rate=0.01, batch_size=16)
    head = train_heads_of(group_specialists(y * 0, ["all"]), lambda rows: X[rows], y, 6, recipe, tmp_path, seed=3)[0]
    generator = torch.Generator().manual_seed(3)
    weight = torch.empty(6, 6).normal_(0, 0.01, generator=generator).requires_grad_()
    bias = torch.zeros(6, requires_grad=True)
    optimiser = torch.optim.Adam([weight, bias], lr=0.01)
    for step in range(7):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 + np.cos(np.pi * step / 100_100)) / 2
        rows = torch.randint(240, (16,), generator=generator)
        scores = torch.from_numpy(X)[rows] @ weight.T + bias
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(scores, torch.from_numpy(y)[rows]).backward()
        optimiser.step()
    np.testing.assert_allclose(head.weight, weight.detach().numpy().T, atol=1e-5)
    np.testing.assert_allclose(head.bias, bias.detach().numpy(), atol=1e-5)


def test_a_range_of_one_class_is_named_always(tmp_path):
    X, y = problem()
    specialists = class_range_specialists(y, 6, [1, 6])
    heads = train_heads_of(specialists, lambda rows: X[rows], y, 6, HeadRecipe("logistic"), tmp_path)
    assert (heads[3].probabilities(X, 6)[:, 2] == 1).all()


def test_teachers_of_another_set_are_never_taken(tmp_path):
    X, y = problem()
    specialists = class_range_specialists(y, 6, [1, 2])
    train_heads_of(specialists, lambda rows: X[rows], y, 6, HeadRecipe("adam", 5), tmp_path)
    with pytest.raises(CosupError, match="holds other teachers"):
        train_heads_of(specialists, lambda rows: X[rows], y, 6, HeadRecipe("adam", 6), tmp_path)


def slow_teachers(folder, seconds=0.0):
    X, y = problem()

    def take(rows):
        time.sleep(seconds)
        return X[rows]

    specialists = class_range_specialists(y, 6, [1, 2, 3])
    return train_heads_of(specialists, take, y, 6, HeadRecipe("adam", 10), folder, progress=False)


CHILD = (
    "import sys; sys.path.insert(0, sys.argv[1]); import test_vision as t; t.slow_teachers(t.Path(sys.argv[2]), 0.01)"
)


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def killed_while_training(tmp_path, times, seed):
    slow_teachers(tmp_path / "whole")
    rng = random.Random(seed)
    halfway = 0
    for i in range(times):
        out = tmp_path / f"out{i}"
        process = subprocess.Popen([sys.executable, "-c", CHILD, str(Path(__file__).parent), str(out)])
        deadline, behind = time.monotonic() + 120, rng.randrange(6)
        while process.poll() is None and not (
            (out / "teachers.json").exists() and len(list(out.glob("*.safetensors"))) >= behind
        ):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.15))  # six teachers of 0.11 s and more
        process.kill()
        process.communicate()
        assert process.returncode in (-signal.SIGKILL, 0)
        halfway += 0 < len(list(out.glob("*.safetensors"))) < 6
        slow_teachers(out)
        assert content(out) == content(tmp_path / "whole")
    return halfway


def test_killed_while_training_teachers_it_resumes_identical(tmp_path):
    killed_while_training(tmp_path, 2, seed=0)


@pytest.mark.slow
def test_killed_thirty_times_while_training_teachers_it_resumes_identical(tmp_path):
    assert killed_while_training(tmp_path, 30, seed=1) > 5


# -- one's own teachers ---------------------------------------------------------------------------------------


def test_teachers_of_every_kind_annotate():
    import torch
    from sklearn.linear_model import LogisticRegression

    X, y = problem()
    names = list("abcdef")
    model = LogisticRegression().fit(X, np.array(names)[y])
    network = torch.nn.Linear(6, 6)
    rule = lambda batch: [names[int(x.argmax())] if x.max() > 0.9 else None for x in batch]  # noqa: E731
    labels = annotate({"model": model, "network": network, "rule": rule}, X, names, levels=[0, 1, 1])
    assert isinstance(labels, TeacherLabels)
    np.testing.assert_allclose(labels.probabilities(0), model.predict_proba(X), atol=1e-12)
    with torch.no_grad():
        np.testing.assert_allclose(labels.probabilities(1), network(torch.from_numpy(X)).softmax(1), atol=1e-6)
    np.testing.assert_array_equal(labels.speaks()[:, 2], X.max(axis=1) > 0.9)
    assert network.training
    assert annotate([model], X, names, top_k=2).annotations.k == 2


def test_a_pipeline_of_transformers_annotates_by_its_labels():
    transformers = pytest.importorskip("transformers")

    class Pictures(transformers.Pipeline):
        def __init__(self):
            pass

        def __call__(self, inputs, top_k):
            return [[{"label": "b", "score": 0.75}, {"label": "a", "score": 0.25}] for _ in inputs]

        _sanitize_parameters = preprocess = _forward = postprocess = None

    labels = annotate({"pipeline": Pictures()}, ["one.jpg", "two.jpg"], ["a", "b"])
    np.testing.assert_allclose(labels.probabilities(0), [[0.25, 0.75]] * 2)


@pytest.mark.parametrize("top_k", [None, 2])
def test_saved_annotations_are_read_as_labels(tmp_path, top_k):
    names = list("abcdef")
    rng = np.random.default_rng(0)
    teachers = {name: lambda batch: rng.dirichlet(np.ones(6), len(batch)) for name in ("one", "two")}
    labels = annotate(teachers, np.zeros(9), names, levels=[0, 1], specialties=[None, [0, 1]], top_k=top_k)
    save_annotations(tmp_path / "labels.npz", labels, names)
    back = read_labels(tmp_path / "labels.npz")
    np.testing.assert_allclose(back.probabilities(1), labels.probabilities(1), atol=1e-3)
    assert (back.names, back.is_sparse, back.specialties[1].tolist()) == (("one", "two"), top_k is not None, [0, 1])


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        (3, "must be a classifier"),
        (lambda batch: ["horse"] * len(batch), "names the class 'horse'"),
        (lambda batch: [0], "about 5 samples"),
        (lambda batch: [7] * len(batch), "outside 0 to 1"),
    ],
)
def test_what_a_teacher_may_not_say(teacher, message):
    with pytest.raises(CosupError, match=message):
        annotate({"t": teacher}, np.zeros((5, 2)), ["a", "b"])


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
