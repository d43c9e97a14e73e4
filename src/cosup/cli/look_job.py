"""The job of ``cosup look``: the samples that a person should look at, on the screen and in a file to be filled in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from cosup.cli.explorer_job import own_samples
from cosup.cli.fit_outputs import pictures_of, texts_of
from cosup.provenance import ACCOUNT, Account, label_studio_config, label_studio_tasks, read_account
from cosup.report.explorer.query import draw_order
from cosup.utils.atomic_files import replace_files, write_whole
from cosup.utils.folder_lock import only_writer
from cosup.utils.tables import align
from cosup.utils.validation import CosupError, IntArray

__all__ = ["run_look"]

FIRST = 50


def run_look(
    folder: Path, first: int | None, uniform: int | None, seed: int, images: Path | None, texts: Path | None,
    out: Path | None,
) -> None:  # fmt: skip
    """List the first samples in the order in which to look, or some drawn uniformly; write them to `out`."""
    account, _ = read_account(folder)
    if first is not None and uniform is not None:
        raise CosupError("--first and --uniform are two lists; write each to a file of its own")
    if uniform is None and (account.rank < 0).any():
        raise CosupError(f"{folder / ACCOUNT} was written without the order in which to look; fit the model again")
    if out is not None and out.suffix.lower() not in (".csv", ".json"):
        raise CosupError(f"{out} has the unknown extension {out.suffix!r}; use .csv, or .json for Label Studio")
    order = np.argsort(account.rank, kind="stable") if uniform is None else draw_order(len(account), seed)
    places = order[: uniform or first or FIRST]
    header = ("id", "answer", "confidence", "second", "doubt", "dispute", "influence")
    rows = [header, *(_row(account, int(i)) for i in places)]
    for line in align(rows):
        click.echo(line)
    if out is None:
        return
    images, texts = own_samples(folder, images, texts)
    shown, read = pictures_of(images, account.ids), texts_of(texts, account.ids)
    chosen = "look" if uniform is None else "uniform"
    option = "--answers" if uniform is None else "--uniform"
    if out.suffix.lower() == ".json":
        settings = out.with_suffix(".xml")
        with only_writer(out.absolute().parent):
            replace_files(
                out.parent,
                {
                    out.name: label_studio_tasks(account, places.tolist(), chosen=chosen, texts=read, images=shown),
                    settings.name: label_studio_config(account.class_names, images=shown is not None),
                },
            )
        click.echo(
            f"{len(places)} tasks for Label Studio are in {out.resolve()}, its labelling interface in {settings.name}; "
            f"export as JSON, then: cosup check {folder} {option} EXPORT.json"
        )
        return
    write_whole(out, _csv(account, places, chosen, read if shown is None else [str(path) for path in shown]))
    click.echo(f"{len(places)} samples to fill in are in {out.resolve()}; then: cosup check {folder} {option} {out}")


def _csv(account: Account, places: IntArray, chosen: str, samples: Sequence[str] | None) -> str:
    """A row a sample: what to fill in and the classes beside it, the sample, what model and teachers say."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    what = [] if samples is None else ["sample"]
    writer.writerow(
        [
            "id",
            "person",
            "classes",
            "chosen",
            *what,
            "model",
            "confidence",
            *(f"says: {name}" for name in account.teachers),
        ]
    )
    names = account.class_names
    for row, i in enumerate(places.tolist()):
        # The classes go down the column, as a list beside the one to be filled in; what has no row stands in the last.
        classes = names[row : row + 1] if row < len(places) - 1 else names[row:]
        annotated = ["" if c < 0 else names[c] for c in (account.answer[i], *account.annotated[i])]
        sample = [] if samples is None else [samples[i]]
        writer.writerow(
            [
                account.ids[i],
                "",
                " | ".join(classes),
                chosen,
                *sample,
                annotated[0],
                f"{account.confidence[i]:.2f}",
                *annotated[1:],
            ]
        )
    return buffer.getvalue()


def _row(account: Account, i: int) -> tuple[str, ...]:
    numbers = (account.confidence, account.doubt, account.dispute, account.influence)
    confidence, *rest = (f"{values[i]:.2f}" for values in numbers)
    second = account.class_names[account.second[i]] if account.second[i] >= 0 else ""
    return (account.ids[i], account.class_names[account.answer[i]], confidence, second, *rest)
