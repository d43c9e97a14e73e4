"""The command ``cosup``: a thin cover over the package; see ``cosup --help``.

A command's module is imported when the command is asked for, and what it computes with when it runs: help, versions,
completion and most errors need neither numpy nor torch nor scikit-learn.
"""

from __future__ import annotations

import click

import cosup
from cosup.cli.shell import Commands

__all__ = ["main"]

GROUPS = {
    "Your data": {
        "fit": "fit:fit", "predict": "predict:predict", "explain": "explain:explain", "explore": "explain:explore",
        "serve": "explain:serve", "look": "explain:look", "check": "check:check", "export": "predict:export",
    },
    "Research": {
        "demo": "bench:demo", "bench": "bench:bench", "report": "bench:report", "methods": "lists:methods",
        "tasks": "lists:tasks", "backbones": "lists:backbones", "teach": "embed:teach_command",
    },
    "Scale": {"embed": "embed:embed", "finetune": "finetune:finetune", "plan": "plan:plan_command"},
}  # fmt: skip
"""Commands by what they are for, then by name: the module of this package that declares one, and its name there."""


@click.group(cls=Commands, groups=GROUPS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cosup.__version__, prog_name="cosup")
def main() -> None:
    """Train a strong student under a hierarchy of weak teachers, without true labels.

    \b
    See it work:        cosup demo
    On your own data:   cosup fit --features X.npy --labels labels.csv --out model
                        cosup predict --model model --features new.npy --out predictions.csv
                        cosup serve model --label
    Complete words:     eval "$(_COSUP_COMPLETE=bash_source cosup)"  (zsh_source, fish_source)
    """  # noqa: D301
