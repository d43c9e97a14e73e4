"""The feature store: whole or resumable, of one model and one set of images, byte for byte the same."""

import errno
import json
import os
import random
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from cosup.embedding import FeatureStore, embed_images, images_to_features
from cosup.utils.folder_lock import only_writer
from cosup.utils.validation import CosupError
from forked import forked

pytest.importorskip("PIL")
from PIL import Image

N = 23


class Plain:
    """A network without weights: means over a grid, computed from pixels alone."""

    def __init__(self, name="test:plain", scale=1.0, seconds=0.0):
        self.name, self.scale, self.seconds = name, scale, seconds
        self.n_features = 12
        self.fingerprint = f"{name} {scale}"
        self.preprocessing = {"scale": scale}
        self.batches = []

    def prepare(self, image):
        import torch

        pixels = torch.from_numpy(np.array(image)).float()
        pixels = pixels[None].expand(3, -1, -1) if pixels.ndim == 2 else pixels.permute(2, 0, 1)
        return torch.nn.functional.adaptive_avg_pool2d(pixels, 2) * self.scale

    def forward(self, batch):
        self.batches.append(len(batch))
        time.sleep(self.seconds)
        return batch.flatten(1).numpy()


def make_images(root):
    rng = np.random.default_rng(0)
    for i in range(N):
        path = root / f"class{i % 3}" / f"{i:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (5 + i % 4, 6, 3), dtype=np.uint8)).save(path)
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))


@pytest.fixture
def root(tmp_path):
    make_images(tmp_path / "images")
    return tmp_path / "images"


def listing(root):
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*.png"))


def embed(root, out, backbone=None, **options):
    options = {"batch_size": 4, "shard_size": 8, "dtype": "float32", **options}
    return embed_images(root, listing(root), backbone or Plain(), out, **options)


def content(folder):
    return {p.name: p.read_bytes() for p in Path(folder).iterdir()}


def test_features_are_the_backbones_and_numpy_maps_them(root, tmp_path):
    store = embed(root, tmp_path / "out")
    backbone = Plain()
    import torch

    from cosup.embedding import read_image

    expected = backbone.forward(torch.stack([backbone.prepare(read_image(root / p)) for p in listing(root)]))
    assert isinstance(store.features, np.memmap)
    np.testing.assert_array_equal(np.load(tmp_path / "out" / "features.npy", mmap_mode="r"), expected)
    chosen = ["class1/04.png", "class0/03.png"]
    np.testing.assert_array_equal(store.take(store.rows(chosen)), expected[[listing(root).index(p) for p in chosen]])
    assert store.paths == tuple(listing(root))
    store.verify()


def test_the_manifest_says_what_made_it(root, tmp_path):
    embed(root, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["backbone"]["name"] == "test:plain"
    assert manifest["backbone"]["preprocessing"] == {"scale": 1.0}
    assert "torch" in manifest["runs"][0]["versions"]
    assert (manifest["n_files"], manifest["n_images"], manifest["complete"]) == (N, N, True)


def test_a_finished_store_is_not_computed_again(root, tmp_path):
    embed(root, tmp_path / "out")
    second = Plain()
    embed(root, tmp_path / "out", second)
    assert second.batches == []


class StopError(Exception):
    pass


class Stops(Plain):
    def __init__(self, after):
        super().__init__()
        self.after = after

    def forward(self, batch):
        if len(self.batches) == self.after:
            raise StopError
        return super().forward(batch)


@pytest.mark.parametrize("after", range(6))
def test_stopped_anywhere_it_resumes_with_the_same_batches_and_ends_the_same(root, tmp_path, after):
    whole = content(embed(root, tmp_path / "whole").folder)
    with pytest.raises(StopError):
        embed(root, tmp_path / "out", Stops(after))
    with pytest.raises(CosupError, match="not finished"):
        FeatureStore.open(tmp_path / "out")
    rest = Plain()
    embed(root, tmp_path / "out", rest)
    assert content(tmp_path / "out") == whole
    assert len(rest.batches) == 6 - after // 2 * 2  # whole shards of two batches are kept


@pytest.mark.parametrize("name", ["features.npy", "files.jsonl"])
def test_what_a_killed_writer_left_behind_the_last_shard_is_dropped(root, tmp_path, name):
    whole = content(embed(root, tmp_path / "whole").folder)
    with pytest.raises(StopError):
        embed(root, tmp_path / "out", Stops(4))
    with (tmp_path / "out" / name).open("ab") as file:
        file.write(b'["class1/torn')
    (tmp_path / "out" / ".manifest.json-abc.tmp").write_bytes(b"{")
    embed(root, tmp_path / "out")
    assert content(tmp_path / "out") == whole


def test_features_that_were_cut_short_are_not_filled_with_zeros(root, tmp_path):
    with pytest.raises(StopError):
        embed(root, tmp_path / "out", Stops(4))
    os.truncate(tmp_path / "out" / "features.npy", 200)
    with pytest.raises(CosupError, match="cut short"):
        embed(root, tmp_path / "out")


@pytest.mark.parametrize("after", [None, 4])
def test_two_models_are_never_mixed(root, tmp_path, after):
    if after is None:
        embed(root, tmp_path / "out")
    else:
        with pytest.raises(StopError):
            embed(root, tmp_path / "out", Stops(after))
    before = content(tmp_path / "out")
    with pytest.raises(CosupError, match="holds features of 'test:plain', not of this 'test:other'"):
        embed(root, tmp_path / "out", Plain("test:other"))
    with pytest.raises(CosupError, match=r"scale 1.0 there, 2.0 here"):
        embed(root, tmp_path / "out", Plain(scale=2.0))
    with pytest.raises(CosupError, match="dtype float32, not float16"):
        embed(root, tmp_path / "out", dtype="float16")
    assert content(tmp_path / "out") == before


def test_other_images_are_said_to_be(root, tmp_path):
    embed(root, tmp_path / "out")
    (root / "class0" / "00.png").rename(root / "class0" / "new.png")
    with pytest.raises(CosupError, match=r"1 images not in it \(first: class0/new.png\); 1 images gone"):
        embed(root, tmp_path / "out")


def test_a_copy_of_the_images_is_the_same_and_a_changed_one_is_not(root, tmp_path):
    embed(root, tmp_path / "out")
    file = root / "class1" / "01.png"
    os.utime(file, ns=(1, 1))
    embed(root, tmp_path / "out")
    data = bytearray(file.read_bytes())
    data[-20] ^= 1
    file.write_bytes(data)
    with pytest.raises(CosupError, match=r"1 images changed \(first: class1/01.png\)"):
        embed(root, tmp_path / "out")


def test_a_newer_format_and_a_foreign_folder_are_refused(root, tmp_path):
    embed(root, tmp_path / "out")
    path = tmp_path / "out" / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(CosupError, match="format 2, and this cosup reads format 1"):
        embed(root, tmp_path / "out")
    with pytest.raises(CosupError, match="holds other things"):
        embed(root, root)


@pytest.mark.parametrize("damage", ["flipped", "short"])
def test_damage_is_found(root, tmp_path, damage):
    store = embed(root, tmp_path / "out")
    path = tmp_path / "out" / "features.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data if damage == "flipped" else data[:-1])
    with pytest.raises(CosupError, match=r"features.npy (was changed or damaged|is not the array)"):
        FeatureStore.open(store.folder).verify()


# -- unreadable images ----------------------------------------------------------------------------------------


@pytest.fixture
def broken(root):
    (root / "class1" / "10.png").write_bytes(b"")
    (root / "class2" / "14.png").write_bytes((root / "class2" / "14.png").read_bytes()[:60])
    return root


def test_unreadable_images_are_all_named_and_nothing_is_lost(broken, tmp_path):
    first = Plain()
    with pytest.raises(CosupError, match=r"2 images (.|\n)*10.png is empty(.|\n)*14.png"):
        embed(broken, tmp_path / "out", first)
    # Mended, it goes on behind the last whole shard before the first of them.
    Image.new("RGB", (4, 4)).save(broken / "class1" / "10.png")
    Image.new("RGB", (4, 4)).save(broken / "class2" / "14.png")
    second = Plain()
    store = embed(broken, tmp_path / "out", second)
    assert len(store) == N
    assert second.batches == [4] * 4  # fifteen, the last three filled up to a batch
    assert content(tmp_path / "out") == content(embed(broken, tmp_path / "whole").folder)


def test_unreadable_images_are_left_out_by_choice_and_listed(broken, tmp_path):
    with pytest.raises(CosupError):
        embed(broken, tmp_path / "out")
    store = embed(broken, tmp_path / "out", skip_unreadable=True)
    assert store.features.shape == (N - 2, 12)
    assert list(store.unreadable) == ["class1/10.png", "class2/14.png"]
    assert store.manifest["unreadable"] == ["class1/10.png", "class2/14.png"]
    assert store.rows(["class1/10.png", "class0/00.png"]).tolist() == [-1, 0]
    assert content(tmp_path / "out") == content(embed(broken, tmp_path / "whole", skip_unreadable=True).folder)
    with pytest.raises(CosupError, match="--skip-unreadable"):
        embed(broken, tmp_path / "out")


def test_no_readable_image_is_an_error(root, tmp_path):
    for path in root.rglob("*.png"):
        path.write_bytes(b"no image")
    with pytest.raises(CosupError, match=f"{N} images"):
        embed(root, tmp_path / "out", skip_unreadable=True)


def test_features_beyond_half_precision_are_an_error_that_names_the_image(root, tmp_path):
    with pytest.raises(CosupError, match=r"class0/00.png that are not finite; float16 ends"):
        embed(root, tmp_path / "out", Plain(scale=1e6), dtype="float16")


# -- the disk, and other processes ----------------------------------------------------------------------------


def test_a_full_disk_is_said_and_the_rest_goes_on_from_there(root, tmp_path, monkeypatch):
    whole = content(embed(root, tmp_path / "whole").folder)
    write, times = images_to_features._write, []

    def full(file, *parts):
        times.append(1)
        if len(times) > 3:
            file.write(b"".join(parts)[:7])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(file, *parts)

    with monkeypatch.context() as patched:
        patched.setattr(images_to_features, "_write", full)
        with pytest.raises(CosupError, match=r"the disk is full. What is embedded is kept: 8 of 23 images"):
            embed(root, tmp_path / "out")
    rest = Plain()
    embed(root, tmp_path / "out", rest)
    assert rest.batches == [4] * 4  # fifteen, the last three filled up to a batch
    assert content(tmp_path / "out") == whole


def test_a_limit_on_files_is_a_full_disk(root, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(CosupError, match="the disk is full"):
            embed(root, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert len(embed(root, tmp_path / "out")) == N


def test_too_little_space_is_said_before_the_work(root, tmp_path, monkeypatch):
    monkeypatch.setattr("cosup.embedding.disk_space.shutil.disk_usage", lambda _: type("Usage", (), {"free": 10}))
    backbone = Plain()
    with pytest.raises(CosupError, match=r"needs .* GB, but its disk has 0.00 GB"):
        embed(root, tmp_path / "out", backbone)
    assert backbone.batches == []


def test_a_folder_that_cannot_be_made_is_named(root, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(CosupError, match="cannot be made or written"):
        embed(root, tmp_path / "file" / "out")


def child(root, out, images=0):
    """Start to embed; return when so many images are on the disk."""
    process = forked(embed, root, out, Plain(seconds=0.1))
    deadline = time.monotonic() + 120
    while process.is_alive():
        files = out / "files.jsonl"
        if (out / "manifest.json").exists() and (
            not images or (files.exists() and files.read_bytes().count(b"\n") >= images)
        ):
            break
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


def test_two_processes_do_not_write_to_one_folder(root, tmp_path):
    process = child(root, tmp_path / "out")
    with pytest.raises(CosupError, match=rf"process {process.pid} on .* is writing to .* right now"):
        embed(root, tmp_path / "out")
    # Waiting is the other choice: then it finds everything done.
    late = Plain()
    embed(root, tmp_path / "out", late, wait=True)
    process.join(timeout=60)
    assert process.exitcode == 0
    assert late.batches == []


def test_a_dead_owners_lock_blocks_nobody(tmp_path):
    with only_writer(tmp_path):
        pass
    (tmp_path / ".lock").write_text("process 1 on elsewhere")
    with only_writer(tmp_path):
        pass
    assert not (tmp_path / ".lock").exists()


def killed_at_random(root, tmp_path, times, seed, shards=(0, 8, 16)):
    whole = content(embed(root, tmp_path / "whole").folder)
    rng = random.Random(seed)
    halfway = 0
    for i in range(times):
        out = tmp_path / f"out{i}"
        # A random time behind a random shard: on a busy machine a random time alone meets the start only.
        process = child(root, out, images=rng.choice(shards))
        time.sleep(rng.uniform(0, 0.25))  # two batches of 0.1 s a shard
        process.kill()
        process.join()
        assert process.exitcode in (-signal.SIGKILL, 0)
        rest = Plain()
        embed(root, out, rest)
        assert content(out) == whole
        halfway += process.exitcode != 0 and len(rest.batches) < 6
    return halfway


def test_killed_it_resumes_and_ends_identical(root, tmp_path):
    killed_at_random(root, tmp_path, 1, seed=0, shards=(8,))


@pytest.mark.slow
def test_killed_thirty_times_it_resumes_and_ends_identical(root, tmp_path):
    assert killed_at_random(root, tmp_path, 30, seed=1) > 5  # of these many the first part was kept
