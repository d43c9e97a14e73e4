"""The command that fine-tunes a network on one's own images or texts under weak labels."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cosup.cli.fit import fit
from cosup.cli.options import FILE, plugin_option
from cosup.cli.shell import resumable
from cosup.utils.errors import CosupError

if TYPE_CHECKING:
    from cosup.cli.fit_manifest import FitManifest
    from cosup.cli.fit_options import FitOptions
    from cosup.finetuning import World
    from cosup.io.features import Features

__all__ = ["finetune"]

SHARED = ("files", "probabilities", "top_k", "out", "classes", "abstain", "partial", "level", "specialties")
"""Options that are those of ``cosup fit``."""

TRAINING = "training"
"""Folder of checkpoints in the model's; it goes when the model is there."""

EPOCHS = "epochs.json"


def _labels_as_in_fit(command: Callable[..., Any]) -> Callable[..., Any]:
    own = [parameter for parameter in fit.params if parameter.name in SHARED]
    # click applies decorators from the last to the first, and turns the list round.
    command.__click_params__ = [*getattr(command, "__click_params__", []), *reversed(own)]  # type: ignore[attr-defined]
    return command


@click.command()
@click.option("--network", required=True, metavar="SOURCE:NAME",
              help="What is fine-tuned: hf:FOLDER or hf:NAME, a model of transformers.")  # fmt: skip
@click.option("--images", type=click.Path(exists=True, file_okay=False, path_type=Path), help="A folder of images.")
@click.option("--text", "texts", type=FILE, help="csv, parquet or jsonl with a column 'text', or txt.")
@_labels_as_in_fit
@click.option("--skip-unreadable", is_flag=True, help="For --images: leave unreadable ones out (add --partial).")
@click.option("--method", help="See cosup methods.  [default: co-supervised, on the believed teachers' annotations]")
@click.option("--tune", default="full", show_default=True, metavar="full|last:K|lora:R",
              help="All weights, those of the last K blocks, or additions of rank R.")  # fmt: skip
@click.option("--folds", type=click.IntRange(1), default=2, show_default=True,
              help="Networks that are trained to decide who is believed; 1: the network as it is decides.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=5, show_default=True, help="At the most, with --patience.")
@click.option("--batch-size", type=click.IntRange(1), default=32, show_default=True, help="Samples a step.")
@click.option("--micro-batch", type=click.IntRange(1),
              help="Samples that go through the network together: fewer need less memory.  [default: all]")  # fmt: skip
@click.option("--learning-rate", type=float, help="Of the network.  [default: 5e-5, with lora 5e-4]")
@click.option("--patience", type=click.IntRange(0), default=2, show_default=True,
              help="Stop after so many epochs without better agreement with held-out targets; 0: never.")  # fmt: skip
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]),
              help="[default: bfloat16 on GPUs that have it]")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Decides all that is random.")
@plugin_option(passed_on=True)
def finetune(
    network: str,
    images: Path | None,
    texts: Path | None,
    out: Path,
    method: str | None,
    seed: int,
    patience: int,
    **options: Any,
) -> None:
    """Fine-tune a network on your own images or texts under weak labels.

    A method decides who is believed, by networks that were not trained on the sample; then the network is trained on
    what came out. Labels are those of cosup fit, and so is what lies in the folder afterwards; cosup predict takes it.

    Stopped or killed, the same command goes on. Several GPUs or processes share the work under torchrun.

    \b
    Example: cosup finetune --network hf:FOLDER --text tickets.csv --labels rules.csv --tune lora:8 --out model
             cosup finetune --network hf:FOLDER --images photos --labels labels.csv --tune last:2 --out model
             torchrun --nproc-per-node 4 --no-python cosup finetune --network hf:FOLDER ...
    """  # noqa: D301
    if (images is None) == (texts is None):
        raise CosupError("give one of --images FOLDER, --text FILE: a network is trained on samples, not on features")
    import numpy as np

    from cosup.cli.fit_manifest import FitManifest
    from cosup.cli.fit_options import FitOptions
    from cosup.cli.fit_outputs import SECONDS, FinishedFit, leave
    from cosup.finetuning import FineTuned, together
    from cosup.finetuning.classifier import FineTunedClassifier, believing
    from cosup.methods import DEFAULT, make_method
    from cosup.report import REPORT_NAME
    from cosup.utils.folder_lock import only_writer

    chosen = believing(seed) if method is None else make_method(method, random_state=seed)
    keys = ("tune", "folds", "epochs", "batch_size", "micro_batch", "learning_rate", "precision")
    training = {"patience": patience or None, **{key: options[key] for key in keys}}
    fit_options = FitOptions(
        images=images, texts=texts, backbone=None if images is None else network,
        encoder=network if images is None else None, out=out, method=method, seed=seed,
        **{name: options[name] for name in (*SHARED, "skip_unreadable", "plugins") if name in options},
    )  # fmt: skip
    manifest = FitManifest.of(fit_options, tuned={"network": network, **training})
    student = FineTuned(_network(network, images), checkpoint=out / TRAINING, **training)
    with together() as world, resumable(out), contextlib.ExitStack() as stack:
        given, labels, notes = _in_turn(world, manifest, fit_options)
        if world.leads:
            click.echo(labels.summary())
        samples = manifest.samples(given)
        if world.leads:
            stack.enter_context(only_writer(out))
        model = FineTunedClassifier(student, chosen).fit(samples, labels, features=given.X)
        if not world.leads:
            return
        facts = {
            "Method": f"{method or DEFAULT + ' on the believed annotations'}, seed {seed}",
            "Network": f"{network}, fine-tuned ({student.tune}) in {len(model.epochs_)} epochs of {student.epochs}",
            "Samples": given.source,
            "Labels": labels.source,
        }
        view, X = model.account_view(samples, np.asarray(given.X))
        epochs = [{key: value for key, value in record.items() if key != SECONDS} for record in model.epochs_]
        files, stale = model.to_files(out)
        leave(
            out, FinishedFit(view, labels, X, given, manifest, facts),
            {**files, EPOCHS: json.dumps(epochs, indent=1) + "\n"},
            timings={"epochs": [record[SECONDS] for record in model.epochs_]}, remove=[*stale, TRAINING],
        )  # fmt: skip
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    for record in model.epochs_:
        agreement = record["agreement"]
        held = "" if agreement is None else f", agreement with held-out targets {agreement:.1%}"
        click.echo(f"epoch {record['epoch']}: loss {record['loss']:.3f}{held}")
    click.echo(f"Model, provenance and report are in {out.resolve()}")
    click.echo(
        f"Next: open {out / REPORT_NAME}; new samples: cosup predict --model {out} --{manifest.kind} ... --out FILE"
    )


def _network(spec: str, images: Path | None) -> Any:
    from cosup.embedding import make_backbone, make_encoder

    return make_encoder(spec) if images is None else make_backbone(spec)


def _in_turn(world: World, manifest: FitManifest, options: FitOptions) -> tuple[Features, Any, list[str]]:
    """Read features, computed by the leading process, and labels; the others read them one after the other."""
    from cosup.cli.fit_manifest import STORE

    found: tuple[Features, Any, list[str]] | None = None
    for rank in range(world.size):
        if rank == world.rank:
            found = manifest.read_inputs(options.out / STORE, options.trusted)
        world.wait()
    assert found is not None
    return found
