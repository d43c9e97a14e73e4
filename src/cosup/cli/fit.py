"""Command ``cosup fit``: a student on a user's own features and weak labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cosup.cli.complete import CompleteCommand, needs_of_fit
from cosup.cli.options import (
    AGAIN,
    COLUMNS,
    FEATURES,
    FOLDER,
    RAY,
    SETTINGS,
    SOMEWHERE,
    TRUST,
    covers,
    levels,
    pairs,
    plugin_option,
    words,
)

__all__ = ["fit"]


@click.command(cls=CompleteCommand, needs=needs_of_fit)
@FEATURES
@click.option("--labels", "files", type=SOMEWHERE, multiple=True,
              help="csv, parquet, jsonl, npz or npy of teachers' labels, or a folder of shards that go with those of "
                   "--features; path or URL; may be repeated.")  # fmt: skip
@COLUMNS
@click.option("--top-k", type=click.IntRange(1), metavar="K",
              help="Of soft labels, keep the K most probable classes.  [default: all]")  # fmt: skip
@click.option("--probabilities", multiple=True, callback=pairs, metavar="TEACHER=FILE",
              help="A teacher's probabilities, one column a class; may be repeated.")  # fmt: skip
@click.option("--out", type=FOLDER,
              help="Folder for the model, provenance, history.json, report.html, features.")  # fmt: skip
@click.option("--classes", callback=words, metavar="CLASS,CLASS",
              help="All classes; another name is an error then.  [default: all that occur]")  # fmt: skip
@click.option("--abstain", callback=words, metavar="TEXT,TEXT", help="Texts that are no class, as blank is none.")
@click.option("--partial", is_flag=True, help="Go on where features or labels lack some of the other's samples.")
@click.option("--levels", "level", callback=levels, metavar="0,1,1",
              help="Level of each teacher, or TEACHER=1,...  [default: the file's, or all 0]")  # fmt: skip
@click.option("--specialty", "specialties", multiple=True, callback=covers, metavar="TEACHER=CLASS,CLASS",
              help="Classes that a teacher is good at; may be repeated.")  # fmt: skip
@click.option("--method", help="See cosup methods.  [default: co-supervised, or that of --update]")
@SETTINGS
@click.option("--seed", type=click.IntRange(0), help="Decides all that is random.  [default: 0, or that of --update]")
@click.option("--update", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Folder of an earlier fit: what it was made of, and what is named here besides.")  # fmt: skip
@AGAIN
@plugin_option(passed_on=True)
@TRUST
@RAY
def fit(ray: str | None, **options: Any) -> None:
    """Train a student on your own features and weak labels.

    A labels file in CSV has one column a teacher, class names inside, blank where the teacher abstains, and a column
    'id' (path, file) that joins it with the features; or columns task, worker and label. In JSON lines it has
    {"id": ..., "label": ...}. Exports of Label Studio, doccano, Prodigy, Argilla, MTurk, Toloka, SageMaker, Roboflow,
    COCO and CVAT are recognised. Several files are put side by side. A name with commas stands in double quotes.

    With more samples or teachers, name what is new, and the earlier fit by --update: teachers of the same name go on,
    features that were computed are read, and the result is that of a fit on everything.

    \b
    Example: cosup fit --images photos --labels labels.csv --out model
             cosup fit --text tickets.csv --labels rules.parquet --labels llm.jsonl --partial --out model
             cosup fit --features X.npy --labels labels.csv --levels 0,1,1 --out model
             cosup fit --update model --images later --labels later.csv --out model2
    """  # noqa: D301
    from cosup.cli.fit_job import run_fit
    from cosup.cli.fit_options import FitOptions

    chosen = FitOptions(**options)
    if ray is None:
        run_fit(chosen)
        return
    from cosup.cli.remote_fit import fit_on_cluster

    fit_on_cluster(ray, chosen)
