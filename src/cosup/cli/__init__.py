"""The command ``cosup``: a thin cover over the package; see ``cosup --help``.

A command's module is imported when the command is asked for, and what it computes with when it runs: help, versions,
completion and most errors need neither numpy nor torch nor scikit-learn.
"""

from __future__ import annotations

import click

import cosup
from cosup.cli.shell import Commands

__all__ = ["main"]

COMMANDS = {
    "demo": "bench:demo", "fit": "fit:fit", "predict": "predict:predict", "export": "predict:export",
    "finetune": "finetune:finetune", "embed": "embed:embed", "teach": "embed:teach_command", "bench": "bench:bench",
    "report": "bench:report", "methods": "lists:methods", "tasks": "lists:tasks", "backbones": "lists:backbones",
    "explain": "explain:explain", "look": "explain:look", "check": "check:check", "explore": "explain:explore",
    "serve": "explain:serve", "plan": "plan:plan_command",
}  # fmt: skip
"""Commands by name: the module of this package that declares one, and its name there."""


@click.group(cls=Commands, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cosup.__version__, prog_name="cosup")
def main() -> None:
    """Train a strong student under a hierarchy of weak teachers, without true labels.

    \b
    See it work:        cosup demo
    On your own data:   cosup fit --features X.npy --labels labels.csv --out model
                        cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301
