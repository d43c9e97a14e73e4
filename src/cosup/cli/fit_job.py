"""The job of ``cosup fit``, wherever it runs: read the inputs, train, write what is left in the folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from cosup.cli.fit_manifest import STORE, FitManifest, read_manifest
from cosup.cli.fit_options import FitOptions
from cosup.cli.fit_outputs import FinishedFit, leave
from cosup.cli.person import PERSON, calibrated, fact, given_answers, taught
from cosup.report import REPORT_NAME
from cosup.utils.folder_lock import only_writer
from cosup.utils.progress import show_progress

__all__ = ["run_fit"]


def run_fit(options: FitOptions) -> None:
    """Read the inputs, train the student, write the folder, and say what came of it.

    Raises
    ------
    CosupError
        For inputs that are wrong, before anything is trained.
    """
    before = None if options.update is None else read_manifest(options.update)
    manifest = FitManifest.of(options, before)
    model = manifest.model()
    kept = () if options.update is None else (options.update / STORE,)
    given, labels, notes = manifest.read_inputs(options.out / STORE, options.trusted, kept=kept)
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(labels.summary())
    facts = {
        "Method": manifest.method_line(),
        "Features": f"{given.source}, {given.X.shape[1]} a sample"
        + "".join(f", {kind} {name}" for kind, name in given.inputs.items()),
        "Labels": labels.source,
    }
    ids = labels.ids if labels.ids is not None else given.ids
    known = drawn = None
    places = tuple(map(str, range(len(labels)))) if ids is None else ids
    if manifest.answers:
        known = given_answers(manifest.answers, places, labels.class_names)
        facts[PERSON] = fact(known, manifest.answers)
    if manifest.uniform:
        drawn = given_answers(manifest.uniform, places, labels.class_names, drawn=True)
    with only_writer(options.out):
        with show_progress():
            model.fit(given.X, labels)
        if known is not None:
            model, labels = taught(model, given.X, labels, known, ids)
        if drawn is not None:
            model, drawn = calibrated(model, given.X, drawn, known)
        fit = FinishedFit(model, labels, given.X, given, manifest, facts, known)
        leave(options.out, fit, model.to_files(inputs=given.inputs, feature_names=given.names))
    click.echo(repr(labels))
    if known is not None:
        click.echo(f"A person's {int((known >= 0).sum()):,} answers of the earlier fit were trained on last.")
    if drawn is not None:
        click.echo(
            f"Its probabilities were calibrated by {int((drawn >= 0).sum()):,} answers that were drawn uniformly."
        )
    if model.estimates_ is not None:
        click.echo(model.estimates_.of_teachers(labels.names))
    for k, entry in enumerate(model.history_):
        click.echo(_level(entry, model.provenance_[:, k]))
        for remark in entry["notes"]:
            click.echo(f"  {remark}")
    click.echo(f"Model, provenance and report are in {options.out.resolve()}")
    click.echo(
        f"Next: open {options.out / REPORT_NAME}; what happened to a sample: cosup explain {options.out} ID; "
        f"new samples: cosup predict --model {options.out} --{manifest.kind} ... --out FILE"
    )


def _level(entry: Mapping[str, Any], steps: Any) -> str:
    """Say what a level trained on: every sample's annotation was kept, was overruled, or there was none."""
    silent = int((steps["annotation"] < 0).sum())
    kept = int(steps["kept"].sum())
    teachers = len(entry["teachers"])
    return (
        f"level {entry['level']}: {teachers} teacher{'' if teachers == 1 else 's'}; of {len(steps):,} samples {kept:,} "
        f"kept, {len(steps) - silent - kept:,} overruled, {silent:,} without a label; student and training targets "
        f"agree on {100 * entry['agreement']:.1f} % of held-out samples"
    )
