"""What a plan says: counts of operations times rates, checked by hand."""

import dataclasses
import json

import pytest

from cosup import CosupError
from cosup.cosupervision import CoSupervisedClassifier, PaperCSL
from cosup.planning import (
    Cluster,
    Job,
    Rates,
    plan,
    read_cluster,
    read_rates,
    sizes_of,
)
from cosup.planning.rates import Embedding, Point
from cosup.tasks import make_hierarchy

ONE_GB = 10**9
LITE = "lite:efficientnet-lite0"


class Flat(Rates):
    """Every operation takes as long, but for those named."""

    def of(self, kernel, x=1, y=1):
        return self.kernels[kernel][0].seconds if kernel in self.kernels else 1e-9


def flat(cores=2, memory=64 * ONE_GB, base=0, **kernels):
    eyes = Embedding(LITE, 96, 500, 375, 60_000, 1280, decode=0.001, prepare=0.002, forward=0.006, keep=0.001, memory=5)
    points = {name.replace("_", " "): (Point(1, 1, seconds),) for name, seconds in kernels.items()}
    return Flat("a machine", cores, memory, {}, points, (eyes,), base)


def job(**changes):
    return Job(**{"samples": 1000, "features": 100, "classes": 3, "levels": (1, 2)} | changes)


# --- arithmetic -----------------------------------------------------------------------------------------------------


def test_vanilla_is_what_one_counts_by_hand():
    found = plan(job(methods=("vanilla",)), flat())["fit"]
    n, d, c, alphas = 1000, 100, 3, 22
    counted = {
        "checking features": n * d,
        # Kept centred in double (read twice: once for their mean) and in single precision.
        "reading features": 3 * n * d,
        "second moments": n * d**2,
        "eigenvectors": d**3,
        "leverages": n * d * (d + alphas),
        "moments of targets": n * d,
        "choosing alpha": n * d * c * alphas,
        "multiplying by weights": n * d * c,
        "choosing the read-out": n * d * c + (n + 4096) * d * c + 4 * d * c**2 + 2 * c**3,
        "predicting samples": n * d * c,
        "arranging the hierarchy": n * c,
        "fresh memory": 12 * n * d,
        "provenance": n * 2,
        "overhead": 1,
    }
    assert found.parts == pytest.approx({what: count * 1e-9 for what, count in counted.items()})
    assert found.core_seconds == pytest.approx(sum(counted.values()) * 1e-9)
    assert found.seconds == found.core_seconds
    assert found.bottleneck.startswith("leverages")


def test_rounds_read_the_teachers_of_every_level_so_far():
    n, c = 1000, 3
    found = plan(job(levels=(1, 2, 4)), flat())["fit"].parts
    # Level 1, five rounds: the generalist looked at, two specialists read and mixed; level 2: four more of these.
    # Each with tables of classes by classes.
    tables = 5 * c * c * (3 + 7)
    assert found["reading teachers"] == pytest.approx((5 * n * c * ((1 + 4) + (1 + 4 + 8)) + tables) * 1e-9)
    assert found["whom to trust"] == pytest.approx((n + n * 7 * 6 / 2) * 1e-9)
    assert found["holding marginals"] == pytest.approx((2 * 5 * 2) * n * c * 1e-9)
    assert found["class prior"] == pytest.approx(n * c * 1e-9)
    assert found["overhead"] == pytest.approx((1 + 2 * 5) * 1e-9)


def test_annotations_of_several_classes_are_dearer_to_read():
    ids, one, three, five = (
        plan(job(classes=100, top_k=k), flat(level_expert_listed=5e-9, hierarchy_listed=3e-9))["fit"]
        for k in (None, 1, 3, 5)
    )
    n, c = 1000, 100
    read = 5 * n * c * (1 + 2)
    assert five.parts["arranging the hierarchy"] == pytest.approx(3 * ids.parts["arranging the hierarchy"])
    assert five.parts["reading teachers"] - ids.parts["reading teachers"] == pytest.approx(4 * read * 1e-9)
    assert three.parts["reading teachers"] == pytest.approx(
        (one.parts["reading teachers"] + five.parts["reading teachers"]) / 2
    )
    assert five.memory > ids.memory
    assert five.basis.endswith("annotations as 5 classes with probabilities")


def test_embedding_and_teaching():
    found = plan(Job(images=5000, backbone=LITE, classes=10, levels=(1, 3)), flat(cores=4, base=100))
    embed, teach = found["embed"], found["teach"]
    assert embed.parts == pytest.approx({"reading files": 5, "resizing": 10, "the network": 30, "keeping": 5})
    assert embed.seconds == pytest.approx(50 / 4)
    assert embed.disk == 5000 * (1280 * 2 + 200)
    assert embed.memory == 105
    assert embed.bottleneck == "the network (60%)"
    assert teach.disk == 4 * 5000 * 4
    assert teach.parts["annotating"] == pytest.approx(4 * 5000 * 1280 * 10 * 1e-9)
    assert found.disk == embed.disk + teach.disk + found["fit"].disk


def test_unknown_specialties_train_gates():
    known, unknown = (plan(job(known=known), flat())["fit"] for known in (True, False))
    assert unknown.parts["overhead"] == pytest.approx(known.parts["overhead"] + 5 * 3 * 1e-9)
    assert unknown.parts["gates"] > known.parts["gates"]


def test_a_sweep_factorises_once_a_seed_and_runs_seeds_side_by_side():
    rates = flat(cores=2)
    found = plan(job(methods=("vanilla", "csl"), seeds=3), rates)["sweep"]
    alone = plan(job(methods=("vanilla",)), rates)["fit"]
    assert found.parts["eigenvectors"] == pytest.approx(
        3 * (2 * alone.parts["eigenvectors"])
    )  # csl factorises what it kept
    assert found.seconds == pytest.approx(found.core_seconds / 3 * 2)
    assert found.disk == 6 * 8 * 101 * 3


@pytest.mark.parametrize("method", ["vanilla", "co-supervised", "csl", "csl-published"])
def test_time_is_linear_in_samples(method):
    few, many = (
        plan(job(samples=n, features=384, classes=100, methods=(method,)), flat(memory=10**15))["fit"]
        for n in (4_000_000, 8_000_000)
    )
    assert many.core_seconds / few.core_seconds == pytest.approx(2, rel=0.002)
    assert few.seconds > 0


def test_beyond_what_is_kept_features_are_read_for_every_pass():
    small, large = (plan(job(samples=n, features=384), flat())["fit"].parts for n in (80_000, 90_000))
    assert large["reading features"] > 5 * small["reading features"]
    assert "fresh memory" in small
    assert "fresh memory" not in large


def test_waiting_for_the_disk_counts_where_memory_holds_no_features():
    enough, little = (
        plan(job(samples=10**6, features=384), flat(memory=memory))["fit"]
        for memory in (64 * ONE_GB, 18 * ONE_GB // 10)
    )
    assert little.core_seconds == enough.core_seconds
    assert little.seconds > enough.seconds


@pytest.mark.parametrize("kind", [CoSupervisedClassifier, PaperCSL])
def test_memory_is_the_methods_own_forecast(kind):
    task = make_hierarchy(n_samples=500, n_test=1, n_features=20, n_classes=6, teachers_per_level=(1, 2, 3))
    method = {CoSupervisedClassifier: "co-supervised", PaperCSL: "csl"}[kind]
    found = plan(
        Job(samples=500, features=20, classes=6, levels=(1, 2, 3), methods=(method,), dtype="float64"), flat(base=7)
    )
    assert found["fit"].memory == kind()._peak_bytes(task.X_train, task.labels) + 7 + 4 * 500 * 6


def test_machines_share_what_can_be_shared_and_cost_what_they_cost():
    cluster = Cluster(machines=10, cores=8, memory_gb=64, price=3.6, speed=2.0, disk_price=20.0)
    found = plan(Job(images=5000, backbone=LITE, classes=10, predictions=100), flat(), cluster)
    assert found["embed"].seconds == pytest.approx(50 / 80 / 2)
    assert found["embed"].money == pytest.approx(50 / 80 / 2 * 10 * 3.6 / 3600)
    fit = found["fit"]
    assert fit.machines == 1
    assert fit.seconds == pytest.approx(fit.core_seconds / 2)
    assert fit.money == pytest.approx(fit.seconds * 3.6 / 3600)
    assert found.disk_money == pytest.approx(found.disk / 1e12 * 20)


def test_the_sharded_design_spreads_samples_and_reads_few_teachers():
    cluster = Cluster(machines=100, cores=10, memory_gb=256, latency=0.0)
    whole, sharded = (
        plan(job(samples=10**7, features=384, classes=100, levels=(1, 100), sharded=s), flat(), cluster)["fit"]
        for s in (False, True)
    )
    assert sharded.parts["reading teachers"] < 0.1 * whole.parts["reading teachers"]
    assert sharded.parts["whom to trust"] == pytest.approx(whole.parts["whom to trust"] / 10)  # on a million
    assert sharded.seconds < sharded.core_seconds / 900
    assert sharded.memory < 0.05 * whole.memory


def test_rates_between_measured_sizes_and_beyond():
    points = tuple(Point(x, y, x * y * 1e-9) for x in (10, 1000) for y in (2, 200))
    rates = Rates("m", 1, 0, {}, {"k": points})
    assert rates.of("k", 10, 2) == pytest.approx(20e-9)
    assert rates.of("k", 100, 20) == pytest.approx(2000e-9)
    assert rates.of("k", 1, 1) == pytest.approx(20e-9)
    assert rates.of("k", 10**6, 200) == pytest.approx(200_000e-9)
    with pytest.raises(CosupError, match="lack 'l'"):
        rates.of("l")


# --- files and errors -----------------------------------------------------------------------------------------------


def test_rates_come_back_from_their_file(tmp_path):
    rates = dataclasses.replace(flat(gram=2e-9), embeddings=flat().embeddings)
    rates = Rates(**{f.name: getattr(rates, f.name) for f in dataclasses.fields(rates) if f.init and f.name[0] != "_"})
    rates.save(tmp_path / "rates.json")
    assert read_rates(tmp_path / "rates.json") == rates


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "no JSON"),
        ("[]", "holds no rates"),
        ('{"kind": "cosup rates", "schema": 99}', "schema 99"),
        ('{"kind": "cosup rates", "schema": 1}', "damaged"),
    ],
)
def test_broken_rates(tmp_path, content, message):
    (tmp_path / "rates.json").write_text(content)
    with pytest.raises(CosupError, match=message):
        read_rates(tmp_path / "rates.json")
    with pytest.raises(CosupError, match="cosup plan --measure"):
        read_rates(tmp_path / "none.json")


def test_a_rate_of_nothing_is_damaged(tmp_path):
    content = Rates("m", 1, 0, {}, {"k": (Point(1, 1, 1.0),)}).to_json()
    content["kernels"]["k"][0][2] = 0.0
    (tmp_path / "rates.json").write_text(json.dumps(content))
    with pytest.raises(CosupError, match="must be above 0"):
        read_rates(tmp_path / "rates.json")


def test_clusters_from_files(tmp_path):
    (tmp_path / "big.toml").write_text("machines = 3\ncores = 32\nprice = 1.5\n")
    assert read_cluster(tmp_path / "big.toml") == Cluster(3, 32, price=1.5, name="big")
    (tmp_path / "bad.json").write_text('{"machine": 3}')
    with pytest.raises(CosupError, match=r"no 'machine'.* Did you mean 'machines'"):
        read_cluster(tmp_path / "bad.json")
    (tmp_path / "worse.json").write_text('{"machines": 0}')
    with pytest.raises(CosupError, match="machines of the cluster"):
        read_cluster(tmp_path / "worse.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(CosupError, match="names with values"):
        read_cluster(tmp_path / "list.json")
    with pytest.raises(CosupError, match="cluster file"):
        read_cluster(tmp_path / "c.yaml")
    with pytest.raises(CosupError, match="can't be read"):
        read_cluster(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 0}, "samples must be .* above 0"),
        ({"samples": None}, "say how much there is"),
        ({"images": 5}, "say how much there is"),
        ({"images": 5, "samples": None}, "need a backbone"),
        ({"features": None}, "need a number of features"),
        ({"samples": 1}, "at least 2 samples"),
        ({"classes": 1}, "at least 2 classes"),
        ({"top_k": 4}, "can't list 4 of 3 classes"),
        ({"top_k": 0}, "classes of an annotation"),
        ({"levels": ()}, "no level"),
        ({"levels": (1, 0)}, "teachers of a level"),
        ({"methods": ("vanila",)}, "Did you mean 'vanilla'"),
        ({"methods": ("knn-smooth",)}, "cosup bench --methods knn-smooth --dry-run"),
        ({"methods": ()}, "no method"),
        ({"dtype": "float8"}, "dtype"),
        ({"pixels": (0, 5)}, "0x5 pixels"),
    ],
)
def test_nonsense_is_said_to_be(changes, message):
    with pytest.raises(CosupError, match=message):
        job(**changes)


def test_teachers_and_levels():
    assert sizes_of(None, None) == (1, 4)
    assert sizes_of(1, None) == (1,)
    assert sizes_of(7, None) == (1, 6)
    assert sizes_of(7, (1, 2, 4)) == (1, 2, 4)
    with pytest.raises(CosupError, match="have 7 teachers, not 8"):
        sizes_of(8, (1, 2, 4))


def test_too_little_memory_names_the_stage_and_a_way_out():
    with pytest.raises(CosupError, match=r"^fit needs .* GB of memory .* 1\.0 GB \(small\): .*fewer teachers"):
        plan(job(samples=10**7, classes=1000), flat(), Cluster(memory_gb=1.0, name="small"))
    with pytest.raises(CosupError, match=r"^predict needs .*.*predict in parts"):
        plan(job(predictions=10**9), flat())


def test_rates_without_the_backbone():
    with pytest.raises(CosupError, match=r"no 'lite:efficientnet-lite1' .*they hold: lite:efficientnet-lite0 at 96"):
        plan(Job(images=5, backbone="lite:efficientnet-lite1"), flat())
