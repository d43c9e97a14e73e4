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
from cosup.cli.fit_options import KINDS, FitOptions, InputOptions
from cosup.cli.fit_sources import check_join, features_of, labels_of, stack, trust_inputs
from cosup.cli.manifest_fields import check_fields
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

__all__ = ["MANIFEST", "STORE", "FitManifest", "RecordedInputs", "read_manifest"]

MANIFEST = "fit.json"
"""File in the fit's own folder that the manifest is written to."""

STORE = "features"
"""Folder in the fit's own where features are kept."""

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class RecordedInputs(InputOptions):
    """The inputs that one command named, with whole paths, and the folder where it kept their features."""

    store: Path

    @classmethod
    def of(cls, options: FitOptions) -> RecordedInputs:
        """Take the inputs of a command's options."""
        named = {own.name: getattr(options, own.name) for own in fields(InputOptions)}
        return cls.from_plain(_each({**named, "store": options.out / STORE}, _absolute))

    @classmethod
    def from_plain(cls, content: Mapping[str, Any]) -> RecordedInputs:
        """Make them of what a JSON file holds; `check_fields` has looked at it."""
        named = {own.name: content[own.name] for own in fields(cls)}
        for name in ("images", "texts", "store"):
            named[name] = None if named[name] is None else Path(named[name])
        named["features"] = None if named["features"] is None else place_of(named["features"])
        named["files"] = tuple(map(place_of, named["files"]))
        named["probabilities"] = {teacher: place_of(file) for teacher, file in named["probabilities"].items()}
        return cls(**named)

    def plain(self) -> dict[str, Any]:
        """Give what is written to a JSON file."""
        found: dict[str, Any] = _each(asdict(self), lambda value: str(value) if isinstance(value, Path) else value)
        return found

    def urls(self) -> list[str]:
        """List the URLs that are named."""
        return [place for place in self.places if isinstance(place, str)]


@dataclass(frozen=True)
class FitManifest:
    """The record of a fit: its inputs, its method and all that is needed to fit it again.

    Attributes
    ----------
    inputs : tuple of RecordedInputs
        One a command: the first fit's, and one each time that something was added.
    partial : bool
    method : str
    seed : int
    answers : tuple of str
        Files of a person's labels that ``cosup check`` trained with, and that an update trains with again.
    uniform : tuple of str
        Files of a person's labels of samples that were drawn uniformly: probabilities are calibrated by them, here and
        in an update.
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

    inputs: tuple[RecordedInputs, ...]
    partial: bool
    method: str
    seed: int
    answers: tuple[str, ...] = ()
    uniform: tuple[str, ...] = ()
    digests: dict[str, str] | None = None
    tuned: dict[str, Any] | None = None
    left_out: tuple[str, ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, options: FitOptions, before: FitManifest | None = None, *, tuned: dict[str, Any] | None = None
    ) -> FitManifest:
        """Record the options of a command.

        Parameters
        ----------
        options : FitOptions
        before : FitManifest, optional
            Of the fit that this one adds to.
        tuned : dict, optional
            The network that is fine-tuned, and how it is trained.
        """
        if before is not None and before.tuned is not None:
            raise CosupError(
                f"the network of that model was fine-tuned ({before.tuned['tune']}), and --update trains none; name "
                "everything, old and new, to cosup finetune"
            )
        if before is not None:
            before = before.signed(options.again)
        elif options.again:
            raise CosupError("--again is for URLs of an earlier fit, with --update; leave it out")
        own = RecordedInputs.of(options)
        inputs = before.inputs if before else ()
        # Of a command that was killed behind its last step, in place: the same once more adds nothing.
        inputs = inputs if inputs and own == inputs[-1] else (*inputs, own)
        partial = options.partial or (before is not None and before.partial)
        from cosup.methods import DEFAULT  # here and below: who only looks at a fit need not load what trains

        method = options.method or (before.method if before else DEFAULT)
        seed = options.seed if options.seed is not None else before.seed if before else 0
        kept = before.parameters if before is not None and before.method == method else {}
        plugins = (*(before.plugins if before else ()), *map(lasting_name, options.plugins))
        return cls(
            inputs, partial, method, seed, answers=before.answers if before else (),
            uniform=before.uniform if before else (),
            digests=before.digests if before else None, tuned=tuned, left_out=before.left_out if before else (),
            parameters={**kept, **options.settings}, plugins=tuple(dict.fromkeys(plugins)),
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
        return next(option for option, name in KINDS.items() if name == self.inputs[0].source)

    def shown(self) -> tuple[Path | None, Path | None]:
        """Name the folder of all images and the file of all texts, for the explorer; None for none, or several."""
        images, texts = {own.images for own in self.inputs} - {None}, {own.texts for own in self.inputs} - {None}
        return (images.pop() if len(images) == 1 else None), (texts.pop() if len(texts) == 1 else None)

    def signed(self, urls: Sequence[str]) -> FitManifest:
        """Put URLs as they were given once in the place of those that `MANIFEST` holds in part."""
        whole = {unsigned(url): url for url in urls}
        for name in whole:
            if name not in (*self.left_out, *self.urls()):
                raise CosupError(
                    f"--again names {name}, of which nothing is missing"
                    + (f"; what is: {', '.join(self.left_out)}" if self.left_out else "; leave it out")
                )
        inputs = self._changed_inputs(lambda text: whole.get(text, text))
        return replace(self, inputs=inputs, left_out=tuple(url for url in self.left_out if url not in whole))

    def _changed_inputs(self, change: Callable[[str], str]) -> tuple[RecordedInputs, ...]:
        """The inputs with all their texts changed."""
        plain = (
            _each(own.plain(), lambda value: change(value) if isinstance(value, str) else value) for own in self.inputs
        )
        return tuple(map(RecordedInputs.from_plain, plain))

    def urls(self) -> list[str]:
        """List the URLs among the inputs."""
        return [url for own in self.inputs for url in own.urls()]

    def samples(self, given: Features) -> Any:
        """Give the images or texts that a network is fine-tuned on, in the order of the features' rows."""
        own = self.inputs[0]
        assert given.ids is not None
        if own.images is not None:
            from cosup.finetuning.classifier import ImageFiles

            return ImageFiles(own.images, given.ids)
        assert own.texts is not None
        known = read_texts(own.texts)
        return [known[name] for name in given.ids]

    def to_json(self) -> str:
        """Encode it for `MANIFEST`."""
        files = [file for own in self.inputs for file in (*own.files, *own.probabilities.values())]
        digests = {str(file): _digest(file) for file in files if isinstance(file, Path) and file.is_file()}
        given = [str(place) for own in self.inputs for place in own.places]
        left = {*self.left_out, *(unsigned(text) for text in given if unsigned(text) != text)}
        plain = replace(self, inputs=(), digests=digests, left_out=tuple(sorted(left)))
        inputs = [own.plain() for own in self._changed_inputs(unsigned)]
        return json.dumps({"schema": SCHEMA, **asdict(plain), "inputs": inputs}, indent=1) + "\n"

    def read_inputs(
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
                f"query strings and credentials of URLs are not kept in {MANIFEST}; give these again, whole: "
                + ", ".join(f"--again {url}" for url in self.left_out)
            )
        for own in self.inputs:  # before anything is read
            trust_inputs(own, trust)
        unnamed = [url for url in self.urls() if url not in trust.names]
        if unnamed:
            raise CosupError(
                f"{MANIFEST} names URLs, and nothing that a file names is fetched unless you name it, too: add "
                + " ".join(f"--again {url}" for url in dict.fromkeys(unnamed))
            )
        folders = list(dict.fromkeys([*kept, *(own.store for own in self.inputs)]))
        notes = [
            f"{file} has changed since the fit"
            for file, digest in (self.digests or {}).items()
            if Path(file).is_file() and _digest(Path(file)) != digest
        ]
        labels = labels_of(self.inputs)
        match = next((own.match for own in reversed(self.inputs) if own.match), None)
        sources = [own for own in self.inputs if own.source is not None] or self.inputs[:1]

        # Labels are joined with the list of samples before anything is embedded, which may take hours.
        if any(own.features is None for own in sources):
            check_join(sources, labels, partial=self.partial, match=match)
            make_writable(store.parent)
        features: Features | None = None
        for own in sources:
            features = stack(features, features_of(own, features, store, trust, folders))
        assert features is not None
        joined, note = join(features, labels, partial=self.partial, match=match)
        return features, joined, [*([note] if note else []), *features.notes, *notes]


def read_manifest(folder: Path) -> FitManifest:
    """Read the manifest that ``cosup fit`` wrote.

    Raises
    ------
    CosupError
        If there is none, or it is broken or of a later version.
    """
    path = folder / MANIFEST
    content = read_fit_json(folder, MANIFEST)
    if content is None:
        raise CosupError(
            f"{folder} holds no {MANIFEST}, which says what the model was fitted on; fit it again with this version"
        )
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise CosupError(f"{path} is broken: it has no schema; {AGAIN}")
    if content.pop("schema") != SCHEMA:
        raise CosupError(f"{path} is of a later version of cosup; upgrade, or {AGAIN}")
    check_fields(content, path)
    known = {own.name: content[own.name] for own in fields(FitManifest) if own.name in content}
    for name in ("answers", "uniform", "left_out", "plugins"):
        known[name] = tuple(known[name])
    known["inputs"] = tuple(map(RecordedInputs.from_plain, known["inputs"]))
    return FitManifest(**known)


def _each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Change everything in lists and mappings; tuples become lists, as in JSON."""
    if isinstance(value, Mapping):
        return {key: _each(item, change) for key, item in value.items()}
    return [_each(item, change) for item in value] if isinstance(value, list | tuple) else change(value)


def _absolute(value: Any) -> Any:
    """Make paths absolute texts; URLs, names and numbers stay as they are."""
    return str(value.resolve()) if isinstance(value, Path) else value


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
