"""A command that says at once all that is missing or wrong among its options, before any work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import Enum
from typing import Any

import click
from click.core import iter_params_for_processing

from cosup.cli.options import one_source
from cosup.utils.errors import CosupError

__all__ = ["CompleteCommand", "needs_of_fit"]


class CompleteCommand(click.Command):
    """A command whose options are all looked at before the first mistake is reported.

    Parameters
    ----------
    needs : callable
        Gets the options that could be read, and yields what is missing or does not go together.
    """

    def __init__(self, *args: Any, needs: Callable[[Mapping[str, Any]], Iterator[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._needs = needs

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; raise one error of all mistakes."""
        parser = self.make_parser(ctx)
        given, rest, order = parser.parse_args(args=list(args))
        faults: list[str] = []
        last: click.UsageError | None = None
        for option in iter_params_for_processing(order, self.get_params(ctx)):
            try:
                _, rest = option.handle_parse_result(ctx, given, rest)
            except click.UsageError as error:
                last = error
                faults.append(error.format_message())
        # Of an option that is not given, click's later versions hold a sentinel until all are read.
        ctx.params = {name: None if isinstance(value, Enum) else value for name, value in ctx.params.items()}
        if rest:
            faults.append(f"unexpected: {' '.join(rest)}")
        if not ctx.resilient_parsing:
            faults += self._needs(ctx.params)
        if last is not None and len(faults) == 1:
            raise last
        if faults:
            head = "" if len(faults) == 1 else f"{len(faults)} things are missing or wrong:\n  - "
            raise click.UsageError(head + "\n  - ".join(faults), ctx=ctx)
        ctx.args = rest
        return rest


def needs_of_fit(options: Mapping[str, Any]) -> Iterator[str]:
    """Yield what ``cosup fit`` lacks; an option that could not be read is not among `options`, and not missed."""
    anew = options.get("update") is None
    there = {"features", "images", "texts"} & options.keys()
    given = [name for name in sorted(there) if options[name] is not None]
    if len(there) == 3 and (len(given) > 1 or (anew and not given)):
        yield one_source(given)
    for name, goes_with, option in (
        ("backbone", "images", "images"), ("skip_unreadable", "images", "images"), ("encoder", "texts", "text"),
    ):  # fmt: skip
        if options.get(name) and goes_with in there and options[goes_with] is None:
            yield f"--{name.replace('_', '-')} is for --{option}; leave it out"
    labels = {"files", "probabilities"} & options.keys()
    if anew and len(labels) == 2 and not any(options[name] for name in labels):
        yield "no labels are named; give --labels FILE, or --probabilities TEACHER=FILE"
    if "out" in options and options["out"] is None:
        yield "no folder for the model is named; give --out FOLDER"
    if anew and options.get("again"):
        yield "--again is for URLs of an earlier fit, with --update; leave it out"
    if anew and (options.get("method") or options.get("settings")):
        from cosup.cli.fit_manifest import FitManifest
        from cosup.methods import DEFAULT

        method, settings = options.get("method") or DEFAULT, options.get("settings", {})
        try:
            FitManifest((), partial=False, method=method, seed=0, parameters=settings).model()
        except CosupError as error:
            yield str(error)
