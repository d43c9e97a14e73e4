"""The feature cache: whole entries or none, never another key's, clear words when the disk is of no use."""

import errno
import logging
import os
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pytest

from cosup.embedding import FeatureCache, default_cache_folder, feature_cache
from cosup.utils.validation import CosupError

KEY = {"kind": "test", "fingerprint": "abc", "size": 96}


def features():
    return {"features": np.arange(12, dtype=np.float32).reshape(3, 4), "y": np.array([1, 2, 3])}


class Computation:
    def __init__(self):
        self.times = 0

    def __call__(self):
        self.times += 1
        return features()


@pytest.fixture
def compute():
    return Computation()


@pytest.fixture
def store(tmp_path):
    return FeatureCache(tmp_path / "cache")


def check(arrays):
    assert arrays.keys() == features().keys()
    for name, array in features().items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_an_entry_is_computed_once(store, compute):
    check(store.get(KEY, compute))
    check(store.get(dict(reversed(KEY.items())), compute))
    assert compute.times == 1
    check(store.get({**KEY, "fingerprint": "abd"}, compute))
    assert compute.times == 2
    assert sorted(p.suffix for p in store.folder.iterdir()) == [".npz", ".npz"]


def test_numpy_reads_an_entry_without_pickle(store, compute):
    store.get(KEY, compute)
    with np.load(store.path_of(KEY), allow_pickle=False) as entry:
        assert {"features", "y"} < set(entry)


@pytest.mark.parametrize("damage", ["empty", "half", "last byte", "garbage", "flipped"])
def test_a_damaged_entry_is_said_to_be_and_computed_again(store, compute, caplog, damage):
    store.get(KEY, compute)
    path = store.path_of(KEY)
    whole = path.read_bytes()
    at = whole.index(features()["features"].tobytes())
    path.write_bytes(
        {
            "empty": b"",
            "half": whole[: len(whole) // 2],
            "last byte": whole[:-1],
            "garbage": b"\x80\x04not an npz at all" * 50,
            "flipped": whole[:at] + b"\xff" + whole[at + 1 :],
        }[damage]
    )
    with caplog.at_level(logging.WARNING, logger="cosup.embedding.feature_cache"):
        check(store.get(KEY, compute))
    assert compute.times == 2
    assert str(path) in caplog.text
    assert "damaged" in caplog.text
    assert path.read_bytes() == whole


def test_every_cut_is_noticed(store, compute, caplog):
    caplog.set_level(logging.CRITICAL)
    store.get(KEY, compute)
    path = store.path_of(KEY)
    whole = path.read_bytes()
    for length in range(0, len(whole), 23):
        path.write_bytes(whole[:length])
        check(store.get(KEY, compute))
        assert path.read_bytes() == whole


def test_another_models_entry_is_refused(store, compute):
    other = {**KEY, "fingerprint": "another model"}
    store.get(other, compute)
    store.path_of(other).rename(store.path_of(KEY))
    with pytest.raises(CosupError, match=r"does not belong here.*another model.*elete it") as caught:
        store.get(KEY, compute)
    assert str(store.path_of(KEY)) in str(caught.value)
    assert compute.times == 1


def test_a_file_without_our_manifest_is_refused(store, compute):
    store.folder.mkdir()
    np.savez(store.path_of(KEY), features=np.zeros(3))
    with pytest.raises(CosupError, match="no manifest of ours"):
        store.get(KEY, compute)


def test_a_pickle_in_an_entry_is_never_loaded(store, compute):
    store.get(KEY, compute)
    path = store.path_of(KEY)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    np.save(path.with_suffix(".npy"), np.array([{"a": 1}], dtype=object), allow_pickle=True)
    members["y.npy"] = path.with_suffix(".npy").read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    check(store.get(KEY, compute))
    assert compute.times == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_loses_nothing(store, compute, monkeypatch, code):
    store.get(KEY, compute)

    def write(file, arrays):
        file.write(b"the beginning")
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(feature_cache, "_write_npz", write)
    with pytest.raises(CosupError, match="Nothing was lost") as caught:
        store.get({**KEY, "size": 224}, compute)
    assert str(store.folder) in str(caught.value)
    assert ("the disk is full" in str(caught.value)) == (code == errno.ENOSPC)
    assert list(store.folder.iterdir()) == [store.path_of(KEY)]
    check(store.get(KEY, compute))


def test_no_half_written_file_stays_after_an_interruption(store, compute, monkeypatch):
    def interrupt(file, arrays):
        file.write(b"the beginning")
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_cache, "_write_npz", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.get(KEY, compute)
    assert list(store.folder.iterdir()) == []


def test_a_folder_of_no_use_is_an_error_before_the_work(tmp_path, compute):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(CosupError, match=r"file/cache cannot be made or written.*COSUP_CACHE"):
        FeatureCache(tmp_path / "file" / "cache").get(KEY, compute)
    assert compute.times == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(tmp_path, compute):
    tmp_path.chmod(0o500)
    with pytest.raises(CosupError, match="cannot be made or written"):
        FeatureCache(tmp_path).get(KEY, compute)
    assert compute.times == 0


def test_an_entry_that_cannot_be_read(store, compute):
    store.path_of(KEY).mkdir(parents=True)
    with pytest.raises(CosupError, match="cannot be read"):
        store.get(KEY, compute)


def test_a_key_is_made_of_what_json_knows(store, compute):
    with pytest.raises(CosupError, match="JSON"):
        store.get({"array": np.zeros(2)}, compute)


def test_two_processes_that_compute_the_same_entry_both_end_right(tmp_path):
    code = textwrap.dedent(
        """
        import pathlib, sys, time
        import numpy as np
        from cosup.embedding import FeatureCache

        here, me, other = pathlib.Path(sys.argv[1]), *sys.argv[2:]

        def compute():
            # Each waits in the middle of its work until the other is there too.
            (here / me).touch()
            end = time.monotonic() + 30
            while not (here / other).exists():
                if time.monotonic() > end:
                    sys.exit("the other process never came")
                time.sleep(0.001)
            return {"x": np.arange(200_000)}

        for size in range(5):
            arrays = FeatureCache(here / "cache").get({"size": size}, compute)
            assert (arrays["x"] == np.arange(200_000)).all()
        """
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), *names], stderr=subprocess.PIPE, text=True)
        for names in (("a", "b"), ("b", "a"))
    ]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert len(list((tmp_path / "cache").iterdir())) == 5


def test_the_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("COSUP_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert FeatureCache().folder == tmp_path / "own"
    monkeypatch.delenv("COSUP_CACHE")
    assert default_cache_folder() == tmp_path / "xdg" / "cosup"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_cache_folder() == tmp_path / "home" / ".cache" / "cosup"
