"""Keep a fit's inputs beside the model, so that more can be added, or labels that came back be used."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosup.cli.fit_inputs import join
from cosup.cli.fit_sources import check_join, features_of, labels_of, stack
from cosup.cli.manifest_fields import KINDS, OPTIONS, SOURCES, check_fields
from cosup.embedding.backbones.trust import Trust
from cosup.estimators.fit_folder import AGAIN, read_fit_json
from cosup.io.features import Features
from cosup.io.tables import place_of, unsigned
from cosup.io.texts import read_texts
from cosup.labels import ImportedLabels
from cosup.utils.atomic_files import make_writable
from cosup.utils.plugins import lasting_name, loaded_plugins
from cosup.utils.validation import CosupError

if TYPE_CHECKING:
    from cosup.estimators.base import TeacherSupervised

__all__ = ["RECIPE", "STORE", "Recipe", "read_recipe"]

RECIPE = "fit.json"
STORE = "features"
"""Folder in the fit's own where features are kept."""

SCHEMA = 1


@dataclass(frozen=True)
class Recipe:
    """What a fit was made of.

    Attributes
    ----------
    inputs : tuple of dict
        The options of ``cosup fit`` that name the inputs, a dict each time that something was added; and ``store``,
        where features were kept.
    partial : bool
    method : str
    seed : int
    answers : tuple of str
        Files of a person's labels that ``cosup check`` trained with, and that an update trains with again.
    digests : dict of str to str
        File of labels -> its SHA-256.
    tuned : dict
        Of ``cosup finetune``: the network, and how it was trained.
    left_out : tuple of str
        URLs whose query strings or credentials are not known any more: they are never written.
    parameters : dict
        Of the method, beside the seed.
    plugins : tuple of str
        Files and modules that the fit was given by ``--plugin``. They are named here for people; none is ever run
        because it is.
    """

    inputs: tuple[dict[str, Any], ...]
    partial: bool
    method: str
    seed: int
    answers: tuple[str, ...] = ()
    digests: dict[str, str] | None = None
    tuned: dict[str, Any] | None = None
    left_out: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: Mapping[str, Any], before: Recipe | None = None) -> Recipe:
        """Of the options of a call of ``cosup fit`` or ``finetune``, and what it adds to."""
        if before is not None and before.tuned is not None:
            raise CosupError(
                f"the network of that model was fine-tuned ({before.tuned['tune']}), and --update trains none; name "
                "everything, old and new, to cosup finetune"
            )
        again = options.get("again") or ()
        if before is not None:
            before = before.signed(again)
        elif again:
            raise CosupError("--again is for URLs of an earlier fit, with --update; leave it out")
        own = {name: _each(options.get(name), _absolute) for name in OPTIONS}
        own["store"] = _absolute(options["out"] / STORE)
        inputs = before.inputs if before else ()
        # Of a command that was killed behind its last step, in place: the same once more adds nothing.
        inputs = inputs if inputs and json.loads(json.dumps(own)) == inputs[-1] else (*inputs, own)
        partial = bool(options["partial"]) or (before is not None and before.partial)
        from cosup.methods import DEFAULT  # here and below: who only looks at a fit need not load what trains

        method = options["method"] or (before.method if before else DEFAULT)
        seed = options["seed"] if options["seed"] is not None else before.seed if before else 0
        kept = before.parameters if before is not None and before.method == method else {}
        plugins = (*(before.plugins if before else ()), *map(lasting_name, options.get("plugins", ())))
        return cls(
            inputs, partial, method, seed, answers=before.answers if before else (),
            digests=before.digests if before else None, tuned=options.get("tuned"),
            left_out=before.left_out if before else (), parameters={**kept, **options.get("settings", {})},
            plugins=tuple(dict.fromkeys(plugins)),
        )  # fmt: skip

    def model(self) -> TeacherSupervised:
        """Make the method that is to be fitted.

        Raises
        ------
        CosupError
            If there is no such method, or its parameters are wrong; if a plugin of the earlier fit is not named again;
            or for the oracle.
        """
        self.check_plugins()
        if self.method == "oracle":
            raise CosupError("the oracle needs the truth; it is for 'cosup bench' only")
        if "random_state" in self.parameters:
            raise CosupError("random_state is not for --set; give --seed")
        parameters = {n: tuple(v) if isinstance(v, list) else v for n, v in self.parameters.items()}
        from cosup.methods import make_method

        model = make_method(self.method, random_state=self.seed, **parameters)
        model.check_parameters()
        return model

    def check_plugins(self) -> None:
        """Raise `CosupError` where a plugin of the earlier fit is not named again, with the words to type."""
        loaded = {Path(name).name for name in loaded_plugins()}
        missing = [plugin for plugin in self.plugins if Path(plugin).name not in loaded]
        if missing:
            raise CosupError(
                f"the model was fitted with the plugin{'' if len(missing) == 1 else 's'} {', '.join(missing)}, which "
                "runs only where it is named; if you trust it, add: "
                + " ".join(f"--plugin {shlex.quote(plugin)}" for plugin in missing)
            )

    def method_line(self) -> str:
        """Say what is fitted: method, parameters, seed."""
        own = [f"{name}={json.dumps(value)}" for name, value in self.parameters.items()]
        return ", ".join([self.method, *own, f"seed {self.seed}"])

    @property
    def kind(self) -> str:
        """The option that features were given by first."""
        own = self.inputs[0]
        return next(name for name, option in KINDS.items() if own[option] is not None)

    @staticmethod
    def typed(options: Mapping[str, Any]) -> Trust:
        """The names that stand on the command line."""
        named = [options.get(key) for key in ("backbone", "encoder", "features")]
        for key in ("files", "again", "trust"):
            named += options.get(key) or ()
        named += (options.get("probabilities") or {}).values()
        return Trust(frozenset(str(name) for name in named if name is not None))

    def shown(self) -> dict[str, Any]:
        """The folder of all images and the file of all texts, for the explorer; None where there is none or more."""
        out: dict[str, Any] = {}
        for name in ("images", "texts"):
            found = {own[name] for own in self.inputs if own[name] is not None}
            out[name] = Path(found.pop()) if len(found) == 1 else None
        return out

    def signed(self, urls: Sequence[str]) -> Recipe:
        """The same with URLs as they were given once, for those that `RECIPE` holds in part."""
        whole = {unsigned(url): url for url in urls}
        for name in whole:
            if name not in (*self.left_out, *self.urls()):
                raise CosupError(
                    f"--again names {name}, of which nothing is missing"
                    + (f"; what is: {', '.join(self.left_out)}" if self.left_out else "; leave it out")
                )
        inputs = _each(self.inputs, lambda text: whole.get(text, text) if isinstance(text, str) else text)
        return replace(self, inputs=tuple(inputs), left_out=tuple(url for url in self.left_out if url not in whole))

    def urls(self) -> list[str]:
        """URLs among the inputs."""
        named = [
            name for own in self.inputs for name in (own["features"], *own["files"], *own["probabilities"].values())
        ]
        return [name for name in named if name is not None and isinstance(place_of(name), str)]

    def samples(self, given: Features) -> Any:
        """What a network is fine-tuned on, in the order of the features' rows: images or texts."""
        own = self.inputs[0]
        assert given.ids is not None
        if own["images"] is not None:
            from cosup.finetuning.classifier import ImageFiles

            return ImageFiles(own["images"], given.ids)
        known = read_texts(own["texts"])
        return [known[name] for name in given.ids]

    def to_json(self) -> str:
        """As it is written to `RECIPE`."""
        files = [file for own in self.inputs for file in (*own["files"], *own["probabilities"].values())]
        digests = {file: _digest(Path(file)) for file in files if Path(file).is_file()}
        given = [*files, *(own["features"] for own in self.inputs if own["features"] is not None)]
        left = {*self.left_out, *(unsigned(url) for url in given if unsigned(url) != url)}
        plain = replace(
            self, inputs=tuple(_each(self.inputs, _unsigned)), digests=digests, left_out=tuple(sorted(left))
        )
        return json.dumps({"schema": SCHEMA, **asdict(plain)}, indent=1) + "\n"

    def gather(
        self, store: Path, trust: Trust, *, kept: Sequence[Path] = ()
    ) -> tuple[Features, ImportedLabels, list[str]]:
        """Read all inputs again.

        Parameters
        ----------
        store : Path
            Where features are kept that have to be computed; nothing is written where the manifest says.
        trust : Trust
            Names that stand on the command line: of backbones, encoders and URLs.
        kept : sequence of Path
            Folders of features beside those that the manifest names, to be read.

        Returns
        -------
        features : Features
        labels : ImportedLabels
            In the order of the features' rows.
        notes : list of str

        Raises
        ------
        CosupError
            As `gather_labels` and `gather_features`; for parts that can't be told apart since they have no ids; for
            URLs of which a part is not known; and for URLs, backbones and encoders that nobody named.
        """
        self.check_plugins()
        if self.left_out:
            raise CosupError(
                f"query strings and credentials of URLs are not kept in {RECIPE}; give these again, whole: "
                + ", ".join(f"--again {url}" for url in self.left_out)
            )
        for own in self.inputs:  # before anything is read
            for kind in ("backbone", "encoder"):
                if own[kind] is not None:
                    trust.check(kind, own[kind])
        unnamed = [url for url in self.urls() if url not in trust.names]
        if unnamed:
            raise CosupError(
                f"{RECIPE} names URLs, and nothing that a file names is fetched unless you name it, too: add "
                + " ".join(f"--again {url}" for url in dict.fromkeys(unnamed))
            )
        folders = list(dict.fromkeys([*kept, *(Path(own["store"]) for own in self.inputs)]))
        notes = [
            f"{file} has changed since the fit"
            for file, digest in (self.digests or {}).items()
            if Path(file).is_file() and _digest(Path(file)) != digest
        ]
        labels = labels_of(self.inputs)
        match = next((own["match"] for own in reversed(self.inputs) if own.get("match")), None)
        sources = [own for own in self.inputs if any(own[source] is not None for source in SOURCES)] or self.inputs[:1]

        # Labels are joined with the list of samples before anything is embedded, which may take hours.
        if any(own["features"] is None for own in sources):
            check_join(sources, labels, partial=self.partial, match=match)
            make_writable(store.parent)
        features: Features | None = None
        for own in sources:
            features = stack(features, features_of(own, features, store, trust, folders))
        assert features is not None
        joined, note = join(features, labels, partial=self.partial, match=match)
        return features, joined, [*([note] if note else []), *features.notes, *notes]


def read_recipe(folder: Path) -> Recipe:
    """Read what ``cosup fit`` wrote.

    Raises
    ------
    CosupError
        If there is none, or it is broken or of a later version.
    """
    path = folder / RECIPE
    content = read_fit_json(folder, RECIPE)
    if content is None:
        raise CosupError(
            f"{folder} holds no {RECIPE}, which says what the model was fitted on; fit it again with this version"
        )
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise CosupError(f"{path} is broken: it has no schema; {AGAIN}")
    if content.pop("schema") != SCHEMA:
        raise CosupError(f"{path} is of a later version of cosup; upgrade, or {AGAIN}")
    check_fields(content, path)
    inputs: Any = content["inputs"]
    known = {own.name for own in fields(Recipe)}
    recipe = Recipe(**{name: value for name, value in content.items() if name in known})
    return replace(
        recipe, inputs=tuple(inputs), answers=tuple(recipe.answers), left_out=tuple(recipe.left_out),
        plugins=tuple(recipe.plugins),
    )  # fmt: skip


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same with everything in lists and mappings changed; tuples become lists, as in JSON."""
    if isinstance(value, Mapping):
        return {key: _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list | tuple) else change(value)


def _absolute(value: Any) -> Any:
    """Paths as absolute texts; URLs, names and numbers as they are."""
    return str(value.resolve()) if isinstance(value, Path) else value


def _unsigned(value: Any) -> Any:
    return unsigned(value) if isinstance(value, str) else value


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
