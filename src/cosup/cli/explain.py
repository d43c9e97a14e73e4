"""Commands that show a fit: what happened to a sample, where to look, the explorer in a file, and served to label."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from cosup.cli.options import FILE, PLUGIN

__all__ = ["explain", "explore", "look", "serve"]

PORT = 8420

DIR = click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
IMAGES = click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
                      help="Folder of the samples' images, by path or name.  [default: the fit's]")  # fmt: skip
TEXTS = click.option("--text", "texts", type=FILE,
                     help="csv, parquet, jsonl or txt with the texts by id.  [default: the fit's]")  # fmt: skip


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
@IMAGES
@TEXTS
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              help="csv with these samples and an empty column 'person' to be filled in; json: tasks for Label "
                   "Studio.")  # fmt: skip
def look(
    folder: Path, first: int | None, uniform: int | None, seed: int, images: Path | None, texts: Path | None,
    out: Path | None,
) -> None:  # fmt: skip
    """List the samples where a person's look is worth most.

    Or, with --uniform, a uniform draw that measures how good the fit is.

    Fill in the column 'person' of the files that --out writes, and give them to cosup check. What was chosen by doubt
    is harder than the rest and measures nothing but itself; what was drawn uniformly measures all. In a browser, with
    keys: cosup serve DIR --label.

    \b
    Example: cosup look model --first 200 --out look.csv
             cosup look model --uniform 100 --out check.csv
             cosup look model --out tasks.json
    """  # noqa: D301
    from cosup.cli.look_job import run_look

    run_look(folder, first, uniform, seed, images, texts, out)


@click.command()
@PLUGIN
@DIR
@IMAGES
@TEXTS
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: DIR/report.html]")
@click.option("--compare", metavar="OTHER", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Another fit on these samples: show what changed from that one to DIR.")  # fmt: skip
def explore(folder: Path, images: Path | None, texts: Path | None, out: Path | None, compare: Path | None) -> None:
    """Make the explorer of a fit anew, or beside another fit.

    \b
    Example: cosup explore model --images photos
             cosup explore --compare model model2
    """  # noqa: D301
    from cosup.cli.explorer_job import run_explore

    run_explore(folder, images, texts, out, compare)


@click.command()
@PLUGIN
@DIR
@IMAGES
@TEXTS
@click.option("--label", is_flag=True, help="Take a person's answers, and write each to DIR/answers.csv at once.")
@click.option("--who", help="With --label: whose answers these are.  [default: the account's name]")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at: this machine only.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True)
@click.option("--host-name", "host_names", multiple=True, metavar="NAME",
              help="A name that browsers of other machines call this one by, as in --host 0.0.0.0 --host-name "
                   "lab.example.org; may be repeated.")  # fmt: skip
def serve(folder: Path, **options: Any) -> None:
    """Serve the explorer of a fit; with --label, to label samples.

    It serves a fit of any size to a browser on this machine.

    To other machines it answers under the names of --host-name only, at an address that nobody guesses: it is printed.

    \b
    Example: cosup serve model --images photos
             cosup serve model --label
    """  # noqa: D301
    from cosup.cli.explorer_job import ServeOptions, run_serve

    run_serve(folder, ServeOptions(**options))
