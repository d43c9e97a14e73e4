"""A Ray Data pipeline of one step, whose rows come back in order, and which is built anew where nodes are lost."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from cosup.cluster.connection import Cluster
from cosup.cluster.tasks import RETRIES, in_words
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["stream"]

_logger = logging.getLogger(__name__)

_BLOCKS_PER_ACTOR = 32  # so that all have work until nearly the end

Table = Any  # pyarrow.Table; pyarrow comes with the extra


class Held:
    """An actor of the pipeline: made once, called for every block of rows."""

    def __init__(self, maker: str, parameters: str, folder: str, threads: int) -> None:
        import torch

        # This process is the actor's alone: relative paths mean what they mean to the caller.
        if Path(folder).is_dir():
            os.chdir(folder)
        # Not by Ray's runtime environment, for which processes have to be started anew.
        os.environ["LOKY_MAX_CPU_COUNT"] = str(threads)  # what joblib.cpu_count says
        torch.set_num_threads(threads)
        threadpool_limits(limits=threads)
        module, _, name = maker.partition(":")
        self._step: Callable[[Table], Iterator[Table]] = getattr(importlib.import_module(module), name)(parameters)

    def __call__(self, block: Table) -> Iterator[Table]:
        yield from self._step(block)


class _Feed:
    """One pipeline, block by block; on the cluster itself where the caller is no part of it."""

    def __init__(self, held: tuple[Any, ...], rows: Table, actors: int, num_cpus: int, num_gpus: int) -> None:
        import ray.data

        size = max(1, len(rows) // (_BLOCKS_PER_ACTOR * actors))
        data: ray.data.Dataset = ray.data.from_arrow([rows.slice(start, size) for start in range(0, len(rows), size)])
        data.context.execution_options.preserve_order = True
        data.context.enable_progress_bars = False
        with warnings.catch_warnings():
            # max_restarts has no named parameter before Ray 2.64.
            warnings.simplefilter("ignore", DeprecationWarning)
            data = data.map_batches(
                Held, fn_constructor_args=held, batch_format="pyarrow", batch_size=size,
                compute=ray.data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
                # An actor that Ray restarts waits for a node that may never return, and keeps what was sent to it.
                max_restarts=0, num_cpus=num_cpus, num_gpus=num_gpus,
            )  # fmt: skip
        self._blocks = iter(data.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1))

    def next(self) -> Table | None:
        """Return the next block of results, None behind the last."""
        return next(self._blocks, None)


def stream(
    cluster: Cluster,
    maker: str,
    parameters: str,
    rows: Sequence[dict[str, Any]],
    *,
    num_cpus: int = 1,
    num_gpus: int = 0,
) -> Generator[dict[str, Any], None, None]:
    """Send rows through as many actors as there is room for, and yield one row for each, in their order.

    A node or process that dies ends the pipeline, and a new one is built of what is left, behind the last row that was
    yielded: every row is yielded once.

    Parameters
    ----------
    cluster : Cluster
    maker : str
        ``module:function`` of a package that every node has. Called with `parameters` in every actor, it returns a
        function that takes an Arrow table of rows and gives tables with as many rows, in their order.
    parameters : str
    rows : sequence of dict
        Dictionaries of numbers, texts and lists of these.
    num_cpus, num_gpus : int
        Resources that an actor reserves; torch and numpy have as many threads there as it has cores.

    Raises
    ------
    CosupError
        If pipelines failed several times with no row in between, or a node lacks cosup.
    """
    import_extra("ray.data", extra="ray", purpose="a pipeline on a cluster (--ray)")
    arrow = import_extra("pyarrow", extra="ray", purpose="a pipeline on a cluster (--ray)")
    done, failures = 0, 0
    while done < len(rows):
        before, places = done, _places(cluster, num_cpus, num_gpus)
        if not places:
            _logger.warning("No node of the cluster has %d cores and %d GPUs; waiting for one.", num_cpus, num_gpus)
        actors = max(1, min(places, len(rows) - done))
        table = arrow.Table.from_pylist(list(rows[done:]))
        held = (maker, parameters, str(Path.cwd()), num_cpus)
        problem: Exception | None = None
        try:
            with _silent():
                for block in _blocks(cluster, held, table, actors, num_cpus, num_gpus):
                    for row in block.to_pylist():
                        done += 1
                        yield row
        except (cluster.ray.exceptions.RayError, ImportError) as error:
            problem = error
            _logger.warning("A part of the cluster was lost (%s); going on without it.", type(error).__name__)
        failures = 0 if done > before else failures + 1
        if failures > RETRIES or "No module named 'cosup" in str(problem):
            raise CosupError(in_words(problem)) from problem


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Silence Ray Data's log on the terminal; its errors reach the caller as exceptions."""
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _places(cluster: Cluster, num_cpus: int, num_gpus: int) -> int:
    """Count the actors that fit on the nodes that are there."""
    return sum(
        int(
            min(
                node["Resources"].get(resource, 0.0) / needed
                for resource, needed in (("CPU", num_cpus), ("GPU", num_gpus))
                if needed
            )
        )
        for node in cluster.nodes()
    )


def _blocks(cluster: Cluster, *arguments: Any) -> Iterator[Table]:
    if not cluster.is_client:
        feed = _Feed(*arguments)
        while (block := feed.next()) is not None:
            yield block
        return
    # Ray Data does not run in a client.
    ray = cluster.ray
    remote = ray.remote(_Feed).options(num_cpus=0).remote(*arguments)
    try:
        ahead = remote.next.remote()
        while (block := ray.get(ahead)) is not None:
            ahead = remote.next.remote()
            yield block
    finally:
        ray.kill(remote)
