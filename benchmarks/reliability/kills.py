"""Commands that are killed at every write, and run again."""

from __future__ import annotations

from pathlib import Path

from reliability.commands import KILLED, command, killed_at
from reliability.rows import Row, Share
from reliability.world import Plan


def killed(plan: Plan, share: Share, work: Path) -> Row:
    """Cut a command at every write point, or some of them, and run it again."""
    row = Row(f"`{plan.what}` killed at a write, then run again")
    place, counter = work / "cut", work / "calls"
    out = plan.fresh(place)
    old = plan.state(out)
    code, said = command(plan.words(out), killed_at(0, counter))
    if code:
        raise RuntimeError(said)
    new, points = plan.state(out), counter.stat().st_size
    for at in share.taken(range(1, points + 1)):
        plan.fresh(place)
        code, said = command(plan.words(out), killed_at(at))
        left = plan.state(out)
        again, then = command(plan.words(out))
        end = plan.state(out)
        good = code == KILLED and plan.whole(left, old, new) and again == 0 and end == new
        # Of a dead one; but a lock, which locks nobody out.
        hidden = [path.name for path in place.rglob(".*") if path.name != ".lock"]
        row.count(good and not hidden, f"at write {at}: {code} {left}, again {again} {end} {then[-200:]} {hidden}")
    return row
