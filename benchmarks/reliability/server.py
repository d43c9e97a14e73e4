"""The explorer's server: many at once, slow ones, wrong names, ways out of the folder."""

from __future__ import annotations

import http.client
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image
from reliability.rows import Row
from reliability.world import World

REQUESTS, SLOW = 1000, 50


def served(world: World, work: Path) -> Iterator[Row]:
    """Many at once, slow ones, wrong names, ways out of the folder; memory before and after."""
    import uvicorn

    from cosup.provenance import read_account
    from cosup.report.explorer import make_app

    account, _ = read_account(world.root / "model")
    pictures = work / "pictures"
    pictures.mkdir()
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
        row = Row(f"server: {REQUESTS:,} requests, 100 at once, beside {SLOW} sockets that say nothing")
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(SLOW)]
        for one in idle:
            one.send(b"GET / HTTP/1.1\r\nHost: 127")
        paths = ["/", "/api/samples?limit=50", "/api/samples?sort=confidence&offset=10&limit=500", "/image/3"]
        flood(get, paths, 100, row=None)
        before = memory()
        flood(get, paths, REQUESTS, row)
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
    with ThreadPoolExecutor(100) as pool:
        for code, _ in pool.map(get, (paths[i % len(paths)] for i in range(requests))):
            if row is not None:
                row.count(code == 200, f"status {code}")


def memory() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
