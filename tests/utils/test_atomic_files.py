"""Several files that change as one, whatever ends the process, and the lock of a folder."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cosup import CosupError
from cosup.utils.atomic_files import COMMIT, committed_files, finish_commit, replace_files, temporary_name, write_whole
from cosup.utils.folder_lock import LOCK_NAME, only_writer

if sys.platform != "win32":
    import fcntl

OLD = {"a.json": "old a", "b.bin": "old b", "gone.txt": "old gone"}
NEW = {"a.json": "new a", "b.bin": "new b", "c.txt": "new c"}

CHILD = """
import os, sys
from pathlib import Path
from cosup.utils.atomic_files import replace_files

at, before = int(sys.argv[2]), sys.argv[3] == "before"
calls = 0
def counted(name):
    real = getattr(os, name)
    def call(*arguments, **options):
        global calls
        calls += 1
        mine = calls
        if mine == at and before:
            os._exit(9)
        try:
            return real(*arguments, **options)
        finally:
            if mine == at:
                os._exit(9)
    setattr(os, name, call)
for name in ("replace", "rename", "unlink", "fsync"):
    counted(name)
replace_files(Path(sys.argv[1]), {"a.json": "new a", "b.bin": "new b", "c.txt": "new c"}, remove=["gone.txt"])
print(calls)
"""


def held(folder):
    return {name: path.read_text() for name, path in committed_files(folder).items()}


def fill(folder):
    folder.mkdir()
    for name, content in OLD.items():
        (folder / name).write_text(content)
    return folder


def child(folder, at, when):
    return subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(at), when], capture_output=True, text=True, check=False
    )


def test_all_or_nothing_wherever_it_is_killed(tmp_path):
    points = int(child(fill(tmp_path / "whole"), 0, "before").stdout)
    assert held(tmp_path / "whole") == NEW
    assert points >= 10
    seen = set()
    for at in range(1, points + 1):
        folder = fill(tmp_path / f"{at}")
        assert child(folder, at, "after" if at % 2 else "before").returncode == 9
        found = held(folder)
        assert found in (OLD, NEW)
        seen.add(found == NEW)
        # The next writer finishes or drops what it finds, and nothing of the dead is left.
        with only_writer(folder):
            assert held(folder) == found
            assert {path.name for path in folder.iterdir()} - {LOCK_NAME} == set(found)
            replace_files(folder, NEW, remove=["gone.txt"])
        assert held(folder) == NEW
        assert sorted(path.name for path in folder.iterdir()) == sorted(NEW)
    assert seen == {True, False}


@pytest.mark.parametrize("file", [*NEW, COMMIT])
def test_a_full_disk_leaves_what_was_and_names_the_file(tmp_path, monkeypatch, file):
    folder = fill(tmp_path / "folder")
    real = os.fsync

    def fsync(descriptor):
        if f".{file}-" in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") as caught:
        replace_files(folder, NEW, remove=["gone.txt"])
    assert caught.value.filename == str(folder / file)
    assert held(folder) == OLD
    assert sorted(path.name for path in folder.iterdir()) == sorted(OLD)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        "[" * 100_000,
        json.dumps({"files": {"../x": ".../x-" + 32 * "0" + ".tmp"}, "removed": []}),
        json.dumps({"files": {"a.json": "/etc/passwd"}, "removed": []}),
        json.dumps({"files": {"a.json": ".b.bin-" + 32 * "0" + ".tmp"}, "removed": []}),
        json.dumps({"files": {}, "removed": ["../x"]}),
        json.dumps({"files": {}, "removed": [".."]}),
    ],
)
def test_a_commit_that_nobody_wrote_is_not_obeyed(tmp_path, content):
    folder = fill(tmp_path / "folder")
    (tmp_path / "x").write_text("mine")
    (folder / COMMIT).write_text(content)
    for act in (finish_commit, committed_files):
        with pytest.raises(CosupError, match="delete"):
            act(folder)
    assert (tmp_path / "x").read_text() == "mine"


def test_one_writer_a_folder_and_no_lock_is_left(tmp_path):
    code = "import sys, time; from pathlib import Path; from cosup.utils.folder_lock import only_writer\n"
    code += "with only_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(CosupError, match=f"process {process.pid} on .* is writing to"), only_writer(tmp_path):
            pass
    finally:
        process.kill()
        process.communicate()
    (tmp_path / ".model.json-0.tmp").write_text("of the dead")
    with only_writer(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [LOCK_NAME]
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="open files are not removed there")
def test_temporaries_of_dead_writers_go_and_those_of_living_ones_stay(tmp_path):
    """A file that is written anew has only its own dead ones removed; another's may be committed."""
    path = tmp_path / "page.html"
    dead, other, alive = (temporary_name(tmp_path / name) for name in ("page.html", "other.html", "page.html"))
    for left in (dead, other, alive):
        left.write_text("half")
    with alive.open("rb") as writer:
        fcntl.flock(writer, fcntl.LOCK_EX)
        write_whole(path, "whole")
        assert (dead.exists(), other.exists(), alive.exists()) == (False, True, True)
        with only_writer(tmp_path):
            assert (other.exists(), alive.exists()) == (False, True)
    assert path.read_text() == "whole"


def test_what_a_commit_names_is_not_taken_for_a_dead_writers(tmp_path):
    """A writer died behind its commit; another writes one of the files before anybody has finished it."""
    temporary = temporary_name(tmp_path / "b.bin")
    temporary.write_text("new b")
    (tmp_path / COMMIT).write_text(json.dumps({"files": {"b.bin": temporary.name}, "removed": []}))
    write_whole(tmp_path / "b.bin", "other b")
    assert temporary.exists()
    assert held(tmp_path) == {"b.bin": "new b"}
