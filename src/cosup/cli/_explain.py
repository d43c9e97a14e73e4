"""Commands that look at a fit: what happened to a sample, where to look first, the explorer in a file or served."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import click
import numpy as np

from cosup._extras import import_extra
from cosup._validation import CosupError, IntArray
from cosup.benchmark import write_whole
from cosup.cli._shell import FILE
from cosup.cosupervision.estimates import Estimates as Known
from cosup.datasets import list_image_files
from cosup.features import read_texts
from cosup.provenance import ACCOUNT, PARQUET, TABLE_CSV, Account, account_files, look_first, read_account, tell
from cosup.report import REPORT_NAME
from cosup.report.explorer import LARGEST, LOOPBACK, Estimates, build_explorer, make_app

__all__ = ["explain", "explore", "leave_account", "look", "read_estimates", "serve"]

HISTORY, ESTIMATES = "history.json", "estimates.json"
PORT = 8420
FIRST = 50

DIR = click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
IMAGES = click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path),
                      help="Folder of the samples' images; ids are their paths or names.")  # fmt: skip
TEXTS = click.option("--text", "texts", type=FILE, help="csv, parquet, jsonl or txt with the samples' texts by id.")


def leave_account(
    folder: Path,
    model: Any,
    labels: Any,
    X: Any,
    *,
    class_names: Sequence[str],
    ids: Sequence[str] | None,
    facts: Mapping[str, str],
    images: Path | None = None,
    texts: Path | None = None,
    known: IntArray | None = None,
) -> None:
    """Write what ``cosup fit`` leaves beside a model: provenance and the explorer.

    Parameters
    ----------
    folder : Path
    model : estimator of cosup
        As it was fitted.
    labels : TeacherLabels
    X : ndarray of shape (n_samples, n_features)
    class_names : sequence of str
    ids : sequence of str, optional
    facts : mapping of str to str
    images, texts : Path, optional
        As of ``cosup explore``.
    known : ndarray of shape (n_samples,), int, optional
        Class ids that a person gave, -1 elsewhere: nobody need look at these again.
    """
    estimates = _known_accuracies(model)
    order, parts = look_first(X, labels, model)
    if known is not None:
        order = order[np.argsort(known[order] >= 0, kind="stable")]
    account = Account.of(model, labels, X, class_names=class_names, ids=ids, looking=(order, parts))
    files = account_files(account, facts)
    for name, content in files.items():
        write_whole(folder / name, content)
    for stale in {PARQUET, TABLE_CSV} - set(files):  # of an earlier fit, by an installation with or without pyarrow
        (folder / stale).unlink(missing_ok=True)
    if estimates is None:
        (folder / ESTIMATES).unlink(missing_ok=True)
    else:
        write_whole(folder / ESTIMATES, json.dumps(estimates.to_json(), indent=1, allow_nan=False) + "\n")
    page = build_explorer(
        account, model.history_, facts=facts, estimates=estimates, images=_pictures(images, account.ids),
        texts=_texts(texts, account.ids),
    )  # fmt: skip
    write_whole(folder / REPORT_NAME, page)


def _known_accuracies(model: Any) -> Estimates | None:
    """What the model knows about accuracies, where its method does, for the explorer."""
    known = model.estimates_
    if known is None:
        return None
    overall = np.vstack([known.teachers, known.student])
    by_class = np.concatenate([known.by_class, np.full((1, *known.by_class.shape[1:]), np.nan)])
    return Estimates(overall, by_class, "Estimated without a label, 90 % intervals: docs/method.md says how.")


@click.command()
@DIR
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
def explain(folder: Path, ids: tuple[str, ...]) -> None:
    """Say what happened to samples of a fit, in plain words.

    \b
    Example: cosup explain model photo-017
    """  # noqa: D301
    account, _ = read_account(folder)
    click.echo("\n\n".join(tell(account, account.place(name)) for name in ids))


@click.command()
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
@DIR
@IMAGES
@TEXTS
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: DIR/report.html]")
def explore(folder: Path, images: Path | None, texts: Path | None, out: Path | None) -> None:
    """Make the explorer of a fit anew, with the samples' images or texts.

    \b
    Example: cosup explore model --images photos
    """  # noqa: D301
    account, facts = read_account(folder)
    out = folder / REPORT_NAME if out is None else out
    page = build_explorer(
        account, _history(folder), facts=facts, estimates=_estimates(folder), images=_pictures(images, account.ids),
        texts=_texts(texts, account.ids),
    )  # fmt: skip
    write_whole(out, page)
    click.echo(f"The explorer is in {out.resolve()}")
    if len(account) > LARGEST:
        click.echo(f"It holds the {LARGEST:,} samples most worth a look; all {len(account):,}: cosup serve {folder}")


@click.command()
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
    uvicorn: Any = import_extra("uvicorn", extra="serve", purpose="serving the explorer")
    account, facts = read_account(folder)
    local = host in LOOPBACK
    app = make_app(
        account, _history(folder), facts=facts, estimates=_estimates(folder),
        images=_pictures(images, account.ids), texts=_texts(texts, account.ids), hosts=LOOPBACK if local else ["*"],
    )  # fmt: skip
    if not local:
        click.echo(f"Note: whoever reaches {host}:{port} can read all samples; there is no password", err=True)
    click.echo(f"http://{host}:{port}/ shows {len(account):,} samples; stop it with Ctrl+C")
    uvicorn.run(app, host=host, port=port, log_level="warning")


def _history(folder: Path) -> list[dict[str, Any]]:
    return _json(folder / HISTORY) or []


def read_estimates(folder: Path) -> Known | None:
    """What ``cosup fit`` estimated without a label, where its method does."""
    content = _estimates(folder)
    if content is None or content.by_class is None:
        return None
    return Known(content.overall[-1], content.overall[:-1], content.by_class[:-1])


def _estimates(folder: Path) -> Estimates | None:
    content = _json(folder / ESTIMATES)
    return None if content is None else Estimates.from_json(content)


def _json(path: Path) -> Any:
    """What the file holds; None if it isn't there."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise CosupError(f"{path} is not JSON ({error}); fit the model again") from error


def _pictures(folder: Path | None, ids: Sequence[str]) -> list[Path] | None:
    """The samples' files: ids are paths in the folder, or names with or without extension that are there once."""
    if folder is None:
        return None
    listed = list_image_files(folder)
    forms = ({}, {}, {})  # type: tuple[dict[str, str], dict[str, str], dict[str, str]]
    for path in listed:
        for form, name in zip(forms, (path, PurePosixPath(path).name, PurePosixPath(path).stem), strict=True):
            form[name] = "" if name in form else path
    found = [next((form[name] for form in forms if form.get(name)), None) for name in ids]
    missing = [name for name, path in zip(ids, found, strict=True) if path is None]
    if missing:
        raise CosupError(
            f"{folder} has no image, or several, for {len(missing)} of {len(ids)} samples ({missing[0]!r} is the "
            "first); ids must be paths in the folder or names of files"
        )
    return [folder / path for path in found if path is not None]


def _texts(path: Path | None, ids: Sequence[str]) -> list[str] | None:
    if path is None:
        return None
    texts = read_texts(path)
    missing = [name for name in ids if name not in texts]
    if missing:
        raise CosupError(f"{path} lacks the text of {len(missing)} of {len(ids)} samples, {missing[0]!r} is the first")
    return [texts[name] for name in ids]
