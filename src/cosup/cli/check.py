"""``cosup check``: what labels that came back say of a fit, and a better one made with them."""

from __future__ import annotations

from pathlib import Path

import click

from cosup.cli.options import AGAIN, FILE, FOLDER, PLUGIN, TRUST
from cosup.utils.errors import CosupError

__all__ = ["check"]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--answers", "files", type=FILE, multiple=True,
              help="csv or parquet with columns id and person, as label mode and cosup look --out write it, or json of "
                   "Label Studio; may be repeated.")  # fmt: skip
@click.option("--uniform", type=FILE,
              help="The same, of samples drawn uniformly: cosup look --uniform N --out FILE. They measure, and are "
                   "never trained on.")  # fmt: skip
@click.option("--out", type=FOLDER,
              help="Folder for a new model: trained with --answers, probabilities calibrated by --uniform.  [default: "
                   "only check]")  # fmt: skip
@AGAIN
@PLUGIN
@TRUST
def check(
    folder: Path, files: tuple[Path, ...], uniform: Path | None, out: Path | None, again: tuple[str, ...],
    trust: tuple[str, ...],
) -> None:  # fmt: skip
    """Check a fit by a person's labels, and train with them.

    Says how accurate the student and every teacher are by the labels, with 90 % intervals, and whether that contradicts
    what was estimated without them. With --out, a new student is taught the model's answers with those of --answers in
    their places, and its probabilities are calibrated by --uniform; the model in DIR stays as it is. A network that was
    fine-tuned stays as it was trained: the new student is a head on its features.

    A file whose column 'chosen' says how samples were chosen, as that of label mode, may be given to both options.

    \b
    Example: cosup check model --answers look.csv --uniform check.csv --out model2
    """  # noqa: D301
    if not files and uniform is None:
        raise CosupError("no labels are named; give --answers FILE, --uniform FILE, or both")
    from cosup.cli.check_job import run_check

    run_check(folder, files, uniform, out, again, trust)
