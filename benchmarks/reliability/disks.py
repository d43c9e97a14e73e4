"""Commands on a file system that is too small, by a few kilobytes more each time."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reliability.commands import command
from reliability.rows import Row, Share
from reliability.world import Plan

SIZES = 20
ROOM = 64 << 10
"""Kilobytes of a disk that is large enough."""


def full(plan: Plan, share: Share, work: Path) -> Row:
    """A command on disks of `SIZES` sizes, from one that holds what is there to one on which it succeeds."""
    row = Row(f"`{plan.what}` on a full disk, then again with room")
    disk = work / "disk"
    disk.mkdir()
    if not _mounted(disk):
        row.notes.append("not tried: no root, or no tmpfs")
        return row
    try:
        out = plan.fresh(disk / "out")
        old, least = plan.state(out), _used(disk) + 8
        code, said = command(plan.words(out))
        if code:
            raise RuntimeError(said)
        # New files lie beside the old ones, before they take their places.
        new, most = plan.state(out), least + _used(disk) + 8
        for size in share.taken([least + (most - least) * step // (SIZES - 1) for step in range(SIZES)]):
            shutil.rmtree(disk / "out")
            with _small(disk, plan, size):
                code, said = command(plan.words(out))
                left = plan.state(out)
            named = code == 0 or (code == 2 and str(disk) in said and "Traceback" not in said)
            again, then = command(plan.words(out))
            good = named and plan.whole(left, old, new) and (left == new) == (code == 0) and again == 0
            hidden = [path.name for path in (disk / "out").rglob(".*") if path.name != ".lock"]
            row.count(
                good and plan.state(out) == new and not hidden,
                f"{size} kB: {code} {left} {said[-200:]}; again {again} {then[-99:]} {hidden}",
            )
    finally:
        subprocess.run(["umount", str(disk)], check=False)
    return row


def _mounted(disk: Path) -> bool:
    words = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", str(disk)]
    return os.geteuid() == 0 and not subprocess.run(words, capture_output=True, check=False).returncode


def _used(disk: Path) -> int:
    """Kilobytes that are taken."""
    now = os.statvfs(disk)
    return (now.f_blocks - now.f_bfree) * now.f_frsize >> 10


@contextmanager
def _small(disk: Path, plan: Plan, size: int) -> Iterator[None]:
    """A disk of so many kilobytes, with the state from which the command starts."""
    plan.fresh(disk / "out")
    subprocess.run(["mount", "-o", f"remount,size={max(size, _used(disk))}k", str(disk)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", f"remount,size={ROOM}k", str(disk)], check=True)
