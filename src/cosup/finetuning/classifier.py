"""Fine-tuned students for samples as they are: images, texts, rows of arrays; in memory, and on disk."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.utils.validation import check_is_fitted

from cosup.cosupervision import CoSupervisedClassifier
from cosup.embedding import make_backbone, read_image
from cosup.estimators.base import TeacherSupervised
from cosup.estimators.saving import BESIDE, beside, read_saved, write_saved
from cosup.finetuning.network import ModuleNetwork, Network, embedded
from cosup.finetuning.student import FineTuned, TunedHead
from cosup.labels import TeacherLabels
from cosup.students import LinearHead
from cosup.utils.atomic_files import sync_tree, temporary_name
from cosup.utils.validation import CosupError, FloatArray, check_features

__all__ = ["NETWORK", "FineTunedClassifier", "ImageFiles", "believing"]

NETWORK = "network-"
"""Beginning of the name of a saved network's folder; its fingerprint follows."""


def believing(random_state: Any = 0) -> CoSupervisedClassifier:
    """Make the method for students that are fine-tuned: `CoSupervisedClassifier` without the pooled posterior.

    The network is trained on the assigned teachers' annotations, the mean of five rounds a level. The posterior
    multiplies in what the student believes already; where its features show little of the classes, that drowns what the
    teachers know, and what the network could learn (measured: benchmarks/studies/fine-tuning.md).

    Parameters
    ----------
    random_state : int, RandomState or None
    """
    return CoSupervisedClassifier(pool=False, hard=True, random_state=random_state)


class ImageFiles:
    """Images in a folder as samples, read when they are needed.

    Parameters
    ----------
    folder : path
    paths : sequence of str
        Relative to it, as `cosup.tasks.list_image_files` returns them.
    """

    def __init__(self, folder: str | Path, paths: Any) -> None:
        self.folder, self.paths = Path(folder), tuple(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> Any:
        return read_image(self.folder / self.paths[place])


class FineTunedClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A network fine-tuned under a hierarchy of weak teachers, without one true label.

    A method decides, on the features of the network as it is, the teacher of each sample; then the network is
    trained on what came out. See `cosup.students.FineTuned` for what is trained, and how.

    Parameters
    ----------
    student : FineTuned
    method : estimator, optional
        Any of `cosup.make_method` that takes a ``student``. Default: `believing`, with random state 0.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    network_ : Network
        The network as it was trained.
    head_ : LinearHead
        On the trained network's features.
    method_ : estimator
        The method as it was fitted; ``history_``, ``provenance_`` and ``estimates_`` are its own.
    epochs_ : list of dict
        A record an epoch of the training: ``epoch``, ``loss``, ``agreement`` with held-out targets, ``seconds``.

    Examples
    --------
    >>> from cosup.embedding import make_encoder
    >>> from cosup.finetuning import FineTunedClassifier
    >>> from cosup.finetuning import FineTuned
    >>> student = FineTuned(make_encoder("hf:FOLDER"), tune="lora:8")              # doctest: +SKIP
    >>> model = FineTunedClassifier(student).fit(texts, labels)                    # doctest: +SKIP
    >>> model.save("model")                                                        # doctest: +SKIP
    """

    def __init__(self, student: FineTuned, method: Any = None) -> None:
        self.student = student
        self.method = method

    def fit(self, X: Any, y: TeacherLabels | ArrayLike, *, features: ArrayLike | None = None) -> Self:
        """Decide whom to believe, then train the network.

        Parameters
        ----------
        X : sequence of n_samples
            Inputs of the network: texts; images, arrays of uint8 or `ImageFiles`; rows of an array.
        y : TeacherLabels, or array-like of shape (n_samples,)
            As of `cosup.CoSupervisedClassifier.fit`.
        features : array-like of shape (n_samples, n_features), optional
            Features of the network as it is, where they are known already. Default: they are computed.

        Raises
        ------
        CosupError
            If the student is no `FineTuned`, the method takes no student, or lengths differ.
        """
        if not isinstance(self.student, FineTuned):
            raise CosupError(f"student must be a cosup.finetuning.FineTuned, got {self.student!r}")
        method = believing() if self.method is None else clone(self.method)
        if "student" not in method.get_params(deep=False):
            raise CosupError(f"{type(method).__name__} trains a student of its own kind; name a method that takes one")
        if isinstance(X, str) or not len(X):
            raise CosupError("X must hold samples, one at least")
        network = self.student.as_network()
        if features is None:
            features = embedded(network, X, progress=self.student.progress)
        F = check_features(features, n_samples=len(X), name="features")
        self.method_ = method.set_params(student=self.student.reading(X, F)).fit(F, y)
        head = self.method_.head_
        if not isinstance(head, TunedHead):
            raise CosupError(f"{type(method).__name__} made more of its students than one; name another method")
        self.network_: Network = head.network
        # As it is saved: a product with columns that lie otherwise is another one in its last bits.
        self.head_: LinearHead = LinearHead(np.ascontiguousarray(head.linear.weight), head.linear.bias)
        self.epochs_ = head.epochs
        self.classes_ = self.method_.classes_
        self.history_, self.provenance_ = self.method_.history_, self.method_.provenance_
        self.estimates_ = self.method_.estimates_
        return self

    def predict_proba(self, X: Any) -> FloatArray:
        """Predict class probabilities of samples, (n_samples, n_classes), columns in the order of ``classes_``."""
        check_is_fitted(self, "head_")
        return self.head_.predict_proba(embedded(self.network_, X, progress=False))

    def predict(self, X: Any) -> Any:
        """Predict the most probable class of every sample, (n_samples,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]

    def on_features(self) -> TeacherSupervised:
        """Return the model on the trained network's features, as `cosup.load` reads it, with the method's records."""
        check_is_fitted(self, "head_")
        model: TeacherSupervised = copy.copy(self.method_)
        model.head_ = self.head_
        model.level_heads_ = (self.head_,)
        model.n_features_in_ = len(self.head_.weight)
        return model

    def with_student(self, model: TeacherSupervised) -> Self:
        """Put another linear student of its features on the network, as a person's labels train one."""
        if not isinstance(model.head_, LinearHead):
            raise CosupError(f"a network's features need a linear student, this is a {type(model.head_).__name__}")
        out = copy.copy(self)
        out.method_, out.head_ = model, model.head_
        return out

    def account_view(self, X: Any, features: FloatArray) -> tuple[TeacherSupervised, FloatArray]:
        """Return a model and features for `cosup.provenance.Account`: frozen features beside the trained network's.

        Levels answer by the probes that assigned teachers (on the former), the last by the trained student.
        """
        own = embedded(self.network_, X, progress=False)
        split, n_classes = features.shape[1], len(self.classes_)
        model = self.on_features()
        model.head_ = LinearHead(np.vstack([np.zeros((split, n_classes)), self.head_.weight]), self.head_.bias)
        probes = [head.probe for head in self.method_.level_heads_]
        if all(isinstance(probe, LinearHead) for probe in probes):
            blank = np.zeros((own.shape[1], n_classes))
            before = [LinearHead(np.vstack([probe.weight, blank]), probe.bias) for probe in probes[:-1]]
        else:
            before = [model.head_] * (len(probes) - 1)
        model.level_heads_ = (*before, model.head_)
        model.n_features_in_ = split + own.shape[1]
        return model, np.hstack([features, own])

    def save(self, folder: str | Path) -> None:
        """Write the model to a folder, for `load`, `cosup.load` and ``cosup predict``.

        Parameters
        ----------
        folder : path
            It gets ``model.safetensors`` and ``model.json`` (see `cosup.estimators.saving`), of the head, and a folder
            with the network: of transformers, as ``save_pretrained`` writes it; of a module, its weights.

        Raises
        ------
        CosupError
            If the network can't be written: only models of transformers and torch modules can.
        """
        files, stale = self.to_files(folder)
        write_saved(folder, files, remove=stale)

    def to_files(self, folder: str | Path) -> tuple[dict[str, bytes], list[str]]:
        """Write the network into a folder of its own beside the files that `save` writes, which are encoded.

        Returns
        -------
        files : dict of str to bytes
            Name -> content, of the head; with them the network counts.
        stale : list of str
            Folders of other networks, which no file names any more when these are written.
        """
        model = self.on_features()
        root = Path(folder)
        place = f"{NETWORK}{self.network_.fingerprint[:12]}"
        if not (root / place).is_dir():
            begun = temporary_name(root / place)
            try:
                self.network_.save(begun)
                sync_tree(begun)
                begun.rename(root / place)
            except BaseException as error:
                shutil.rmtree(begun, ignore_errors=True)
                if isinstance(error, OSError) and error.filename is None:  # a full disk says no name
                    error.filename = str(root / place)
                raise
        stale = [old.name for old in root.glob(f"{NETWORK}*") if old.name != place]
        return model.to_files(inputs={self.network_.kind: f"{BESIDE}{place}"}), stale

    @classmethod
    def load(cls, folder: str | Path, module: Any = None) -> Self:
        """Read what `save` wrote; it predicts exactly what the saved one did.

        Parameters
        ----------
        folder : path
        module : torch.nn.Module or ModuleNetwork, optional
            The code that saved weights are put into, where the network was a torch module.

        Raises
        ------
        CosupError
            If the folder holds no such model, or `module` is missing or another one.
        """
        from cosup.embedding import make_encoder

        arrays, content = read_saved(folder)
        inputs = beside(content.get("inputs", {}), folder)
        kind = next((kind for kind in ("module", "backbone", "encoder") if kind in inputs), None)
        if kind is None or not str(content["inputs"][kind]).startswith(BESIDE):
            raise CosupError(f"{folder} holds no fine-tuned model; read it by cosup.load")
        where = inputs[kind].removeprefix("hf:")
        network: Any
        if kind == "module":
            if module is None:
                raise CosupError(f"the model in {folder} is of a torch module, whose code is not saved; give module=")
            network = (module if isinstance(module, ModuleNetwork) else ModuleNetwork(module)).read(where)
        else:
            network = make_backbone(inputs[kind]) if kind == "backbone" else make_encoder(inputs[kind])
        method = TeacherSupervised.from_arrays(arrays, content["meta"])
        model = cls(FineTuned(network))
        model.method_, model.network_, model.head_ = method, network, LinearHead(arrays["weight"], arrays["bias"])
        model.classes_, model.epochs_ = method.classes_, []
        model.history_, model.provenance_, model.estimates_ = method.history_, method.provenance_, None
        return model
