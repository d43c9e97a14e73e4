"""Write the outputs of a fit into its folder beside the model, and read them again."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cosup.cli.fit_inputs import NAMES
from cosup.cli.fit_manifest import MANIFEST, FitManifest
from cosup.cli.shell import versions
from cosup.embedding import list_image_files
from cosup.estimators.accuracy import Estimates
from cosup.estimators.fit_folder import AGAIN, read_fit_json, write_fit
from cosup.io.features import Features
from cosup.io.tables import unsigned
from cosup.io.texts import read_texts
from cosup.labels import ImportedLabels, TeacherLabels
from cosup.provenance import PARQUET, TABLE_CSV, Account, account_files
from cosup.report import REPORT_NAME
from cosup.report.explorer import build_explorer
from cosup.utils.validation import CosupError, IntArray

__all__ = ["FinishedFit", "leave", "pictures_of", "read_estimates", "read_history", "texts_of"]

HISTORY, ESTIMATES, TIMINGS = "history.json", "estimates.json", "timings.json"

SECONDS = "seconds"
"""Of a level's record: what a clock says, which no two runs have alike."""


@dataclass(frozen=True, eq=False)
class FinishedFit:
    """A fitted model, and all that its folder says of it.

    Attributes
    ----------
    model : estimator of cosup
        With ``history_``, ``provenance_`` and ``estimates_``.
    labels : ImportedLabels
    X : ndarray of shape (n_samples, n_features)
        What the model answers on.
    given : Features
    manifest : FitManifest
    facts : mapping of str to str
    known : ndarray of shape (n_samples,), int, optional
        Class ids that a person gave, -1 elsewhere: nobody need look at these again.
    """

    model: Any
    labels: ImportedLabels
    X: Any
    given: Features
    manifest: FitManifest
    facts: Mapping[str, str]
    known: IntArray | None = None


def leave(
    folder: Path,
    fit: FinishedFit,
    files: Mapping[str, str | bytes],
    *,
    before: Account | None = None,
    timings: Mapping[str, Any] | None = None,
    remove: Iterable[str] = (),
) -> Account:
    """Write all that a fit leaves, or nothing: provenance, estimates, explorer, history, manifest and the model.

    Parameters
    ----------
    folder : Path
    fit : FinishedFit
    files : mapping of str to str or bytes
        The model's.
    before : Account, optional
        Of the model that this one came from, where it was read from disk, and has its last student only.
    timings : mapping of str to object, optional
        Times beside the levels' seconds. It goes into a file of its own: the others are the same, byte for
        byte, whenever the same is fitted on the same machine.
    remove : iterable of str
        What goes of an earlier fit.
    """
    model, labels, X, facts = fit.model, fit.labels, fit.X, fit.facts
    ids = labels.ids if labels.ids is not None else fit.given.ids
    facts = {**{name: unsigned(text) for name, text in facts.items()}, "Versions": versions()}
    estimates = model.estimates_
    from cosup.provenance import find_nearest, look_first  # they train and search, which who reads need not load

    order, parts = look_first(X, labels, model)
    if fit.known is not None:
        order = order[np.argsort(fit.known[order] >= 0, kind="stable")]
    account = Account.of(
        model, labels, X, class_names=labels.class_names, ids=ids, looking=(order, parts),
        nearest=find_nearest(X, order),
    )  # fmt: skip
    if before is not None:
        account.level_answer[:, :-1] = before.level_answer[:, :-1]
    # All is made before anything is written: what can't be shown leaves no half of a fit behind.
    images, texts = fit.manifest.shown()
    page = build_explorer(
        account, [_untimed(entry) for entry in model.history_], facts=facts, estimates=estimates, folder=str(folder),
        images=pictures_of(images, account.ids), texts=texts_of(texts, account.ids),
    )  # fmt: skip
    history, seconds = history_json(model.history_, labels)
    contents: dict[str, str | bytes] = {
        **account_files(account, facts), REPORT_NAME: page, HISTORY: history, MANIFEST: fit.manifest.to_json(), **files,
    }  # fmt: skip
    if estimates is not None:
        contents[ESTIMATES] = json.dumps(estimates.to_json(), indent=1, allow_nan=False) + "\n"
    # Of an earlier fit, by another method, or by an installation with or without pyarrow.
    stale = {PARQUET, TABLE_CSV, ESTIMATES, *remove}
    measured = {TIMINGS: json.dumps({"levels": seconds, **(timings or {})}, indent=1, allow_nan=False) + "\n"}
    write_fit(folder, contents, measured=measured, remove=stale)
    return account


def history_json(history: Sequence[Mapping[str, Any]], labels: TeacherLabels) -> tuple[str, list[Any]]:
    """Write the history a level, its arrays summed up: how many samples each teacher was believed on; and seconds."""
    out = []
    for entry in map(_untimed, history):
        if isinstance(entry["assigned"], Mapping):  # read from a folder
            out.append(entry)
            continue
        assigned = np.asarray(entry["assigned"])
        plain = {key: _plain(value) for key, value in entry.items() if key not in ("assigned", "kept", "teachers")}
        teachers = {labels.names[int(t)]: int(np.sum(assigned == t)) for t in entry["teachers"]}
        out.append({**plain, "assigned": teachers, "unassigned": int(np.sum(assigned < 0))})
    seconds = [_plain(entry.get(SECONDS)) for entry in history]
    return json.dumps(out, indent=1, allow_nan=False) + "\n", seconds


def _untimed(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != SECONDS}


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The history that a fit left, a record a level, with its seconds; empty where there is none.

    Raises
    ------
    CosupError
        If a file holds something else.
    """
    found = read_fit_json(folder, HISTORY)
    if found is None:
        return []
    where = f"{folder / HISTORY} is not the history of a fit"
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise CosupError(f"{where}; {AGAIN}")
    for entry in found:
        for field, good in _ENTRY.items():
            if field not in entry or not good(entry[field]):
                raise CosupError(f"{where}: {field!r} is missing, or has a value it can't have; {AGAIN}")
    timings = read_fit_json(folder, TIMINGS)
    if timings is None:
        return found
    seconds = timings.get("levels") if isinstance(timings, dict) else None
    if not isinstance(seconds, list) or len(seconds) != len(found) or not all(map(_perhaps(_amount), seconds)):
        raise CosupError(f"{folder / TIMINGS} does not hold the seconds of {len(found)} levels; delete it, or {AGAIN}")
    return [{**entry, SECONDS: value} for entry, value in zip(found, seconds, strict=True)]


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15


def _amount(value: Any) -> bool:
    return _number(value) and value >= 0


def _share(value: Any) -> bool:
    return _number(value) and 0 <= value <= 1


def _count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1 << 53


def _perhaps(check: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """Make a check that takes null, too: numbers may be unknown."""
    return lambda value: value is None or check(value)


_ENTRY: dict[str, Callable[[Any], bool]] = {
    "level": _count,
    "assigned": lambda value: isinstance(value, dict) and all(map(_count, value.values())),
    "unassigned": _count,
    "keep_rate": _perhaps(_share),
    "agreement": _perhaps(_share),
    "objective": _perhaps(_number),
    "alpha": _perhaps(_amount),
    "rounds": _count,
    "outcome": lambda value: isinstance(value, str),
    "notes": lambda value: isinstance(value, list) and all(isinstance(note, str) for note in value),
}
"""Fields of a level's record, and what they may hold."""


def read_estimates(folder: Path) -> Estimates | None:
    """Read the accuracies that ``cosup fit`` estimated without a label, where its method does.

    Raises
    ------
    CosupError
        If the file holds something else.
    """
    content = read_fit_json(folder, ESTIMATES)
    if content is None:
        return None
    try:
        return Estimates.from_json(content)
    except CosupError as error:
        raise CosupError(f"{folder / ESTIMATES}: {error}; {AGAIN}") from error


def pictures_of(folder: Path | None, ids: Sequence[str]) -> list[Path] | None:
    """The samples' files: ids are paths in the folder, or names with or without extension that are there once."""
    if folder is None:
        return None
    listed = list_image_files(folder)
    forms: list[dict[str, str]] = [{path: path for path in listed}]
    for called in NAMES.values():
        names = [called(path) for path in listed]
        often = Counter(names)
        forms.append({name: path for name, path in zip(names, listed, strict=True) if often[name] == 1})
    found = [next((form[name] for form in forms if name in form), None) for name in ids]
    missing = [name for name, path in zip(ids, found, strict=True) if path is None]
    if missing:
        raise CosupError(
            f"{folder} has no image, or several, for {len(missing)} of {len(ids)} samples ({missing[0]!r} is the "
            "first); ids must be paths in the folder or names of files"
        )
    return [folder / path for path in found if path is not None]


def texts_of(path: Path | None, ids: Sequence[str]) -> list[str] | None:
    """Return the samples' texts, by id."""
    if path is None:
        return None
    texts = read_texts(path)
    missing = [name for name in ids if name not in texts]
    if missing:
        raise CosupError(f"{path} lacks the text of {len(missing)} of {len(ids)} samples, {missing[0]!r} is the first")
    return [texts[name] for name in ids]
