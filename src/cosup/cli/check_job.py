"""The job of ``cosup check``: measure a fit by a person's labels, and train a better one with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from cosup.cli.fit_manifest import STORE, FitManifest, read_manifest
from cosup.cli.fit_outputs import FinishedFit, leave, read_estimates, read_history
from cosup.cli.person import PERSON, calibrated, fact, given_answers, taught
from cosup.embedding.backbones.trust import Trust
from cosup.estimators.fit_folder import find_file
from cosup.finetuning import embedded
from cosup.finetuning.classifier import NETWORK, FineTunedClassifier
from cosup.io.features import Features
from cosup.labels import ImportedLabels
from cosup.methods import load
from cosup.provenance import (
    ACCOUNT,
    Account,
    check_estimates,
    read_account,
    read_answers,
)
from cosup.report import REPORT_NAME
from cosup.utils.folder_lock import only_writer
from cosup.utils.progress import show_progress
from cosup.utils.validation import CosupError, IntArray

__all__ = ["run_check"]


def run_check(
    folder: Path, files: tuple[Path, ...], uniform: Path | None, out: Path | None, again: tuple[str, ...],
    trust: tuple[str, ...] = (),
) -> None:  # fmt: skip
    """Check the fit in `folder` by a person's labels, and train a new one in `out` with them.

    Raises
    ------
    CosupError
        For labels or inputs that are not the fit's, before anything is trained.
    """
    if out is not None:
        _check_free(out, folder)
    account, facts = read_account(folder)
    looked = _together(files, account) if files else None
    drawn = None if uniform is None else read_answers(uniform, account.ids, account.class_names, drawn=True)
    click.echo(check_estimates(account, looked=looked, uniform=drawn, estimates=read_estimates(folder)))
    if out is None:
        click.echo("Nothing was trained; --out FOLDER makes a new model with these labels.")
        return
    manifest = read_manifest(folder).signed(again)
    manifest = replace(
        manifest,
        answers=(*manifest.answers, *(str(file.resolve()) for file in files)),
        uniform=(*manifest.uniform, *(() if uniform is None else (str(uniform.resolve()),))),
    )
    _train(folder, account, facts, manifest, out, Trust(frozenset((*again, *trust))))


def _check_free(out: Path, folder: Path) -> None:
    """Raise `CosupError` where a new model would take the place of something else than what this command began."""
    held = [path.name for path in out.iterdir()] if out.is_dir() else []
    # Features and a network come first; hidden files are of a writer that was killed.
    if all(name.startswith((".", NETWORK)) or name == STORE for name in held):
        return
    of_a_check = PERSON in read_account(out)[1] if find_file(out, ACCOUNT) is not None else False
    if out.resolve() == folder.resolve() or not of_a_check:
        raise CosupError(f"{out} is not empty; name a new folder for the new model")


def _together(files: tuple[Path, ...], account: Account) -> IntArray:
    """The answers of several files; none may contradict another."""
    known = np.full(len(account), -1, dtype=np.int64)
    for file in files:
        more = read_answers(file, account.ids, account.class_names, drawn=False)
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
    folder: Path, account: Account, facts: dict[str, str], manifest: FitManifest, out: Path, typed: Trust
) -> None:
    given, labels, notes = manifest.read_inputs(out / STORE, typed, kept=(folder / STORE,))
    ids = labels.ids if labels.ids is not None else given.ids
    if len(labels) != len(account) or (ids is not None and tuple(ids) != account.ids):
        raise CosupError(
            f"the inputs of {folder} are not what it was fitted on: {len(labels):,} samples now, {len(account):,} "
            "then, or others; fit it again, and look again"
        )
    if labels.class_names != account.class_names:
        raise CosupError(f"the inputs of {folder} name other classes than when it was fitted; fit it again")
    known = given_answers(manifest.answers, account.ids, account.class_names)
    drawn = None
    if manifest.uniform:
        drawn = given_answers(manifest.uniform, account.ids, account.class_names, drawn=True)
    with only_writer(out):
        new, model, rest = _leave(folder, (account, facts), drawn, manifest, out, (given, labels), known)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    _tell(account, new, known, rest)
    for note in model.history_[-1]["notes"]:
        click.echo(f"  {note}")
    click.echo(f"The new model, with provenance and {REPORT_NAME}, is in {out.resolve()}; {folder} is as it was.")


def _leave(
    folder: Path, told: tuple[Account, dict[str, str]], drawn: IntArray | None, manifest: FitManifest, out: Path,
    inputs: tuple[Features, ImportedLabels], known: IntArray,
) -> tuple[Account, Any, IntArray | None]:  # fmt: skip
    """Train the new model and write it; its account, it, and the uniformly drawn labels that it was not trained on."""
    (account, facts), (given, labels) = told, inputs
    ids = labels.ids if labels.ids is not None else given.ids
    before = None if manifest.tuned is None else account
    model, X, files_of = _again(folder, account, manifest, given, labels)
    if manifest.answers:
        model, labels = taught(model, X, labels, known, ids)
    rest = None
    if drawn is not None:
        model, rest = calibrated(model, X, drawn, known)
    facts = {**facts, PERSON: fact(known, manifest.answers)}
    files, stale = files_of(model, out)
    fit = FinishedFit(model, labels, X, given, manifest, facts, known)
    new = leave(out, fit, files, before=before, remove=stale)
    return new, model, rest


def _again(
    folder: Path, account: Account, manifest: FitManifest, given: Features, labels: ImportedLabels
) -> tuple[Any, Any, Callable[[Any, Path], tuple[dict[str, bytes], list[str]]]]:
    """The model of a fit, what it answers on, and what encodes its files: fitted anew, or of a fine-tuned network."""
    if manifest.tuned is None:
        with show_progress():
            model = manifest.model().fit(given.X, labels)
        return model, given.X, lambda new, out: (new.to_files(inputs=given.inputs, feature_names=given.names), [])
    whole = FineTunedClassifier.load(folder)
    model = load(folder)
    model.provenance_, model.history_ = account.provenance(), read_history(folder)
    estimates = read_estimates(folder)
    # A person's labels may stand beside the teachers' there.
    model.estimates_ = None if estimates is None else estimates.of_teachers(labels.names)
    X = embedded(whole.network_, manifest.samples(given), progress=False)
    return model, X, lambda new, out: whole.with_student(new).to_files(out)


def _tell(old: Account, new: Account, known: IntArray, rest: IntArray | None) -> None:
    """Say how the new model differs, by labels that it was not trained on."""
    changed = int((new.answer != old.answer).sum())
    click.echo(f"Trained with {(known >= 0).sum()} labels: {changed} of {len(old):,} answers changed.")
    if rest is None or not (rest >= 0).any():
        click.echo("Its probabilities are not calibrated, and it is not measured: no label was drawn uniformly.")
        return
    before, after = (int((account.answer == rest)[rest >= 0].sum()) for account in (old, new))
    looked = known if (known >= 0).any() else None
    middle, low, high = check_estimates(new, looked=looked, uniform=rest).measured[-1]
    click.echo(
        f"Measured on {(rest >= 0).sum()} uniformly drawn samples: {before} right before, {after} after. "
        f"Measured accuracy of the new student: {middle:.1%} ({low:.1%} to {high:.1%})."
    )
