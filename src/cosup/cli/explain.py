"""Commands that look at a fit: what happened to a sample, where to look first, the explorer in a file or served."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cosup.cli.options import FILE, PLUGIN
from cosup.utils.atomic_files import write_whole
from cosup.utils.errors import CosupError
from cosup.utils.optional_imports import import_extra

if TYPE_CHECKING:
    from cosup.provenance import Account

__all__ = ["explain", "explore", "look", "serve"]

PORT = 8420
FIRST = 50

DIR = click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
IMAGES = click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
                      help="Folder of the samples' images; ids are their paths or names.")  # fmt: skip
TEXTS = click.option("--text", "texts", type=FILE, help="csv, parquet, jsonl or txt with the samples' texts by id.")


@click.command()
@PLUGIN
@DIR
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def explain(folder: Path, ids: tuple[str, ...]) -> None:
    """Say what happened to samples of a fit, in plain words.

    \b
    Example: cosup explain model photo-017
    """  # noqa: D301
    from cosup.provenance import read_account, tell

    account, _ = read_account(folder)
    click.echo("\n\n".join(tell(account, account.place(name)) for name in ids))


@click.command()
@PLUGIN
@DIR
@click.option("--first", type=click.IntRange(1), help="How many samples.  [default: 50]")
@click.option("--uniform", type=click.IntRange(1), help="In place of the first: so many, drawn uniformly from all.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides which --uniform draws.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="csv with these samples and an empty column 'person' to be filled in.")  # fmt: skip
def look(folder: Path, first: int | None, uniform: int | None, seed: int, out: Path | None) -> None:
    """List the samples of a fit where a person's look is worth most, or a uniform draw that measures how good it is.

    Fill in the column 'person' of the files that --out writes, and give them to cosup check. What was chosen by doubt
    is harder than the rest and measures nothing but itself; what was drawn uniformly measures all.

    \b
    Example: cosup look model --first 200 --out look.csv
             cosup look model --uniform 100 --out check.csv
    """  # noqa: D301
    import numpy as np

    from cosup.provenance import ACCOUNT, read_account

    account, _ = read_account(folder)
    if first is not None and uniform is not None:
        raise CosupError("--first and --uniform are two lists; write each to a file of its own")
    if uniform is None and (account.rank < 0).any():
        raise CosupError(f"{folder / ACCOUNT} was written without the order in which to look; fit the model again")
    # In the order of the draw: whoever stops early has still seen a uniform one.
    order = (
        np.argsort(account.rank, kind="stable")
        if uniform is None
        else np.random.default_rng(seed).permutation(len(account))
    )
    header = ("id", "answer", "confidence", "second", "doubt", "dispute", "influence")
    rows = [_look_row(account, int(i)) for i in order[: uniform or first or FIRST]]
    if out is not None:
        if out.suffix.lower() != ".csv":
            raise CosupError(f"{out} has the unknown extension {out.suffix!r}; use .csv")
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(("id", "person"))
        writer.writerows((row[0], "") for row in rows)
        write_whole(out, buffer.getvalue())
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]
    for line in [header, *rows]:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if out is not None:
        option = "--answers" if uniform is None else "--uniform"
        click.echo(f"{len(rows)} samples to fill in are in {out.resolve()}; then: cosup check {folder} {option} {out}")


def _look_row(account: Account, i: int) -> tuple[str, ...]:
    numbers = (account.confidence, account.doubt, account.dispute, account.influence)
    confidence, *rest = (f"{values[i]:.2f}" for values in numbers)
    second = account.class_names[account.second[i]] if account.second[i] >= 0 else ""
    return (account.ids[i], account.class_names[account.answer[i]], confidence, second, *rest)


@click.command()
@PLUGIN
@DIR
@IMAGES
@TEXTS
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: DIR/report.html]")
def explore(folder: Path, images: Path | None, texts: Path | None, out: Path | None) -> None:
    """Make the explorer of a fit anew, with the samples' images or texts.

    \b
    Example: cosup explore model --images photos
    """  # noqa: D301
    from cosup.cli.fit_outputs import pictures_of, read_estimates, read_history, texts_of
    from cosup.provenance import read_account
    from cosup.report import REPORT_NAME
    from cosup.report.explorer import LARGEST, build_explorer

    account, facts = read_account(folder)
    out = folder / REPORT_NAME if out is None else out
    page = build_explorer(
        account, read_history(folder), facts=facts, estimates=read_estimates(folder),
        images=pictures_of(images, account.ids), texts=texts_of(texts, account.ids),
    )  # fmt: skip
    write_whole(out, page)
    click.echo(f"The explorer is in {out.resolve()}")
    if len(account) > LARGEST:
        click.echo(f"It holds the {LARGEST:,} samples most worth a look; all {len(account):,}: cosup serve {folder}")


@click.command()
@PLUGIN
@DIR
@IMAGES
@TEXTS
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at: this machine only.")
@click.option("--port", type=click.IntRange(1, 65535), default=PORT, show_default=True)
def serve(folder: Path, images: Path | None, texts: Path | None, host: str, port: int) -> None:
    """Serve the explorer of a fit of any size to a browser on this machine.

    \b
    Example: cosup serve model --images photos
    """  # noqa: D301
    from cosup.cli.fit_outputs import pictures_of, read_estimates, read_history, texts_of
    from cosup.provenance import read_account
    from cosup.report.explorer import LOOPBACK, make_app

    uvicorn: Any = import_extra("uvicorn", extra="serve", purpose="serving the explorer")
    account, facts = read_account(folder)
    local = host in LOOPBACK
    app = make_app(
        account, read_history(folder), facts=facts, estimates=read_estimates(folder),
        images=pictures_of(images, account.ids), texts=texts_of(texts, account.ids), hosts=LOOPBACK if local else ["*"],
    )  # fmt: skip
    if not local:
        click.echo(f"Note: whoever reaches {host}:{port} can read all samples; there is no password", err=True)
    click.echo(f"http://{host}:{port}/ shows {len(account):,} samples; stop it with Ctrl+C")
    uvicorn.run(app, host=host, port=port, log_level="warning")
