"""The README's own-data path is two commands and at most ten lines of Python; tests/test_docs.py runs them."""

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_promise_of_two_commands_or_ten_lines():
    ((commands,), (code,)) = (
        re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL) for language in ("bash", "python")
    )
    assert len(commands.strip().splitlines()) == 2
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    for option in ("--images photos", "--labels labels.csv"):
        assert option in commands
