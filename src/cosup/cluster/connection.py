"""Connect to a cluster, or start one in this machine; say what is wrong where that fails."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["Cluster", "check_address", "connect"]

_REMOTE = re.compile(r"(?P<client>ray://)?(?P<host>[^\s:/]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
_PATIENCE = 5.0  # seconds for a node to answer: Ray itself asks again and again, without an end


@dataclass(frozen=True)
class Cluster:
    """A connection to Ray.

    Parameters
    ----------
    ray : module
    address : str
        The address that was asked for.
    is_client : bool
        Whether another process, on the cluster, speaks for this one (``ray://``).
    """

    ray: ModuleType
    address: str
    is_client: bool = False

    def nodes(self) -> list[dict[str, Any]]:
        """Return nodes that are alive, as Ray describes them: ``NodeID``, ``NodeManagerHostname``, ``Resources``."""
        return [node for node in self.ray.nodes() if node["Alive"]]

    def total(self, resource: str) -> float:
        """Sum a resource (``CPU``, ``GPU``, ``memory``) over all nodes."""
        return float(sum(node["Resources"].get(resource, 0.0) for node in self.nodes()))

    def largest(self, resource: str) -> float:
        """Find the largest amount of a resource that one node has."""
        return float(max((node["Resources"].get(resource, 0.0) for node in self.nodes()), default=0.0))


def check_address(address: str) -> str:
    """Return `address`; raise `CosupError` unless it is one: before any work."""
    if address not in ("auto", "local") and not _REMOTE.fullmatch(address):
        raise CosupError(
            f"{address!r} is no address of a Ray cluster; it is HOST:PORT, ray://HOST:PORT, auto (the one that runs on "
            "this machine), or local (one of its own, started and stopped)"
        )
    return address


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """Connect to a cluster while the context lasts.

    Parameters
    ----------
    address : str
        ``host:port`` of the head, ``ray://host:port`` for a machine that is not of the cluster, ``auto`` for the
        cluster that this machine is part of (or that RAY_ADDRESS names), ``local`` for one that is started here with
        all cores, and stopped in the end. A connection that this process has already is used, and left open.

    Yields
    ------
    Cluster

    Raises
    ------
    CosupError
        If Ray is not installed, the address is none, nobody answers there, its versions of Ray or Python are others,
        or this process is connected to another cluster.
    """
    check_address(address)
    ray = import_extra("ray", extra="ray", purpose="a cluster (--ray)")
    if ray.is_initialized():
        _check_same(ray, address)
        yield Cluster(ray, address, _is_client(ray))
        return
    where = os.environ.get("RAY_ADDRESS", address) if address == "auto" else address
    _check_answers(where)
    with _quiet():
        _init(ray, where)
        try:
            yield Cluster(ray, address, _is_client(ray))
        finally:
            ray.shutdown()


def _is_client(ray: ModuleType) -> bool:
    return bool(ray.util.client.ray.is_connected())


def _check_same(ray: ModuleType, address: str) -> None:
    found = _REMOTE.fullmatch(address)
    there = None if _is_client(ray) else ray.get_runtime_context().gcs_address
    if found and not found["client"] and there not in (None, address) and there.rpartition(":")[2] != found["port"]:
        raise CosupError(
            f"this process is connected to the Ray cluster at {there}, not to {address}; call ray.shutdown() first, or "
            "name that one"
        )


def _check_answers(where: str) -> None:
    found = _REMOTE.fullmatch(where)
    if found is None:
        return
    try:
        socket.create_connection((found["host"].strip("[]"), int(found["port"])), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise CosupError(
            f"no Ray cluster answers at {where} ({error}); start one by 'ray start --head --port=6379', or correct the "
            "address: HOST:6379 is a cluster's head as its nodes see it, ray://HOST:10001 as others do"
        ) from error


def _init(ray: ModuleType, where: str) -> None:
    options: dict[str, Any] = {"log_to_driver": False}
    if where == "local":
        import joblib

        options |= {"num_cpus": joblib.cpu_count(), "include_dashboard": False}
    if not where.startswith("ray://"):
        options |= {"logging_level": logging.ERROR}
    try:
        ray.init(address=where, **options)
    except ConnectionError as error:
        raise CosupError(
            f"no Ray cluster was found for --ray {where} ({_first_line(error)}); start one by 'ray start --head', or "
            "take 'local', which starts and stops its own"
        ) from error
    except ValueError as error:  # what the client's missing package is
        raise CosupError(f"--ray {where}: {_first_line(error)}") from error
    # A cluster of other versions, or one that wants another token.
    except (RuntimeError, ray.exceptions.RayError) as error:
        raise CosupError(
            f"the Ray cluster at {where} cannot be used from here: {' '.join(str(error).split())}"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Ray from reporting its use to its makers."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ.setdefault(name, "0")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
