"""The register of tasks: one decorated function a task."""

from __future__ import annotations

import dataclasses
import inspect
import operator
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from cosup.embedding.feature_cache import FeatureCache
from cosup.tasks.task import Task
from cosup.utils.registry import Registry
from cosup.utils.validation import CosupError, check_choice, suggest

Builder = Callable[..., Task]
Members = Callable[..., list[str]]


@dataclass(frozen=True)
class _Entry:
    summary: str
    build: Builder
    options: tuple[str, ...]
    members: Members | None = None


TASKS: Registry[_Entry] = Registry("task")
"""Tasks by name."""


def register_task(
    name: str, summary: str, *, options: Iterable[str] | None = None, members: Members | None = None
) -> Callable[[Builder], Builder]:
    """Register the decorated function as a task.

    Parameters
    ----------
    name : str
        The name that :func:`load_task` knows it by.
    summary : str
        One line for :func:`list_tasks`.
    options : iterable of str, optional
        The names of its options. Default: the function's own keyword arguments other than `seed`, `cache`.
    members : callable, optional
        For a task that stands for all data sets of a folder: from its option ``root`` to their names. ``name-MEMBER``
        is then a task, too, with ``member="MEMBER"`` given to the function; see :func:`expand_task`.

    Returns
    -------
    decorator
        For a function called as ``build(seed=int, cache=FeatureCache or None, **options)`` that returns a
        :class:`Task`. `cache` is None when the caller named none: use ``FeatureCache()`` if one is needed.

    Raises
    ------
    CosupError
        If the name is taken.

    Examples
    --------
    >>> from cosup.tasks import make_hierarchy, register_task
    >>> @register_task("tiny", "a small planted hierarchy")  # doctest: +SKIP
    ... def tiny(*, seed, cache, n_classes=4):
    ...     return make_hierarchy(200, 100, n_classes=n_classes, random_state=seed)
    """

    def entry(build: Builder) -> _Entry:
        found = inspect.signature(build).parameters if options is None else options
        open_options = tuple(o for o in found if o not in ("seed", "cache", "member"))
        return _Entry(summary, build, open_options, members)

    return TASKS.decorator(name, entry)


def register_member(family: str, member: str, summary: str, **options: object) -> None:
    """Register ``family-member``: the task `family` with some of its options set; the others stay open.

    Members whose name is a number are what a sweep over `family` is drawn against.

    Raises
    ------
    CosupError
        If the name is taken, or the family is not registered or lacks an option.
    """
    name = f"{family}-{member}"
    whole = TASKS.find(family)
    for option in options:
        check_choice(option, whole.options, "option")
    rest = tuple(option for option in whole.options if option not in options)

    def build(**others: Any) -> Task:
        return dataclasses.replace(whole.build(**options, **others), name=name)

    register_task(name, summary, options=rest)(build)


def _find(name: str) -> _Entry:
    """Return a registered task's entry, or that of a member of a folder of data sets."""
    for family, whole in TASKS.items():
        member = name.removeprefix(f"{family}-")
        if whole.members is not None and name not in TASKS and member != name and member:
            return _Entry(whole.summary, partial(whole.build, member=member), whole.options)
    return TASKS.find(name)


def expand_task(name: str, options: Mapping[str, Any]) -> list[str]:
    """Name the tasks that a name stands for: itself, or one for every data set of the folder ``root``.

    Raises
    ------
    CosupError
        If there is no such task; for a folder of data sets, if ``root`` is not given or holds none.
    """
    entry = _find(name)
    if entry.members is None:
        return [name]
    if not options.get("root"):
        raise CosupError(f"the task {name!r} stands for the data sets of a folder; name it with --root DIR (root=)")
    return [f"{name}-{member}" for member in entry.members(options["root"])]


def list_tasks() -> dict[str, str]:
    """Name the tasks that :func:`load_task` can load.

    Returns
    -------
    dict of str to str
        Name -> one line, sorted by name; the numbers of a family's members count as numbers.
    """
    return {name: TASKS[name].summary for name in sorted(TASKS, key=_natural)}


def _natural(name: str) -> tuple[str, int]:
    stem, number = re.fullmatch(r"(.*?)(\d*)", name).groups()  # type: ignore[union-attr]  # it matches every name
    return stem, int(number or -1)


def task_options(name: str) -> tuple[str, ...]:
    """Name the options that :func:`load_task` takes for a task.

    Raises
    ------
    CosupError
        If there is no such task.
    """
    return _find(name).options


def load_task(
    name: str,
    *,
    seed: int = 0,
    cache: FeatureCache | str | os.PathLike[str] | None = None,
    **options: object,
) -> Task:
    """Load a task by name.

    Parameters
    ----------
    name : str
        A name of :func:`list_tasks`.
    seed : int, default 0
        Decides everything random in the task: the split, or the planted hierarchy.
    cache : FeatureCache or path, optional
        Where computed features are kept. Default: :class:`FeatureCache`'s own default folder; it is not
        touched by tasks that compute no features.
    **options
        The task's own options, for instance ``labels="hard"`` for ``"digits-classes"``, or any argument of
        :func:`make_hierarchy` for ``"hierarchy"``.

    Returns
    -------
    Task
        Features, labels of the teachers, and the truth to measure with.

    Raises
    ------
    CosupError
        If the name or an option is unknown (the message lists what there is), if `seed` is not a whole
        number from 0 up, or if the task lacks an extra.
    """
    entry = _find(name)
    for option in options:
        if option not in entry.options:
            raise CosupError(f"the task {name!r} has no option {option!r}.{suggest(option, entry.options)}")
    if cache is not None and not isinstance(cache, FeatureCache):
        cache = FeatureCache(cache)
    if entry.members is not None:
        names = ", ".join(expand_task(name, options))
        raise CosupError(f"the task {name!r} stands for several: {names}")
    return entry.build(seed=check_seed(seed, name="seed"), cache=cache, **options)


def check_seed(seed: object, *, name: str) -> int:
    """Return `seed` as an int.

    Raises
    ------
    CosupError
        If it is not a whole number from 0 up.
    """
    try:
        value = operator.index(seed)  # type: ignore[arg-type]  # the TypeError is the check
    except TypeError as error:
        raise CosupError(f"{name} must be a whole number from 0 up, got {seed!r}") from error
    if value < 0 or isinstance(seed, bool):
        raise CosupError(f"{name} must be a whole number from 0 up, got {seed!r}")
    return value
