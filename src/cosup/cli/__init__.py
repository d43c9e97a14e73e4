"""The command ``cosup``: a thin cover over the package; see ``cosup --help``."""

from __future__ import annotations

import click

import cosup
from cosup.cli import _bench, _check, _embed, _explain, _finetune, _lists, _own, _plan
from cosup.cli._shell import Commands

__all__ = ["main"]


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(cosup.__version__, prog_name="cosup")
def main() -> None:
    """Train a strong student under a hierarchy of weak teachers, without true labels.

    \b
    See it work:        cosup demo
    On your own data:   cosup fit --features X.npy --labels labels.csv --out model
                        cosup predict --model model --features new.npy --out predictions.csv
    """  # noqa: D301


for command in (
    _bench.demo, _own.fit, _own.predict, _own.export, _finetune.finetune, _embed.embed, _embed.teach_command,
    _bench.bench, _bench.report, _lists.methods, _lists.tasks, _lists.backbones,
    _explain.explain, _explain.look, _check.check, _explain.explore, _explain.serve, _plan.plan_command,
):  # fmt: skip
    main.add_command(command)
