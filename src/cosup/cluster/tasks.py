"""Functions, by name, on the cluster: many with few of them under way, or one on every node."""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from cosup.cluster.connection import Cluster
from cosup.utils.validation import CosupError

__all__ = ["call", "everywhere", "run_tasks"]

RETRIES = 3
_ANSWER_WITHIN = 300  # seconds, for a node to start a process and import torch


def call(function: str, argument: Any, folder: str) -> dict[str, Any]:
    """Call a function by its name, ``module:function``, where the caller's folder is this process's, if it is here."""
    module, _, name = function.partition(":")
    place = contextlib.chdir(folder) if Path(folder).is_dir() else contextlib.nullcontext()
    with place:
        try:
            return {"value": getattr(importlib.import_module(module), name)(argument)}
        except CosupError as error:
            return {"error": str(error)}


def run_tasks(
    cluster: Cluster,
    function: str,
    arguments: Iterable[Any],
    *,
    in_flight: int | None = None,
    retries: int = RETRIES,
    num_cpus: float = 1,
    memory: int = 0,
) -> Generator[Any, None, None]:
    """Call a function for every argument, as tasks of the cluster; yield what they return, as they finish.

    Parameters
    ----------
    cluster : Cluster
    function : str
        ``module:function`` of a package that every node has.
    arguments : iterable
        Of what JSON knows. No further one is taken while `in_flight` are under way.
    in_flight : int, optional
        Default: twice as many as the cluster's cores can work on now, so that a cluster that can grow sees the need.
    retries : int
        Number of times that a task whose process or node died is started again.
    num_cpus : float
    memory : int
        Cores and bytes that a task reserves.

    Raises
    ------
    CosupError
        As the function; or if a task's processes died once more than `retries` times.
    """
    ray = cluster.ray
    remote = ray.remote(call).options(
        num_cpus=num_cpus, max_retries=retries, scheduling_strategy="SPREAD", **({"memory": memory} if memory else {})
    )
    waiting, folder = iter(arguments), str(Path.cwd())
    running: list[Any] = []
    try:
        while True:
            most = in_flight or max(1, int(2 * cluster.total("CPU") / max(num_cpus, 1e-3)))
            # Ended by None: arguments are never that.
            while len(running) < most and (argument := next(waiting, None)) is not None:
                running.append(remote.remote(function, argument, folder))
            if not running:
                return
            done, running = ray.wait(running, num_returns=1)
            try:
                answer = ray.get(done[0])
            except (ray.exceptions.RayError, ImportError) as error:
                raise CosupError(in_words(error)) from error
            yield _value(answer)
    finally:
        for task in running:
            ray.cancel(task, force=True)


def everywhere(cluster: Cluster, function: str, argument: Any) -> dict[str, Any]:
    """Call a function once on every node that works.

    Returns
    -------
    dict of str to object
        Name of the node -> what the function returned there.

    Raises
    ------
    CosupError
        As the function, or if a node has no cosup or does not answer, and is there nevertheless.
    """
    ray, folder = cluster.ray, str(Path.cwd())
    on = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    running = {
        node["NodeID"]: ray.remote(call)
        .options(num_cpus=0, scheduling_strategy=on(node["NodeID"], soft=False))
        .remote(function, argument, folder)
        for node in cluster.nodes()
        if node["Resources"].get("CPU") or node["Resources"].get("GPU")
    }
    names = {node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeID'][:8]})" for node in cluster.nodes()}
    found = {}
    for node, task in running.items():
        name = names.get(node, node[:8])
        try:
            answer = ray.get(task, timeout=_ANSWER_WITHIN)
        except (ray.exceptions.RayError, ImportError) as error:
            # One that dies meanwhile will compute nothing, and needs no look.
            if not any(other["NodeID"] == node for other in cluster.nodes()):
                continue
            raise CosupError(f"node {name}: {in_words(error)}") from error
        found[name] = _value(answer, f"node {name}: ")
    return found


def _value(answer: dict[str, Any], where: str = "") -> Any:
    if "error" in answer:
        raise CosupError(where + answer["error"])
    return answer["value"]


def in_words(error: BaseException | None) -> str:
    """Say in one line, with a remedy, why a task ended."""
    text = str(error)
    if "No module named 'cosup" in text:
        return "cosup is not installed there; every node of the cluster needs the same cosup[ray] as this machine"
    last = [line.strip() for line in text.splitlines() if line.strip()][-1:] or [type(error).__name__]
    return (
        f"the cluster could not finish a piece of work ({type(error).__name__}: {last[0]}); what was finished is kept, "
        f"and the same command goes on from there. Logs: {os.environ.get('RAY_TMPDIR', '/tmp')}/ray on the nodes"  # noqa: S108
    )
