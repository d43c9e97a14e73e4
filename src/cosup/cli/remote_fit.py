"""A fit that runs on a node of a Ray cluster."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from threadpoolctl import threadpool_limits

from cosup.cli.fit_job import run_fit
from cosup.cli.fit_manifest import STORE, FitManifest, read_manifest
from cosup.cli.fit_options import FitOptions
from cosup.cluster import Cluster, connect, run_tasks
from cosup.embedding.workers import check_nodes
from cosup.io.features import features_of_images
from cosup.utils.errors import CosupError
from cosup.utils.plugins import load_plugins

__all__ = ["fit_here", "fit_on_cluster"]

_LIBRARIES = 1_000_000_000
"""Bytes of a process that has imported torch and done nothing yet, and some more."""


def fit_on_cluster(address: str, options: FitOptions) -> None:
    """Run ``cosup fit`` as one task of a cluster; a node that dies makes another one begin again.

    Images are embedded by the whole cluster first.

    Parameters
    ----------
    address : str
    options : FitOptions

    Raises
    ------
    CosupError
        If no node has the memory, one does not see the command's folder, or as the command.
    """
    out: Path = options.out
    before = None if options.update is None else read_manifest(options.update)
    kept = () if options.update is None else (options.update / STORE,)
    trust = options.trusted
    with connect(address) as cluster:
        _check_folder(cluster, out)
        if options.images is not None:
            made_of = [own.backbone for own in before.inputs if own.backbone] if before else []
            backbone = options.backbone or next(iter(made_of), None)
            if backbone is not None:
                trust.check("backbone", backbone)
            features_of_images(
                options.images, out / STORE, backbone=trust.backbone(backbone),
                skip_unreadable=options.skip_unreadable, ray=address,
            )  # fmt: skip
        manifest = FitManifest.of(options, before)
        given, labels, _ = manifest.read_inputs(out / STORE, trust, kept=kept)
        needed = _LIBRARIES + given.X.nbytes + labels.annotations.nbytes
        needed += manifest.model()._peak_bytes(given.X, labels)
        largest = cluster.largest("memory")
        if needed > largest:
            raise CosupError(
                f"the fit needs about {needed / 1e9:.1f} GB of memory, but the largest node of the "
                f"cluster at {address} offers {largest / 1e9:.1f} GB; add one, or start it with 'ray start --memory'"
            )
        # As many threads as it would use here: sums come out the same.
        import torch

        threads = max(1, min(torch.get_num_threads(), int(cluster.largest("CPU"))))
        task = {"options": dict(vars(options)), "threads": threads}
        output, errors = next(run_tasks(cluster, f"{__name__}:fit_here", [task], num_cpus=threads, memory=needed))
    click.echo(output, nl=False)
    click.echo(errors, nl=False, err=True)


def _check_folder(cluster: Cluster, out: Path) -> None:
    """Look whether all nodes see what this process writes."""
    out.mkdir(parents=True, exist_ok=True)
    token = out / f".cosup-{uuid.uuid4().hex}.tmp"
    token.write_text("seen")
    try:
        check_nodes(cluster, [token])
    finally:
        token.unlink()


def fit_here(task: Mapping[str, Any]) -> tuple[str, str]:
    """Fit in this process, of a node, and return what the command prints."""
    import torch

    torch.set_num_threads(task["threads"])
    output, errors = io.StringIO(), io.StringIO()
    try:
        with (
            threadpool_limits(limits=task["threads"]),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(errors),
        ):
            load_plugins(task["options"]["plugins"])
            run_fit(FitOptions(**task["options"]))
    except OSError as error:
        raise CosupError(f"{error.filename or 'the fit'}: {error.strerror or error}") from error
    return output.getvalue(), errors.getvalue()
