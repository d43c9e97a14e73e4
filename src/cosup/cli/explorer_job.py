"""The jobs of ``cosup explore`` and ``cosup serve``: the explorer in a file, and served to look and to label."""

from __future__ import annotations

import getpass
import itertools
import secrets
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from cosup import provenance
from cosup.cli.fit_manifest import MANIFEST, read_manifest
from cosup.cli.fit_outputs import pictures_of, read_estimates, read_history, texts_of
from cosup.provenance import Account, read_account
from cosup.report import REPORT_NAME
from cosup.report.explorer import (
    ANSWERS,
    LARGEST,
    LOOPBACK,
    Comparison,
    LabelStore,
    build_explorer,
    count_flips,
    make_app,
)
from cosup.utils.atomic_files import make_writable, write_whole
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["ServeOptions", "own_samples", "run_explore", "run_serve"]

COMPARED = "compared.html"

ANYWHERE = ("0.0.0.0", "::")  # noqa: S104 (what a person may ask for)
"""Addresses of all of a machine's networks."""


def run_explore(folder: Path, images: Path | None, texts: Path | None, out: Path | None, compare: Path | None) -> None:
    """Write the explorer of the fit in `folder`, beside that of `compare` where one is named."""
    account, facts = read_account(folder)
    out = folder / (REPORT_NAME if compare is None else COMPARED) if out is None else out
    against = None
    if compare is not None:
        against = Comparison(read_account(compare)[0], read_estimates(compare), title=compare.name)
    images, texts = own_samples(folder, images, texts)
    page = build_explorer(
        account, read_history(folder), facts=facts, estimates=read_estimates(folder), folder=str(folder),
        images=pictures_of(images, account.ids), texts=texts_of(texts, account.ids), against=against,
    )  # fmt: skip
    write_whole(out, page)
    click.echo(f"The explorer is in {out.resolve()}")
    if against is not None:
        before = against.before(account)
        both = (before >= 0) & (account.answer >= 0)
        moved = int((before != account.answer)[both].sum())
        click.echo(f"{moved:,} of {int(both.sum()):,} answers changed from {compare} to {folder}")
    if len(account) > LARGEST:
        click.echo(f"It holds the {LARGEST:,} samples most worth a look; all {len(account):,}: cosup serve {folder}")


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """The options of ``cosup serve``, by their names in the command's help."""

    images: Path | None = None
    texts: Path | None = None
    label: bool = False
    who: str | None = None
    host: str = "127.0.0.1"
    port: int = 0
    host_names: Sequence[str] = ()


def run_serve(folder: Path, options: ServeOptions) -> None:
    """Serve the explorer of the fit in `folder` until interrupted.

    Raises
    ------
    CosupError
        If answers were to be taken from other machines.
    """
    uvicorn: Any = import_extra("uvicorn", extra="serve", purpose="serving the explorer")
    account, facts = read_account(folder)
    images, texts, host, host_names = options.images, options.texts, options.host, options.host_names
    local = host in LOOPBACK
    if options.label and not local:
        raise CosupError(f"--label writes to {folder}, so it listens at this machine only; leave --host out")
    if host in ANYWHERE and not host_names:
        raise CosupError(f"--host {host} is no name that a browser can ask for; add --host-name NAME, this machine's")
    store = None
    if options.label:
        make_writable(folder)
        store = LabelStore(
            folder / ANSWERS, account.ids, account.class_names, who=_who() if options.who is None else options.who
        )
    if local:  # other machines are shown what is named here only
        images, texts = own_samples(folder, images, texts)
    names = (*LOOPBACK, *([] if host in ANYWHERE else [host]), *host_names)
    token = None if local else secrets.token_urlsafe(16)
    app = make_app(
        account, read_history(folder), facts=facts, estimates=read_estimates(folder),
        images=pictures_of(images, account.ids), texts=texts_of(texts, account.ids), hosts=names, token=token,
        folder=str(folder), labels=store, check=lambda: _check(folder, account),
    )  # fmt: skip
    if not local:
        click.echo("Note: whoever has this address can read all samples, and it travels unencrypted", err=True)
    page = "#label" if options.label else "" if token is None else f"{token}/"
    called = host_names[0] if host_names else f"[{host}]" if ":" in host else host
    click.echo(f"http://{called}:{options.port}/{page} shows {len(account):,} samples; stop it with Ctrl+C")
    uvicorn.run(app, host=host, port=options.port, log_level="warning", server_header=False, proxy_headers=False)


def own_samples(folder: Path, images: Path | None, texts: Path | None) -> tuple[Path | None, Path | None]:
    """The samples' images and texts: those that are named, or else what the fit was made of, where that is there."""
    if images is not None or texts is not None or not (folder / MANIFEST).is_file():
        return images, texts
    images, texts = read_manifest(folder).shown()
    there = [path if path is not None and path.exists() else None for path in (images, texts)]
    return there[0], there[1]


def _who() -> str:
    """The name of the account that runs this, where it has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _check(folder: Path, account: Account) -> dict[str, Any]:
    """Run ``cosup check`` on the answers of label mode, into a new folder; what it says, and what moved."""
    path = folder / ANSWERS
    options = []
    for option, drawn in (("--answers", False), ("--uniform", True)):
        try:
            provenance.read_answers(path, account.ids, account.class_names, drawn=drawn)
        except CosupError:  # none of this kind; of what is wrong with the file, the command speaks
            continue
        options += [option, str(path)]
    if not options:
        raise CosupError("nothing is labelled yet")
    out = next(
        place
        for k in itertools.count(1)
        if not (place := Path(f"{folder}-checked{'' if k == 1 else f'-{k}'}")).exists()
    )
    words = ["check", str(folder), *options, "--out", str(out)]
    # A process of its own: what it prints is its own, and a training takes nothing from the server.
    command = [sys.executable, "-c", "from cosup.cli import main; main()", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (no shell, our own words)
    if done.returncode:
        raise CosupError(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "cosup check failed")
    new, _ = read_account(out)
    flips = count_flips(Comparison(account).before(new), new.answer, len(new.class_names))
    return {"text": done.stdout, "flips": flips, "folder": str(out)}
