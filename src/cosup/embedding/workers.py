"""Features of files in order: read ahead by threads and computed here, or by the actors of a cluster."""

from __future__ import annotations

import importlib.metadata
import json
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.cluster import Cluster, everywhere, stream
from cosup.embedding.backbones import Backbone, make_backbone
from cosup.embedding.backbones.cpu import STEADY, cores
from cosup.embedding.early_layers import NAME as EARLY
from cosup.embedding.early_layers import EarlyStages
from cosup.embedding.feature_store import FileEntry, hash_file
from cosup.embedding.read_images import read_image
from cosup.utils.optional_imports import import_extra
from cosup.utils.plugins import load_plugins, loaded_plugins
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError

if TYPE_CHECKING:
    import torch

# What decides how an image is read and embedded; the others cannot change a feature.
LIBRARIES = ("cosup", "numpy", "pillow", "torch", "transformers", "timm", "torchvision", "efficientnet-lite-pytorch")

Batch = tuple[list[FileEntry], Any]
"""Entries of files, and the rows of features of those that are readable; None where they were not asked for."""


class Computing:
    """Settings by which a store's files become rows.

    Parameters
    ----------
    root : Path
    backbone : Backbone
    dtype : str
        The type of the rows.
    batch_size : int
    workers : int, optional
        Threads that read. Default: one fewer than there are cores.
    """

    def __init__(self, root: Path, backbone: Backbone, dtype: str, batch_size: int, workers: int | None) -> None:
        self.root, self.backbone, self.batch_size = root, backbone, batch_size
        self.dtype = np.dtype(dtype)
        # One core is the network's: where its threads wait for one that reads images, all of them wait.
        self.workers = workers or max(1, cores() - 1)

    @contextmanager
    def batches(self, listed: Sequence[FileEntry], skip: bool) -> Iterator[Iterator[Batch]]:
        """Yield batches in order. Behind an unreadable file, rows are computed only with `skip`."""
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="cosup-read", initializer=_one_thread)

        def compute() -> Iterator[Batch]:
            broken = False
            for entries, prepared in self._prepared(pool, listed):
                broken = broken or (not skip and any(file.error is not None for file in entries))
                yield entries, None if broken else self._rows(entries, prepared)

        try:
            yield compute()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _prepared(
        self, pool: ThreadPoolExecutor, listed: Sequence[FileEntry]
    ) -> Iterator[tuple[list[FileEntry], list[torch.Tensor]]]:
        waiting: deque[Future[tuple[FileEntry, torch.Tensor | None]]] = deque()
        size, place = self.batch_size, 0
        for start in range(0, len(listed), size):
            # The next batch is read while this one is computed.
            ahead = min(len(listed), start + 2 * size + self.workers)
            waiting.extend(pool.submit(self._read, file) for file in listed[place:ahead])
            place = ahead
            read = [waiting.popleft().result() for _ in range(min(size, len(listed) - start))]
            yield [file for file, _ in read], [tensor for _, tensor in read if tensor is not None]

    def _rows(self, entries: Sequence[FileEntry], prepared: Sequence[torch.Tensor]) -> Any:
        import torch

        if not prepared:
            return np.empty((0, self.backbone.n_features), dtype=self.dtype)
        # A short batch is filled up, so that its sums are taken as any other's.
        spare = min(STEADY, self.batch_size) - len(prepared)
        computed = self.backbone.forward(torch.stack([*prepared, *[prepared[0]] * spare]))[: len(prepared)]
        return self._stored([file for file in entries if file.error is None], computed)

    def _stored(self, files: Sequence[FileEntry], computed: NDArray[np.float32]) -> NDArray[Any]:
        """Convert features of readable files to the store's dtype; CosupError where one is not finite in it."""
        with np.errstate(over="ignore"):  # looked for below
            rows = np.ascontiguousarray(computed, dtype=self.dtype)
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
        if bad.size:
            path = files[bad[0]].path
            hint = "; float16 ends at 65,504: use dtype float32" if np.isfinite(computed[bad[0]]).all() else ""
            raise CosupError(f"'{self.backbone.name}' gives features of {path} that are not finite{hint}")
        return rows

    def _read(self, file: FileEntry) -> tuple[FileEntry, torch.Tensor | None]:
        path = self.root / file.path
        try:
            tensor = self.backbone.prepare(read_image(path))
        except CosupError as error:
            return replace(file, error=str(error), sha256=hash_file(path)), None
        return replace(file, sha256=hash_file(path)), tensor


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)  # the pool's threads are parallel already; this holds for the calling thread


def versions() -> dict[str, str]:
    """Return the versions of Python and of those libraries that are installed."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    # Each is looked for by its name: to read what all installed packages are takes a second.
    installed = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in LIBRARIES}
    return found | {name: package.version for name, package in installed.items() if package is not None}


# -- on a cluster ------------------------------------------------------------------------------------------------


def batches_of(
    cluster: Cluster, computing: Computing, listed: Sequence[FileEntry], *, skip: bool, workers: int | None
) -> Generator[Batch, None, None]:
    """Compute batches as `Computing.batches` does, by actors that each hold the backbone: with the same bytes.

    Parameters
    ----------
    cluster : Cluster
    computing : Computing
    listed : sequence of FileEntry
    skip : bool
    workers : int, optional
        Cores that an actor reserves, and threads that read in it. Default: 1; beside a GPU, its share of the cores.

    Raises
    ------
    CosupError
        If a node has other versions of what computes features or does not see the images or plugins; if the backbone
        cannot be made there from its name and options; and as `Computing.batches`.
    """
    plugins = loaded_plugins()
    code = [Path(plugin) for plugin in plugins if plugin.endswith(".py")]
    check_nodes(cluster, [*code, *(computing.root / file.path for file in listed[:1])])
    settings = _settings(computing.backbone)
    gpus = cluster.total("GPU") if settings["device"] is None or settings["device"].startswith("cuda") else 0.0
    cores = workers or (_cores_a_gpu(cluster) if gpus else 1)
    parameters = {
        "root": str(computing.root),
        "plugins": plugins,
        "backbone": settings | {"device": settings["device"] or ("cuda" if gpus else "cpu")},
        "fingerprint": computing.backbone.fingerprint,
        "dtype": computing.dtype.name,
        "batch_size": computing.batch_size,
        "workers": cores,
        "skip": skip,
    }
    size = computing.batch_size
    rows = [{"lines": [file.line() for file in listed[batch]]} for batch in slices(len(listed), size)]
    found = stream(
        cluster, f"{__name__}:worker", json.dumps(parameters), rows, num_cpus=cores, num_gpus=1 if gpus else 0
    )
    for row in found:
        if row["error"] is not None:
            raise CosupError(row["error"])
        entries = [FileEntry.parse(line) for line in row["lines"]]
        data = row["features"]
        shape = (sum(file.error is None for file in entries), computing.backbone.n_features)
        yield entries, None if data is None else np.frombuffer(data, dtype=computing.dtype).reshape(shape)


def _cores_a_gpu(cluster: Cluster) -> int:
    """Count the cores that every GPU can have on its node; 1 where there is no GPU."""
    held = [node["Resources"] for node in cluster.nodes() if node["Resources"].get("GPU")]
    return max(1, min((int(node.get("CPU", 0) / node["GPU"]) for node in held), default=1))


def _settings(backbone: Backbone) -> dict[str, Any]:
    """Find the arguments of `make_backbone` that make the backbone elsewhere."""
    options = getattr(backbone, "_options", None)
    if options is None:
        raise CosupError(f"{backbone!r} cannot be made on another machine; on Ray, take one of make_backbone")
    weights = None if options.weights is None else str(options.weights)
    return {"spec": backbone.name, **asdict(options), "weights": weights}


def _make(settings: dict[str, Any]) -> Backbone:
    return EarlyStages(settings["image_size"]) if settings["spec"] == EARLY else make_backbone(**settings)


def worker(parameters: str) -> Any:
    """Make what an actor holds: a function of Arrow tables with a column ``lines``, a row a batch."""
    given = json.loads(parameters)
    arrow = import_extra("pyarrow", extra="ray", purpose="a pipeline on a cluster")
    failed = None
    try:
        load_plugins(given["plugins"])
        backbone = _make(given["backbone"])
        if backbone.fingerprint != given["fingerprint"]:
            failed = (
                f"'{backbone.name}' has other weights or preprocessing on a node of the cluster than here, so their "
                "features cannot be mixed; name its weights by a path that all see (--weights, hf:FOLDER)"
            )
        computing = Computing(Path(given["root"]), backbone, given["dtype"], given["batch_size"], given["workers"])
    except CosupError as problem:
        failed = f"on a node of the cluster: {problem}"
    types = arrow.schema(
        [("lines", arrow.list_(arrow.string())), ("features", arrow.large_binary()), ("error", arrow.string())]
    )

    def embed(block: Any) -> Iterator[Any]:
        batches = block.column("lines").to_pylist()
        error = failed
        try:
            if error is None:
                listed = [FileEntry.parse(line) for lines in batches for line in lines]
                with computing.batches(listed, given["skip"]) as computed:
                    for place, (entries, rows) in enumerate(computed, start=1):
                        features = None if rows is None else rows.tobytes()
                        row = {"lines": [file.line() for file in entries], "features": features, "error": None}
                        yield arrow.Table.from_pylist([row], schema=types)
                        batches[place - 1] = None
        except CosupError as problem:
            error = str(problem)
        if error is not None:
            # As many rows as came in: the first of them ends the pipeline.
            left = sum(lines is not None for lines in batches)
            yield arrow.Table.from_pylist([{"lines": [], "features": None, "error": error}] * left, schema=types)

    return embed


def check_nodes(cluster: Cluster, needed: Sequence[Path]) -> None:
    """Look whether every node has this machine's versions, and sees the same files.

    Raises
    ------
    CosupError
        Naming the node, and what it lacks.
    """
    own = versions()
    # A folder's size says nothing of what it holds.
    asked = [[str(path), path.stat().st_size if path.is_file() else None] for path in needed if path.exists()]
    for node, found in everywhere(cluster, f"{__name__}:look", asked).items():
        theirs = found["versions"]
        others = [name for name in sorted({*own, *theirs}) if own.get(name) != theirs.get(name)]
        if others:
            what = ", ".join(
                f"{name} {theirs.get(name, 'missing')} (here {own.get(name, 'missing')})" for name in others
            )
            raise CosupError(
                f"node {node} has {what}; results would depend on where they were computed: install the same versions "
                "on every node"
            )
        if found["missing"]:
            raise CosupError(
                f"node {node} does not see {found['missing'][0]}, or something else under that name; what a cluster "
                "works on must lie on a file system that all nodes share, under the same path"
            )


def look(asked: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Answer `check_nodes` on a node."""
    found = [(path, size, Path(path)) for path, size in asked]
    missing = [name for name, size, path in found if not path.exists() or size not in (None, path.stat().st_size)]
    return {"versions": versions(), "missing": missing}
