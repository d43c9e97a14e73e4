"""The command ``cosup``: a thin cover over the package; see ``cosup --help``."""

from __future__ import annotations

import click

import cosup
from cosup.cli import bench, check, embed, explain, finetune, fit, lists, plan, predict
from cosup.cli.shell import Commands

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
    bench.demo, fit.fit, predict.predict, predict.export, finetune.finetune, embed.embed, embed.teach_command,
    bench.bench, bench.report, lists.methods, lists.tasks, lists.backbones,
    explain.explain, explain.look, check.check, explain.explore, explain.serve, plan.plan_command,
):  # fmt: skip
    main.add_command(command)
