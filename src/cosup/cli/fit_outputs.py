"""What a fit leaves in its folder beside the model: written, and read again."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cosup.cli.fit_inputs import NAMES
from cosup.cli.fit_manifest import RECIPE, Recipe
from cosup.cli.shell import versions
from cosup.cosupervision.accuracy_estimates import Estimates as Known
from cosup.embedding import list_image_files
from cosup.io.features import Features, read_texts
from cosup.io.tables import unsigned
from cosup.labels import ImportedLabels, TeacherLabels
from cosup.provenance import PARQUET, TABLE_CSV, Account, account_files, look_first
from cosup.report import REPORT_NAME
from cosup.report.explorer import Estimates, build_explorer
from cosup.utils.atomic_files import write_whole
from cosup.utils.validation import CosupError, IntArray

__all__ = ["leave", "pictures_of", "read_estimates", "read_history", "read_known", "texts_of"]

HISTORY, ESTIMATES = "history.json", "estimates.json"


def leave(
    folder: Path,
    model: Any,
    said: ImportedLabels,
    X: Any,
    *,
    given: Features,
    recipe: Recipe,
    facts: Mapping[str, str],
    save: Callable[[], None],
    known: IntArray | None = None,
    before: Account | None = None,
) -> Account:
    """Write all that a fit leaves: provenance, estimates, explorer, history, recipe, and last the model.

    Parameters
    ----------
    folder : Path
    model : estimator of cosup
        With ``history_``, ``provenance_`` and ``estimates_``.
    said : ImportedLabels
    X : ndarray of shape (n_samples, n_features)
        What the model answers on.
    given : Features
    recipe : Recipe
    facts : mapping of str to str
    save : callable
        Writes the model.
    known : ndarray of shape (n_samples,), int, optional
        Class ids that a person gave, -1 elsewhere: nobody need look at these again.
    before : Account, optional
        Of the model that this one came from, where it was read from disk, and has its last student only.
    """
    ids = said.ids if said.ids is not None else given.ids
    facts = {**{name: unsigned(text) for name, text in facts.items()}, "Versions": versions()}
    estimates = _known_accuracies(model)
    order, parts = look_first(X, said, model)
    if known is not None:
        order = order[np.argsort(known[order] >= 0, kind="stable")]
    account = Account.of(model, said, X, class_names=said.class_names, ids=ids, looking=(order, parts))
    if before is not None:
        account.level_answer[:, :-1] = before.level_answer[:, :-1]
    # All is made before anything is written: what can't be shown leaves no half of a fit behind.
    samples = recipe.shown()
    page = build_explorer(
        account, model.history_, facts=facts, estimates=estimates, images=pictures_of(samples["images"], account.ids),
        texts=texts_of(samples["texts"], account.ids),
    )  # fmt: skip
    files = account_files(account, facts)
    for name, content in files.items():
        write_whole(folder / name, content)
    for stale in {PARQUET, TABLE_CSV} - set(files):  # of an earlier fit, by an installation with or without pyarrow
        (folder / stale).unlink(missing_ok=True)
    if estimates is None:
        (folder / ESTIMATES).unlink(missing_ok=True)
    else:
        write_whole(folder / ESTIMATES, json.dumps(estimates.to_json(), indent=1, allow_nan=False) + "\n")
    write_whole(folder / REPORT_NAME, page)
    write_whole(folder / HISTORY, history_json(model.history_, said))
    write_whole(folder / RECIPE, recipe.to_json())
    save()
    return account


def _known_accuracies(model: Any) -> Estimates | None:
    """What the model knows about accuracies, where its method does, for the explorer."""
    known = model.estimates_
    if known is None:
        return None
    overall = np.vstack([known.teachers, known.student])
    by_class = np.concatenate([known.by_class, np.full((1, *known.by_class.shape[1:]), np.nan)])
    return Estimates(overall, by_class, "Estimated without a label, 90 % intervals: docs/method.md says how.")


def history_json(history: Sequence[Mapping[str, Any]], labels: TeacherLabels) -> str:
    """Write the history a level, its arrays summed up: how many samples each teacher was believed on."""
    out = []
    for entry in history:
        if isinstance(entry["assigned"], Mapping):  # read from a folder
            out.append(dict(entry))
            continue
        assigned = np.asarray(entry["assigned"])
        plain = {key: _plain(value) for key, value in entry.items() if key not in ("assigned", "kept", "teachers")}
        teachers = {labels.names[int(t)]: int(np.sum(assigned == t)) for t in entry["teachers"]}
        out.append({**plain, "assigned": teachers, "unassigned": int(np.sum(assigned < 0))})
    return json.dumps(out, indent=1, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)


def read_history(folder: Path) -> list[dict[str, Any]]:
    """The history that a fit left, a record a level; empty where there is none."""
    return _json(folder / HISTORY) or []


def read_known(folder: Path) -> Known | None:
    """What ``cosup fit`` estimated without a label, where its method does."""
    content = read_estimates(folder)
    if content is None or content.by_class is None:
        return None
    return Known(content.overall[-1], content.overall[:-1], content.by_class[:-1])


def read_estimates(folder: Path) -> Estimates | None:
    """The same as the explorer shows it."""
    content = _json(folder / ESTIMATES)
    return None if content is None else Estimates.from_json(content)


def _json(path: Path) -> Any:
    """What the file holds; None if it isn't there."""
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise CosupError(f"{path} is not JSON ({error}); fit the model again") from error


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
