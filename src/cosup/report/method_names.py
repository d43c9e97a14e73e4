"""Methods' names as a reader of a report knows them, beside those that are typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cosup.methods import list_methods
from cosup.report.markup import Child, Markup, table

__all__ = ["NAMES", "key_of_names", "name_for_readers"]

NAMES = {
    "co-supervised": "co-supervised",
    "csl": "CSL",
    "csl-published": "published CSL",
    "csl-published-tuned": "published CSL with tuned steps",
    "vanilla": "plain training",
    "confidence-loss": "confidence loss",
    "adaptive-confidence": "adaptive confidence loss",
    "reverse-kl": "reverse KL",
    "reverse-ce": "reverse cross-entropy",
    "convex-mixture": "convex mixture of heads",
    "simplex-weights": "learned teacher weights",
    "evidential": "evidential learning",
    "ensemble-boost": "boosted vote (EnsemW2S)",
    "majority": "majority vote",
    "mean": "mean of probabilities",
    "log-pool": "product of probabilities",
    "dawid-skene": "Dawid-Skene",
    "glad": "GLAD",
    "mace": "MACE",
    "knn-smooth": "labels smoothed over neighbours",
    "small-loss": "small-loss selection",
    "co-teaching": "co-teaching",
    "confident-learning": "confident learning",
    "self-distillation": "self-distillation",
    "reliability-weighting": "reliability weighting",
    "snorkel": "Snorkel's label model",
    "raykar": "Raykar's joint EM",
    "crowd-layer": "CrowdLayer",
    "crowdlab": "CROWDLAB",
    "liger": "Liger",
    "lol": "losses over labels (LoL)",
    "fable": "FABLE",
    "selective": "selective weak-to-strong",
    "two-stage": "two-stage training",
    "log-odds": "log-odds shift",
    "coherence": "internal coherence",
    "oracle": "perfect assignment",
}
"""Registered name -> name for readers; a plugin's method goes by its own."""


def name_for_readers(label: str, method: str) -> str:
    """Put a reader's name for the registered one at the head of a run's label; a label of somebody's own stays."""
    if label != method and not label.startswith(f"{method}, "):
        return label
    return NAMES.get(method, method) + label[len(method) :]


def key_of_names(records: Sequence[Mapping[str, Any]]) -> Markup | None:
    """Tabulate the methods of some records: their names here, in commands, and what each does."""
    lines = list_methods()
    used = dict.fromkeys((name_for_readers(r["label"], r["method"]), r["label"], r["method"]) for r in records)
    rows: list[Sequence[Child]] = [
        (name, method if label == method else f"{method} ({label})", lines.get(method, ""))
        for name, label, method in used
        if name != label or name != method
    ]
    caption = "Methods by their names on this page, their names in commands and files, and what they do."
    return table(caption, ("method", "in commands", "summary"), rows, text=(1, 2)) if rows else None
