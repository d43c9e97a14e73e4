"""Faults on purpose: processes killed at every write, full disks, files that were tampered with, a server under load.

``make faults`` runs everything and writes the table docs/reliability.md; ``--short`` is what the tests run. A command
is run in a forked child, which has everything imported, so that a kill costs a fraction of a second.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import http.client
import io
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DOCS = Path(__file__).resolve().parents[1] / "docs" / "reliability.md"
WRITES = ("replace", "rename", "unlink", "fsync", "mkdir")
"""Calls of the operating system at which a process is killed."""

KILLED = 9
SIZES = 20


@dataclass
class Row:
    """One line of the table."""

    what: str
    tried: int = 0
    held: int = 0
    notes: list[str] = field(default_factory=list)

    def count(self, good: bool, note: str) -> None:
        self.tried += 1
        self.held += good
        if not good:
            self.notes.append(note)
            print(f"  NOT HELD: {self.what}: {note}", flush=True)


# -- commands in children --------------------------------------------------------------------------------------------


def command(arguments: list[Any], before: Callable[[], None] | None = None) -> tuple[int, str]:
    """Run ``cosup`` in a forked child; its exit code (a signal's is negative), and all that it printed."""
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                sys.stdout = os.fdopen(1, "w", closefd=False)
                sys.stderr = os.fdopen(2, "w", closefd=False)
                if before is not None:
                    before()
                from cosup.cli import main

                try:
                    main([str(word) for word in arguments])
                except SystemExit as end:
                    code = end.code if isinstance(end.code, int) else 1
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")


def killed_at(place: int, counter: Path | None = None) -> Callable[[], None]:
    """A hook that ends the process at a write, before it or behind it in turn; 0 counts the writes instead."""

    def hook() -> None:
        calls = 0

        def counted(name: str) -> None:
            real = getattr(os, name)

            def call(*arguments: Any, **options: Any) -> Any:
                nonlocal calls
                calls += 1
                mine = calls
                if counter is not None:
                    counter.write_bytes(b"x" * mine)
                if mine == place and place % 2:
                    os._exit(KILLED)
                try:
                    return real(*arguments, **options)
                finally:
                    if mine == place:
                        os._exit(KILLED)

            setattr(os, name, call)

        for name in WRITES:
            counted(name)

    return hook


# -- what there is to spoil ------------------------------------------------------------------------------------------


class World:
    """Inputs, and fits of them."""

    def __init__(self, root: Path) -> None:
        from cosup.tasks import make_hierarchy

        self.root = root
        task = make_hierarchy(120, 20, n_features=6, n_classes=3, teachers_per_level=(1, 1), accuracy=(0.7, 0.8))
        self.ids = [f"s{row:03}" for row in range(120)]
        hard = task.labels.hard()
        for name, rows in (("old", slice(90)), ("new", slice(90, 120)), ("all", slice(120))):
            np.savez(root / f"{name}.npz", X=task.X_train[rows], ids=np.array(self.ids[rows]))
            with (root / f"{name}.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(["id", "a", "b"])
                for i, row in zip(self.ids[rows], hard[rows], strict=True):
                    writer.writerow([i, *(f"c{v}" if v >= 0 else "" for v in row)])
        (root / "person.csv").write_text("id,person\ns000,c0\ns001,c1\ns002,c2\n")
        self.must(self.fit("old", root / "model"))
        from PIL import Image

        (root / "photos").mkdir()
        rng = np.random.default_rng(0)
        for row in range(12):
            pixels = rng.integers(0, 255, (8, 8, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / "photos" / f"{row}.png")
        (root / "net.py").write_text(
            "def net():\n    return lambda x: x.flatten(1)[:, ::7], {'resize': 8, 'crop': [8, 8], 'version': 1}\n"
        )
        self.must(self.embed(root / "store"))

    def fit(self, name: str, out: Path, *more: Any) -> list[Any]:
        return [
            "fit",
            "--features",
            self.root / f"{name}.npz",
            "--labels",
            self.root / f"{name}.csv",
            "--out",
            out,
            *more,
        ]

    def embed(self, out: Path) -> list[Any]:
        return ["embed", "--images", self.root / "photos", "--backbone", f"module:{self.root / 'net.py'}:net",
                "--batch-size", 4, "--shard-size", 4, "--out", out]  # fmt: skip

    def bench(self, out: Path) -> list[Any]:
        options = [
            word for option in ("n_samples=60", "n_test=20", "n_features=6") for word in ("--task-option", option)
        ]
        return ["bench", "--tasks", "hierarchy", *options, "--methods", "vanilla,csl", "--seeds", 2, "--jobs", 1,
                "--out", out]  # fmt: skip

    @staticmethod
    def must(arguments: list[Any]) -> str:
        code, said = command(arguments)
        if code:
            raise RuntimeError(f"cosup {' '.join(map(str, arguments))}: {said}")
        return said


def state_of_fit(folder: Path) -> str:
    """A digest of what a fit's readers see; "mixed" where they refuse, "none" where there is no fit."""
    from cosup.cli.fit_manifest import read_manifest
    from cosup.cli.fit_outputs import read_estimates, read_history
    from cosup.methods import load
    from cosup.provenance import read_account
    from cosup.utils.atomic_files import committed_files
    from cosup.utils.errors import CosupError

    files = committed_files(folder)
    if "model.json" not in files and "provenance.json" not in files:
        return "none"
    try:
        load(folder), read_account(folder), read_manifest(folder), read_history(folder), read_estimates(folder)
    except CosupError as error:
        return f"mixed: {error}"
    digest = hashlib.sha256()
    for name in sorted(set(files) - {"timings.json"}):
        digest.update(name.encode() + files[name].read_bytes())
    return digest.hexdigest()[:12]


def state_of_files(folder: Path) -> str:
    """A digest of a folder's files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and not path.name.startswith("."):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def records_of(folder: Path) -> str:
    """What a sweep measured, without what a clock says."""
    from cosup.benchmark import read_records

    if not (folder / "records.jsonl").is_file():
        return "none"
    kept = [(r["run"], r["student"], r["ceiling"], r["error"]) for r in read_records(folder)]
    return json.dumps(sorted(kept))


# -- killed at every write -------------------------------------------------------------------------------------------


def kills(world: World, every: int) -> Iterator[Row]:
    """Commands that change a folder, cut at every write point (or one in so many), and run again."""
    root = world.root
    model = root / "model"

    def check(out: Path) -> list[Any]:
        return ["check", model, "--answers", root / "person.csv", "--out", out]

    def update(out: Path) -> list[Any]:
        return ["fit", "--update", out, "--features", root / "new.npz", "--labels", root / "new.csv", "--out", out]

    plans: list[tuple[str, Callable[[Path], list[Any]], Path | None, Callable[[Path], str]]] = [
        ("fit into a new folder", lambda out: world.fit("old", out), None, state_of_fit),
        ("fit over an earlier fit", lambda out: world.fit("all", out, "--seed", 1), model, state_of_fit),
        ("fit --method vanilla over an earlier fit",
         lambda out: world.fit("all", out, "--method", "vanilla"), model, state_of_fit),
        ("fit --update in place", update, model, state_of_fit),
        ("check --out", check, None, state_of_fit),
        ("embed", world.embed, None, lambda out: ""),
        ("bench", world.bench, None, lambda out: ""),
    ]  # fmt: skip
    for what, words, start, state in plans:
        row = Row(f"`{what}` killed at a write, then run again")
        place = root / "cut"

        def fresh(place: Path = place, start: Path | None = start) -> Path:
            shutil.rmtree(place, ignore_errors=True)
            if start is not None:
                shutil.copytree(start, place)
            return place

        final = state if state(fresh()) != "" else (records_of if what == "bench" else state_of_files)
        old = final(fresh())
        counter = root / "calls"
        code, said = command(words(fresh()), killed_at(0, counter))
        if code:
            raise RuntimeError(said)
        new, points = final(place), counter.stat().st_size
        for at in range(1, points + 1, every):
            code, said = command(words(fresh()), killed_at(at))
            left = final(place)
            whole = final is not state_of_fit or left in (old, new)
            again, then = command(words(place))
            good = code == KILLED and whole and again == 0 and final(place) == new
            hidden = [
                path.name for path in place.rglob(".*") if path.name != ".lock"
            ]  # of a dead one, it locks nobody out
            row.count(good and not hidden, f"at write {at}: {code} {left}, again {again} {then[-200:]} {hidden}")
        yield row


# -- full disks ------------------------------------------------------------------------------------------------------


def full_disks(world: World, sizes: int) -> Iterator[Row]:
    """A fit over another on a file system that is too small, by a few kilobytes more each time."""
    row = Row("`fit` over an earlier fit on a full disk, then again with room")
    mount = world.root / "disk"
    mount.mkdir()
    least = sum(-(-path.stat().st_size // 4096) * 4 for path in (world.root / "model").iterdir()) + 8
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={least}k", "tmpfs", str(mount)], capture_output=True, check=False
        ).returncode
    ):
        row.notes.append("not tried: no root, or no tmpfs")
        yield row
        return
    try:
        subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
        world.must(world.fit("all", mount / "model"))
        new, old = state_of_fit(mount / "model"), state_of_fit(world.root / "model")
        whole = 2 * least
        for step in range(sizes):
            size = least + (whole - least) * step // max(sizes - 1, 1)
            for path in mount.iterdir():
                shutil.rmtree(path)
            subprocess.run(["mount", "-o", f"remount,size={max(size, least)}k", str(mount)], check=True)
            shutil.copytree(world.root / "model", mount / "model")
            code, said = command(world.fit("all", mount / "model"))
            left = state_of_fit(mount / "model")
            named = code == 0 or (code == 2 and str(mount) in said and "Traceback" not in said)
            subprocess.run(["mount", "-o", "remount,size=64m", str(mount)], check=True)
            again, then = command(world.fit("all", mount / "model"))
            good = named and left in (old, new) and (left == new) == (code == 0) and again == 0
            row.count(
                good and state_of_fit(mount / "model") == new, f"{size} kB: {code} {left} {said[-200:]} {then[-99:]}"
            )
    finally:
        subprocess.run(["umount", str(mount)], check=False)
    yield row


# -- tampering -------------------------------------------------------------------------------------------------------

WRONG: tuple[Any, ...] = (None, "x", -1, 10**30, 1e308, True, [], {}, [None], {"x": None}, "../../etc/passwd")


def fields_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of all fields of JSON; of a list, those of its first and last item."""
    if path:
        yield path
    keys: Any = (
        value if isinstance(value, dict) else sorted({0, len(value) - 1}) if isinstance(value, list) and value else ()
    )
    for key in keys:
        yield from fields_of(value[key], (*path, key))


def changed(content: Any, path: tuple[Any, ...], value: Any, *, delete: bool = False) -> str:
    content = json.loads(json.dumps(content))
    held = content
    for key in path[:-1]:
        held = held[key]
    if delete:
        del held[path[-1]]
    else:
        held[path[-1]] = value
    return json.dumps(content)


def in_process(arguments: list[Any]) -> str:
    """Run a command here; "" where it ended in words, or else what went wrong."""
    from click.testing import CliRunner

    from cosup.cli import main

    result = CliRunner().invoke(main, [str(word) for word in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        return "".join(traceback.format_exception(result.exception)[-3:])
    return "" if result.exit_code in (0, 2) else f"exit code {result.exit_code}: {result.output[-200:]}"


def tampering(world: World, every: int) -> Iterator[Row]:
    """Every field of every JSON file deleted or of another kind; files cut short, emptied and swapped."""
    root = world.root
    out = root / "spoilt"
    readers: dict[str, list[list[Any]]] = {
        "model.json": [["predict", "--model", out, "--features", root / "new.npz", "--out", root / "p.csv"]],
        "fit.json": [["fit", "--update", out, "--features", root / "new.npz", "--labels", root / "new.csv",
                      "--out", root / "more"]],
        "provenance.json": [["look", out], ["explore", out]],
        "history.json": [["explore", out]],
        "estimates.json": [["explore", out], ["check", out, "--answers", root / "person.csv"]],
        "timings.json": [["explore", out]],
    }  # fmt: skip
    for name, commands in readers.items():
        row = Row(f"every field of `{name}` deleted, of another kind, huge, negative")
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(root / "model", out)
        content = json.loads((out / name).read_text())
        spoilt = [(path, changed(content, path, None, delete=True)) for path in fields_of(content)]
        spoilt += [(path, changed(content, path, value)) for path in fields_of(content) for value in WRONG]
        for path, text in spoilt[::every]:
            (out / name).write_text(text)
            wrong = "".join(in_process(words) for words in commands)
            row.count(not wrong, f"{path}: {text[:0]}{wrong}")
        yield row
    yield _store(world, every)
    row = Row("files of a fit cut short, emptied, swapped")
    words = [*readers["model.json"], *readers["provenance.json"], *readers["fit.json"]]
    for name in sorted(path.name for path in (root / "model").iterdir()):
        whole = (root / "model" / name).read_bytes()
        cut = [b"", whole[:1], whole[: len(whole) // 2], whole[:-1], b"\xff" * len(whole), b"[" * 50_000]
        for data in [*cut, (root / "model" / "fit.json").read_bytes()][:: max(1, every // 4)]:
            shutil.rmtree(out, ignore_errors=True)
            shutil.copytree(root / "model", out)
            (out / name).write_bytes(data)
            wrong = "".join(in_process(line) for line in words)
            row.count(not wrong, f"{name}, {len(data)} bytes: {wrong}")
    yield row


def _store(world: World, every: int) -> Row:
    row = Row("every field of a store's `manifest.json` likewise, and its files cut and changed")
    store, root = world.root / "spoilt-store", world.root
    fit = ["fit", "--features", store, "--labels", root / "photos.csv", "--out", root / "more"]
    (root / "photos.csv").write_text("id,a,b\n" + "".join(f"{i}.png,c{i % 3},c{i % 2}\n" for i in range(12)))
    whole = root / "store"
    content = json.loads((whole / "manifest.json").read_text())
    shutil.rmtree(store, ignore_errors=True)
    shutil.copytree(whole, store)
    spoilt = [(path, changed(content, path, None, delete=True)) for path in fields_of(content)]
    spoilt += [(path, changed(content, path, value)) for path in fields_of(content) for value in WRONG]
    for path, text in spoilt[::every]:
        (store / "manifest.json").write_text(text)
        wrong = in_process(fit)
        row.count(not wrong, f"{path}: {wrong}")
    shutil.copy(whole / "manifest.json", store / "manifest.json")
    for name in ("features.npy", "files.jsonl"):
        data = (whole / name).read_bytes()
        flipped = bytearray(data)
        flipped[len(data) // 2] ^= 1
        for other in (b"", data[:-1], data + b"x", bytes(flipped)):
            (store / name).write_bytes(other)
            code, said = command(fit)
            row.count(code == 2 and "Traceback" not in said, f"{name}: {code} {said[-200:]}")
        (store / name).write_bytes(data)
    return row


# -- the server ------------------------------------------------------------------------------------------------------


def server(world: World, requests: int, slow: int) -> Iterator[Row]:
    """Many at once, slow ones, wrong names, ways out of the folder; memory before and after."""
    import uvicorn
    from PIL import Image

    from cosup.provenance import read_account
    from cosup.report.explorer import make_app

    account, _ = read_account(world.root / "model")
    pictures = world.root / "pictures"
    pictures.mkdir(exist_ok=True)
    for i in range(len(account)):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(pictures / f"{i}.png")
    app = make_app(account, images=[pictures / f"{i}.png" for i in range(len(account))])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)

    def get(path: str, host: str = "127.0.0.1") -> tuple[int, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.putrequest("GET", path, skip_host=True)
            connection.putheader("Host", host)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    try:
        row = Row(f"server: {requests:,} requests, 100 at once, beside {slow} sockets that say nothing")
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(slow)]
        for one in idle:
            one.send(b"GET / HTTP/1.1\r\nHost: 127")
        paths = ["/", "/api/samples?limit=50", "/api/samples?sort=confidence&offset=10&limit=500", "/image/3"]
        flood(get, paths, 100, row=None)
        before = memory()
        flood(get, paths, requests, row)
        grown = memory() - before
        for one in idle:
            one.close()
        row.notes.append(f"memory grew by {grown / 1e6:.1f} MB")
        row.count(grown < 32e6, f"memory grew by {grown / 1e6:.1f} MB")
        yield row
        row = Row("server: other hosts, ways out of the folder, links, headers")
        for host in ("evil.example", "", "127.0.0.1.evil.example", "[::1", "127.0.0.1:x", "localhost@evil", "0.0.0.0"):
            row.count(get("/", host)[0] == 400, f"host {host!r}")
        for host in ("127.0.0.1", "localhost:1", "[::1]:8420", "LOCALHOST"):
            row.count(get("/", host)[0] == 200, f"host {host!r}")
        for path in ("/../etc/passwd", "/image/..%2f..%2fetc%2fpasswd", "/image/-1", f"/image/{10**30}", "/image/1.5",
                     "//etc/passwd", "/image/%00", "/static/x", "/api/answers"):  # fmt: skip
            row.count(get(path)[0] in (400, 404), path)
        for asked in (
            "sort=__proto__",
            "answer=99",
            "level=-7",
            "limit=x",
            f"offset={10**40}",
            "low=1e5",
            "kept=maybe",
        ):
            row.count(get(f"/api/samples?{asked}")[0] in (200, 400), asked)
        (pictures / "5.png").unlink()
        (pictures / "5.png").symlink_to(world.root / "old.csv")
        row.count(get("/image/5")[0] == 404, "a picture that became a link")
        headers = get("/")[1]
        for name, value in (
            ("content-security-policy", "frame-ancestors 'none'"),
            ("x-content-type-options", "nosniff"),
        ):
            row.count(value in headers.get(name, ""), name)
        yield row
    finally:
        running.should_exit = True
        thread.join(10)


def flood(get: Callable[[str], tuple[int, dict[str, str]]], paths: list[str], requests: int, row: Row | None) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(100) as pool:
        for code, _ in pool.map(get, (paths[i % len(paths)] for i in range(requests))):
            if row is not None:
                row.count(code == 200, f"status {code}")


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


# -- bombs and interrupts --------------------------------------------------------------------------------------------


def bombs(world: World) -> Iterator[Row]:
    """Small files that would be large: a clear error, within a gigabyte more than the process has."""
    import pyarrow
    import pyarrow.parquet

    row = Row("bombs: packed zeros, nested JSON, wide and long parquet, under a limit of memory")
    root = world.root

    def limited() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))

    np.savez_compressed(root / "zeros.npz", X=np.zeros((1 << 14, 1 << 13)))
    (root / "nested.jsonl").write_text('{"id": "a", "text": ' + "[" * 200_000 + "]" * 200_000 + "}\n")
    wide = pyarrow.table({f"f{i}": pyarrow.array([0.0]) for i in range(100_000)})
    pyarrow.parquet.write_table(wide, root / "wide.parquet")
    zeros = pyarrow.array(np.zeros(1 << 24))
    pyarrow.parquet.write_table(pyarrow.table({f"f{i}": zeros for i in range(16)}), root / "long.parquet")
    labels = ["--labels", root / "old.csv", "--out", root / "bomb"]
    for name, words in (
        ("zeros.npz", ["fit", "--features", root / "zeros.npz", *labels]),
        ("wide.parquet", ["fit", "--features", root / "wide.parquet", *labels]),
        ("long.parquet", ["fit", "--features", root / "long.parquet", *labels]),
        ("nested.jsonl", ["fit", "--text", root / "nested.jsonl", *labels]),
        (
            "nested labels",
            ["fit", "--features", root / "old.npz", "--labels", root / "nested.jsonl", "--out", root / "bomb"],
        ),
    ):
        code, said = command(words, limited)
        row.count(code == 2 and "Traceback" not in said, f"{name}: {code} {said[-300:]}")
    yield row


def interrupts(world: World, times: int) -> Iterator[Row]:
    """Ctrl-C at moments from the first import to the last write; and a reader that leaves."""
    row = Row("Ctrl-C at any moment: one line and exit code 130, and no mixture")
    out = world.root / "interrupted"
    # Python itself, and what it does before the first line of ours, is not ours to interrupt.
    begun = "import cosup.__main__ as m; print('begun', flush=True); m.run()"
    words = [sys.executable, "-c", begun, *map(str, world.fit("all", out))]
    started = time.perf_counter()
    subprocess.run(words, capture_output=True, check=True)
    whole = time.perf_counter() - started
    for step in range(times):
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.1 + whole * step / times)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        lines = [line for line in said.splitlines() if line.strip()]
        stopped = process.returncode == 130 and len(lines) == 1 and lines[0].startswith("Error: stopped")
        good = stopped or process.returncode == 0
        row.count(good and state_of_fit(out)[:5] != "mixed", f"{step}: {process.returncode} {said[-300:]}")
    yield row
    row = Row("`| head -1` and a full standard output: quiet, or one line")
    line = f"{sys.executable} -m cosup look {world.root / 'model'}"
    for shell, codes in ((f"{line} | head -1 > /dev/null", (0, 1)), (f"{line} > /dev/full", (2,))):
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
        lines = [text for text in done.stderr.splitlines() if text.strip()]
        row.count(done.returncode in codes and len(lines) <= 1, f"{shell}: {done.returncode} {done.stderr[-200:]}")
    yield row


def two_writers(world: World) -> Iterator[Row]:
    """Two sweeps into one folder: the second is told, or waits its turn; nothing is lost."""
    row = Row("two `bench` into one folder: the second is told who writes there")
    out = world.root / "both"
    words = [sys.executable, "-m", "cosup", *map(str, world.bench(out))]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not (out / ".lock").exists() and first.poll() is None:
        time.sleep(0.01)
    second, said = command(world.bench(out))
    _, problems = first.communicate()
    done = second == 2 and "is writing to" in said
    row.count(
        first.returncode == 0 and (done or second == 0), f"{first.returncode} {problems[-200:]}; {second} {said[-200:]}"
    )
    row.count(records_of(out).count("null") >= 4, "records")
    yield row


# -- all of it -------------------------------------------------------------------------------------------------------


def everything(root: Path, *, short: bool) -> Iterator[Row]:
    """All faults; the short form takes one in some."""
    world = World(root)
    yield from kills(world, 11 if short else 1)
    yield from tampering(world, 97 if short else 1)
    if not short:
        yield from full_disks(world, SIZES)
        yield from server(world, 1000, 50)
        yield from bombs(world)
        yield from two_writers(world)
        yield from interrupts(world, 12)


INTRODUCTION = """\
`make faults` kills commands at every write, fills disks, spoils every field of every file, and asks the server for
what it must not give. This page is what it printed last. *Held* means, of a fit: afterwards the folder holds the old or
the new state and never a mixture, the same command run again succeeds with the same result, and nothing is left of the
dead; of a store or a sweep that was cut: the same command again gives what one that was not cut gives; of a spoilt
file: the command goes on or ends in one line, and never in a traceback."""

PROMISES = """\
## What is promised byte for byte

The same `fit` on the same machine with the same versions writes the same bytes, but for `timings.json`, which holds
what a clock said. The same `embed` writes the same `features.npy`, `files.jsonl` and checksums, however often it was
stopped; `runs` in its manifest says when it went on with other versions. Records of `bench` are the same but for
`seconds`, `peak_memory_mb`, `fit_memory_mb` and the levels' `seconds`.

Further suites run in the tests: embedding, sweeps and fine-tuning that are killed at random moments
(`tests/embedding/test_feature_store.py`, `tests/benchmark/test_killed.py`, `tests/finetuning/test_stopped.py`), nodes
of a cluster that die (`tests/cluster`), and the [attempts of strangers](models-from-strangers.md)
(`tests/cli/test_strangers.py`).
"""


def page(rows: list[Row], seconds: float) -> str:
    """The table as a page."""
    import cosup

    out = io.StringIO()
    out.write("# Reliability: faults on purpose\n\n")
    out.write(f"{INTRODUCTION}\n\n")
    out.write("| fault | tried | held |\n| --- | ---: | ---: |\n")
    for row in rows:
        out.write(f"| {row.what} | {row.tried:,} | {row.held:,} |\n")
    tried, held = sum(row.tried for row in rows), sum(row.held for row in rows)
    out.write(f"| all | {tried:,} | {held:,} |\n\n")
    python, minutes = sys.version.split()[0], round(seconds / 60)
    out.write(f"cosup {cosup.__version__}, Python {python}, {minutes} minutes on {os.cpu_count()} cores.\n\n")
    out.write(PROMISES)
    return out.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="one fault in some, as in the tests")
    parser.add_argument("--only", help="one of: " + ", ".join(ONLY))
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md")
    given = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    started = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory(prefix="cosup-faults-") as folder:
        root = Path(folder).resolve()
        for row in ONLY[given.only](World(root)) if given.only else everything(root, short=given.short):
            rows.append(row)
            spent = time.perf_counter() - started
            print(
                f"{spent:5.0f} s  {row.held:5} of {row.tried:5}  {row.what}  {'; '.join(row.notes[:1])[:200]}",
                flush=True,
            )
    seconds = time.perf_counter() - started
    if given.write:
        DOCS.write_text(page(rows, seconds), encoding="utf-8")
    sys.exit(any(row.held < row.tried for row in rows))


ONLY: dict[str, Callable[[World], Iterator[Row]]] = {
    "kills": lambda world: kills(world, 1), "disks": lambda world: full_disks(world, SIZES),
    "tampering": lambda world: tampering(world, 1), "server": lambda world: server(world, 1000, 50),
    "bombs": bombs, "interrupts": lambda world: interrupts(world, 20), "writers": two_writers,
}  # fmt: skip


if __name__ == "__main__":
    main()
