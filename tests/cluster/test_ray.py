"""What a cluster computes is what this process would have: same bytes, same records; either goes on for the other."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import cosup.cluster as cluster_room
from cosup import CosupError
from cosup.benchmark import Method, run_benchmark
from cosup.cli import main
from cosup.embedding import embed_images, make_backbone
from cosup.embedding.feature_store import FileEntry
from cosup.embedding.workers import Computing, versions, worker

ray = pytest.importorskip("ray")
pytest.importorskip("efficientnet_lite_pytorch")
PIL = pytest.importorskip("PIL.Image")

pytestmark = [
    # Ray's own, about itself.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning:ray"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

STORE = ("features.npy", "files.jsonl", "manifest.json")
N_IMAGES = 52


@pytest.fixture(scope="module")
def backbone():
    return make_backbone("lite:efficientnet-lite0", image_size=32)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    root = tmp_path_factory.mktemp("images")
    pixels = np.random.default_rng(0).integers(256, size=(N_IMAGES, 16, 20, 3), dtype=np.uint8)
    for place, image in enumerate(pixels):
        PIL.fromarray(image).save(root / f"{place:02}.png")
    return root


def names(root):
    return sorted(path.name for path in root.iterdir())


def embed(root, backbone, out, **options):
    options = {"batch_size": 16, "shard_size": 16, "progress": False} | options
    return embed_images(root, names(root), backbone, out, **options)


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in STORE}


@pytest.fixture(scope="module")
def here(images, backbone, tmp_path_factory):
    """What this process makes of the images."""
    out = tmp_path_factory.mktemp("here") / "store"
    embed(images, backbone, out)
    return bytes_of(out)


class StopError(Exception):
    pass


def stopped(monkeypatch, root, backbone, out, **options):
    """Stop a call in the middle, behind its second shard."""
    written = []

    def write(file, *parts, real=sys.modules["cosup.embedding.images_to_features"]._write):
        real(file, *parts)
        if file.name.endswith("files.jsonl"):
            written.append(file)
            if len(written) == 2:
                raise StopError

    with monkeypatch.context() as patch:
        patch.setattr("cosup.embedding.images_to_features._write", write)
        with pytest.raises(StopError):
            embed(root, backbone, out, **options)
    assert (out / "files.jsonl").read_bytes().count(b"\n") == 32


# That a cluster goes on is part of the test of a plugin's backbone below, and what actors make of images of that of
# unreadable ones.
@pytest.mark.slow
@pytest.mark.parametrize("first", ["cluster", "here"])
def test_either_goes_on_where_the_other_stopped(connected, images, backbone, here, tmp_path, monkeypatch, first):
    begin, end = {"ray": connected}, {}
    if first == "here":
        begin, end = end, begin
    stopped(monkeypatch, images, backbone, tmp_path / "store", **begin)
    embed(images, backbone, tmp_path / "store", **end)
    assert bytes_of(tmp_path / "store") == here


# An actor's step on them is tested in this process below.
@pytest.mark.slow
def test_unreadable_images_are_the_same_too(connected, images, backbone, tmp_path, monkeypatch):
    root = tmp_path / "images"
    shutil.copytree(images, root)
    (root / "25.png").write_bytes(b"")  # of the second batch: the first is kept
    (root / "50.png").write_bytes(b"nothing")
    monkeypatch.chdir(tmp_path)  # messages name images as the caller does: by a relative path
    for name, ray_address in (("here", None), ("there", connected)):
        with pytest.raises(CosupError, match="2 images of images cannot be read") as found:
            # As many cores as the cluster has: one actor, which is quicker to start than two.
            embed(Path("images"), backbone, tmp_path / name, ray=ray_address, workers=2)
        assert (tmp_path / name / "files.jsonl").stat().st_size
        assert "25.png" in str(found.value)
    for name in ("here", "there"):
        store = embed(Path("images"), backbone, tmp_path / name, skip_unreadable=True)
        assert list(store.unreadable) == ["25.png", "50.png"]
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")


def test_a_folder_that_a_node_does_not_see_is_said(connected, images, backbone, tmp_path):
    mine = os.open(images, os.O_RDONLY)
    try:
        os.dup2(mine, 700)
        with pytest.raises(CosupError, match=r"node .* does not see .*/proc/self/fd/700"):
            embed_images("/proc/self/fd/700", names(images), backbone, tmp_path / "store", ray=connected)
    finally:
        os.close(mine)
        os.close(700)


def test_a_node_with_other_versions_is_said(connected, images, backbone, tmp_path, monkeypatch):
    own = versions()
    monkeypatch.setattr("cosup.embedding.workers.versions", lambda: own | {"torch": "0.1"})
    with pytest.raises(CosupError, match=rf"node .* has torch {re.escape(own['torch'])} \(here 0\.1\)"):
        embed(images, backbone, tmp_path / "store", ray=connected)
    with pytest.raises(CosupError, match="install the same versions on every node"):
        run_benchmark(TASKS, METHODS, range(1), tmp_path / "runs", progress=False, ray=connected)


def step(root, backbone, batches, *, image_size=32, skip=False):
    """Rows of what an actor makes of batches of lines, in this process."""
    given = {"root": str(root), "plugins": [], "backbone": {"spec": backbone.name, "image_size": image_size},
             "dtype": "float16", "fingerprint": backbone.fingerprint, "batch_size": 16, "workers": 1,
             "skip": skip}  # fmt: skip
    arrow = pytest.importorskip("pyarrow")
    return [row for table in worker(json.dumps(given))(arrow.table({"lines": batches})) for row in table.to_pylist()]


@pytest.mark.parametrize("skip", [False, True])
def test_an_actor_makes_of_unreadable_images_what_this_process_does(images, backbone, tmp_path, skip):
    root = tmp_path / "images"
    shutil.copytree(images, root)
    (root / "25.png").write_bytes(b"")  # of the second batch
    listed = [FileEntry(name, (root / name).stat().st_size, 0) for name in names(root)[:32]]
    rows = step(root, backbone, [[file.line() for file in listed[at : at + 16]] for at in (0, 16)], skip=skip)
    with Computing(root, backbone, "float16", 16, None).batches(listed, skip) as batches:
        expected = list(batches)
    assert [row["error"] for row in rows] == [None, None]
    assert [row["lines"] for row in rows] == [[file.line() for file in entries] for entries, _ in expected]
    assert [row["features"] for row in rows] == [None if part is None else part.tobytes() for _, part in expected]
    assert (rows[1]["features"] is None) == (not skip)
    assert FileEntry.parse(rows[1]["lines"][9]).error is not None


def test_weights_that_a_node_has_otherwise_are_said(images, backbone):
    rows = step(images, backbone, [["x"], ["y"]], image_size=48)
    assert len(rows) == 2
    assert "other weights or preprocessing on a node" in rows[0]["error"]


COLOURS = """
from torch.nn.functional import adaptive_avg_pool2d
from cosup import register_backbone_source

@register_backbone_source("colours", "mean colour of the fields of a MODEL x MODEL grid")
def colours(model, options):
    return (lambda images: adaptive_avg_pool2d(images, int(model)).flatten(1)), {"resize": (32, 32)}
"""


def test_a_plugin_s_backbone_is_made_on_the_nodes_which_go_on_where_this_process_stopped(
    connected, images, tmp_path, monkeypatch, plugins_as_found
):
    plugin = tmp_path / "colours.py"
    plugin.write_text(COLOURS)
    words = ["embed", "--plugin", plugin, "--images", images, "--backbone", "colours:2", "--batch-size", 16,
             "--shard-size", 16]  # fmt: skip
    for name, where in (("here", ()), ("there", ("--ray", connected))):
        if name == "there":
            stopped(monkeypatch, images, make_backbone("colours:2"), tmp_path / "there")
        done = CliRunner().invoke(main, [str(word) for word in (*words, "--out", tmp_path / name, *where)])
        assert done.exit_code == 0, done.output
    assert bytes_of(tmp_path / "here") == bytes_of(tmp_path / "there")


def comparable(folder):
    """Records without what measures the machine, by run."""
    lines = (folder / "records.jsonl").read_text().splitlines()
    records = {}
    for record in map(json.loads, lines):
        for level in record["levels"]:
            level.pop("seconds", None)
        for name in ("seconds", "fit_memory_mb", "peak_memory_mb"):
            record.pop(name, None)
        assert record["error"] is None
        assert record["run"] not in records
        records[record["run"]] = record
    return records


TASKS = [("hierarchy", {"n_samples": 400})]
METHODS = [Method("vanilla", "vanilla"), Method("co-supervised", "co-supervised")]


def test_a_sweep_on_a_cluster_has_the_same_records(connected, tmp_path):
    run_benchmark(TASKS, METHODS, range(3), tmp_path / "here", n_jobs=1, progress=False)
    # Begun here, finished there.
    run_benchmark(TASKS, METHODS, range(1), tmp_path / "there", n_jobs=1, progress=False)
    run_benchmark(TASKS, METHODS, range(3), tmp_path / "there", progress=False, ray=connected)
    assert comparable(tmp_path / "here") == comparable(tmp_path / "there")
    assert len(comparable(tmp_path / "here")) == 6


def test_a_fit_on_a_cluster_is_the_same_model(connected, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "X.npy", rng.standard_normal((90, 5)))
    np.save(tmp_path / "labels.npy", rng.integers(3, size=(90, 2)))
    monkeypatch.chdir(tmp_path)
    said = {}
    for out, extra in (("here", []), ("there", ["--ray", connected])):
        command = ["fit", "--features", "X.npy", "--labels", "labels.npy", "--out", out, *extra]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        said[out] = result.output.replace(out, "OUT")
    assert said["here"] == said["there"]
    files = {out: {p.name for p in Path(out).iterdir()} for out in said}
    assert files["here"] == files["there"]
    models = [sorted(Path(out).glob("*.safetensors")) for out in said]
    assert models[0]
    assert [p.read_bytes() for p in models[0]] == [p.read_bytes() for p in models[1]]


def test_errors_of_a_fit_on_a_cluster_are_the_commands(connected, tmp_path):
    np.save(tmp_path / "X.npy", np.zeros((9, 5)))
    np.save(tmp_path / "labels.npy", np.arange(16).reshape(8, 2) // 2 % 2)
    command = ["fit", "--features", "X.npy", "--labels", "labels.npy", "--out", "out", "--ray", connected]
    command = [str(tmp_path / word) if word in ("X.npy", "labels.npy", "out") else word for word in command]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "has 9 samples" in result.output


@pytest.fixture
def cluster(connected):
    with cluster_room.connect(connected) as found:
        yield found


def test_tasks_are_taken_as_others_finish(cluster):
    taken = []

    def numbers():
        for number in range(12):
            taken.append(number)
            yield number

    done = []
    for found in cluster_room.run_tasks(cluster, "dying:double", numbers(), in_flight=3):
        done.append(found)
        assert len(taken) <= len(done) + 2  # those under way
    assert sorted(done) == list(range(0, 24, 2))


def test_a_task_whose_process_dies_is_repeated(cluster, tmp_path):
    assert list(cluster_room.run_tasks(cluster, "dying:once", [str(tmp_path)])) == ["alive"]


def test_a_task_that_dies_again_and_again_is_an_error(cluster, tmp_path):
    with pytest.raises(CosupError, match="the same command goes on"):
        list(cluster_room.run_tasks(cluster, "dying:always", [str(tmp_path)], retries=1))
    assert (tmp_path / "deaths").read_text() == "xx"


def test_what_a_task_refuses_is_said_in_its_words(cluster):
    with pytest.raises(CosupError, match=r"^7 is not wanted$"):
        list(cluster_room.run_tasks(cluster, "dying:refuse", [7]))


@pytest.mark.parametrize("actors", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_pipeline_whose_process_dies_goes_on_behind_its_last_row(cluster, tmp_path, actors):
    rows = [{"place": place} for place in range(12)]
    stream = cluster_room.stream(cluster, "dying:fragile", str(tmp_path), rows, num_cpus=2 // actors)
    found = [row["twice"] for row in stream]
    assert (tmp_path / "died").exists()
    assert found == list(range(0, 24, 2))


@pytest.mark.slow
def test_a_pipeline_that_dies_again_and_again_is_an_error(cluster, tmp_path):
    rows = [{"place": place} for place in range(12)]
    found = []
    with pytest.raises(CosupError, match="the same command goes on"):
        found.extend(row["twice"] for row in cluster_room.stream(cluster, "dying:hopeless", str(tmp_path), rows))
    assert found == list(range(0, 2 * len(found), 2))
    assert len(found) <= 5


def test_a_fit_too_large_for_every_node_is_refused(connected, tmp_path, monkeypatch):
    np.save(tmp_path / "X.npy", np.zeros((9, 5)))
    np.save(tmp_path / "labels.npy", np.arange(18).reshape(9, 2) // 2 % 2)
    monkeypatch.setattr("cosup.cli.remote_fit._LIBRARIES", 10**15)
    monkeypatch.chdir(tmp_path)
    command = ["fit", "--features", "X.npy", "--labels", "labels.npy", "--out", "out", "--ray", connected]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert "the fit needs about 1000000." in result.output


@pytest.mark.slow
def test_a_node_and_a_command_that_are_killed_lose_and_double_nothing():
    script = Path(__file__).parents[2] / "benchmarks" / "cluster.py"
    few = ["--repeats", "0", "--kills", "1", "--killed-images", "600", "--killed-seeds", "4"]
    ran = subprocess.run([sys.executable, script, *few], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout[ran.stdout.index("{") :])
    assert all(found[job]["all finished, identical"] for job in ("images, killed", "runs, killed"))


# -- without a cluster -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["", "here", "host", "host:port", "http://host:1", "ray://host"])
def test_an_address_that_is_none_is_refused_before_any_work(address, tmp_path, images, backbone):
    with pytest.raises(CosupError, match="is no address of a Ray cluster"):
        embed(images, backbone, tmp_path / "store", ray=address)
    with pytest.raises(CosupError, match="is no address of a Ray cluster"):
        run_benchmark(TASKS, METHODS, range(1), tmp_path / "runs", ray=address)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def unconnected(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.parametrize("address", ["127.0.0.1:9", "ray://127.0.0.1:9"])
def test_a_cluster_that_does_not_answer_is_said_at_once(unconnected, address):
    with pytest.raises(CosupError, match="no Ray cluster answers"), cluster_room.connect(address):
        pass


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ConnectionError("Could not find any running Ray instance."), "no Ray cluster was found"),
        (RuntimeError("Version mismatch: Ray: 2.1.0\nPython: 3.10"), "cannot be used from here: Version mismatch: Ray"),
    ],
)
def test_what_ray_says_of_a_cluster_is_passed_on(unconnected, monkeypatch, raised, said):
    def refuse(**options):
        raise raised

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(CosupError, match=said), cluster_room.connect("auto"):
        pass


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CosupError, match=r"cosup\[ray\]"), cluster_room.connect("local"):
        pass
