"""Know the memory of this machine, and say beforehand when it is not enough."""

from __future__ import annotations

from pathlib import Path

from cosup.utils.errors import CosupError

__all__ = ["available_memory", "check_memory"]

CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"), Path("/sys/fs/cgroup/memory/memory.usage_in_bytes")),
)
"""Files in which Linux keeps a container's limit and use of memory (version 2, version 1)."""

MEMINFO = Path("/proc/meminfo")


def available_memory() -> int | None:
    """Count the bytes that a process may still take, of machine or container; None where the system does not say."""
    found = []
    if MEMINFO.is_file():
        for line in MEMINFO.read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "MemAvailable":
                found.append(1024 * int(value.split()[0]))
    for limit, usage in CGROUPS:
        if limit.is_file() and usage.is_file():
            most = limit.read_text(encoding="ascii").strip()
            if most.isdecimal():
                found.append(max(int(most) - int(usage.read_text(encoding="ascii")), 0))
    return min(found, default=None)


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Raise `CosupError` where `needed` bytes are not available; nothing is checked where the system does not say."""
    there = available_memory()
    if there is not None and needed > there:
        raise CosupError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, but {there / 1e9:.1f} GB are available; {remedy}"
        )
