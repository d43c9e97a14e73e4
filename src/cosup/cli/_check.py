"""``cosup check``: what labels that came back say of a fit, and a better one made with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import sklearn
import torch

import cosup
from cosup._validation import CosupError, IntArray
from cosup.benchmark import write_whole
from cosup.cli import _model
from cosup.cli._explain import leave_account, read_estimates
from cosup.cli._recipe import RECIPE, Recipe, read_recipe
from cosup.cli._shell import FILE, FOLDER
from cosup.methods import load
from cosup.provenance import Account, after_looking, check_estimates, read_account, read_answers, with_person
from cosup.report import REPORT_NAME

__all__ = ["check"]


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--answers", "files", type=FILE, multiple=True,
              help="csv or parquet with columns id and person, of samples chosen in whatever way, as cosup look --out "
                   "writes it; may be repeated.")  # fmt: skip
@click.option("--uniform", type=FILE,
              help="The same, of samples drawn uniformly: cosup look --uniform N --out FILE. They measure, and are "
                   "never trained on.")  # fmt: skip
@click.option("--out", type=FOLDER, help="Folder for a new model, trained with --answers.  [default: only check]")
def check(folder: Path, files: tuple[Path, ...], uniform: Path | None, out: Path | None) -> None:
    """Check a fit by a person's labels, and train a new one with them.

    Says how accurate the student and every teacher are by the labels, with 90 % intervals, and whether that contradicts
    what was estimated without them. With --out, the person becomes one more teacher at a level above all others, the
    student is trained anew, and its probabilities are calibrated; the model in DIR stays as it is.

    \b
    Example: cosup check model --answers look.csv --uniform check.csv --out model2
    """  # noqa: D301
    account, facts = read_account(folder)
    if not files and uniform is None:
        raise CosupError("no labels are named; give --answers FILE, --uniform FILE, or both")
    if out is not None and not files:
        raise CosupError("--out trains with the labels of --answers; name them")
    if out is not None and out.exists() and any(out.iterdir()):
        raise CosupError(f"{out} is not empty; name a new folder for the new model")
    looked = _together(files, account) if files else None
    drawn = None if uniform is None else read_answers(uniform, account.ids, account.class_names)
    click.echo(check_estimates(account, looked=looked, uniform=drawn, estimates=read_estimates(folder)))
    if out is None:
        if looked is not None:
            click.echo("Nothing was trained; --out FOLDER makes a new model with the labels of --answers.")
        return
    assert looked is not None
    recipe = read_recipe(folder)
    _train(folder, account, looked, drawn, facts, replace(recipe, answers=(*recipe.answers, *_absolute(files))), out)


def _absolute(files: tuple[Path, ...]) -> list[str]:
    return [str(file.resolve()) for file in files]


def _together(files: tuple[Path, ...], account: Account) -> IntArray:
    """The answers of several files; none may contradict another."""
    known = np.full(len(account), -1, dtype=np.int64)
    for file in files:
        more = read_answers(file, account.ids, account.class_names)
        other = np.flatnonzero((known >= 0) & (more >= 0) & (known != more))
        if other.size:
            row = int(other[0])
            raise CosupError(
                f"{file}: {account.ids[row]!r} is {account.class_names[more[row]]!r} here, and "
                f"{account.class_names[known[row]]!r} in another file; keep one answer a sample"
            )
        known = np.where(more >= 0, more, known)
    return known


def _train(
    folder: Path, account: Account, looked: IntArray, drawn: IntArray | None, facts: dict[str, str], recipe: Recipe,
    out: Path,
) -> None:  # fmt: skip
    given, said, notes = recipe.gather()
    ids = said.ids if said.ids is not None else given.ids
    if len(said) != len(account) or (ids is not None and tuple(ids) != account.ids):
        raise CosupError(
            f"the inputs of {folder} are not what it was fitted on: {len(said):,} samples now, {len(account):,} then, "
            "or others; fit it again, and look again"
        )
    if said.class_names != account.class_names:
        raise CosupError(f"the inputs of {folder} name other classes than when it was fitted; fit it again")
    known = looked
    for file in recipe.answers:
        before = read_answers(Path(file), account.ids, account.class_names)
        known = np.where(known >= 0, known, before)
    old = load(folder)
    model = after_looking(given.X, said, old, known)
    taught = with_person(said, known)
    facts = {
        **facts,
        "Person": f"{(known >= 0).sum()} labels of {', '.join(recipe.answers)}",
        "Versions": f"cosup {cosup.__version__}, scikit-learn {sklearn.__version__}, torch {torch.__version__}",
    }
    leave_account(out, model, taught, given.X, class_names=said.class_names, ids=ids, facts=facts, **recipe.shown())
    write_whole(out / "history.json", _model.history_json(model.history_, taught))
    write_whole(out / RECIPE, recipe.to_json())
    model.save(out, inputs=given.inputs)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    _tell(account, model, taught, given.X, looked, drawn)
    click.echo(f"The new model, with provenance and {REPORT_NAME}, is in {out.resolve()}; {folder} is as it was.")


def _tell(old: Account, model: Any, taught: Any, X: Any, looked: IntArray, drawn: IntArray | None) -> None:
    """What the new model is, by what was not trained on."""
    new = Account.of(model, taught, X, class_names=old.class_names, ids=old.ids)
    changed = int((new.answer != old.answer).sum())
    click.echo(f"Trained with {(looked >= 0).sum()} of these labels: {changed} of {len(old):,} answers are others now.")
    for note in model.history_[-1]["notes"]:
        click.echo(f"  {note}")
    if drawn is None:
        return
    rest = (drawn >= 0) & (looked < 0)
    before, after = ((account.answer == drawn)[rest].sum() for account in (old, new))
    middle, low, high = check_estimates(new, looked=looked, uniform=drawn).measured[-1]
    click.echo(
        f"Of the {rest.sum()} uniformly drawn samples that were not trained on {before} were right, {after} are now; "
        f"measured accuracy of the new student: {middle:.1%} ({low:.1%} to {high:.1%})."
    )
