"""The options of ``cosup fit``: those that name its inputs, and those that say what is made of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cosup.embedding.backbones.trust import Trust
from cosup.io.tables import Place

__all__ = ["COLUMNS", "KINDS", "SOURCES", "FitOptions", "InputOptions"]

KINDS = {"images": "images", "text": "texts", "features": "features"}
"""Option that features are given by -> its name in Python."""

SOURCES = tuple(KINDS.values())
"""Options that features are given by, by their names in Python."""

COLUMNS = ("id", "task", "worker", "label", "one_of")
"""Options that say how labels in texts are read: names of columns, and what separates classes."""


@dataclass(frozen=True, kw_only=True)
class InputOptions:
    """The options that name what goes into a fit: features, labels, and how both are read."""

    images: Path | None = None
    texts: Path | None = None
    features: Place | None = None
    backbone: str | None = None
    encoder: str | None = None
    skip_unreadable: bool = False
    files: tuple[Place, ...] = ()
    probabilities: dict[str, Place] = field(default_factory=dict)
    classes: list[str] | None = None
    abstain: list[str] | None = None
    top_k: int | None = None
    level: list[int] | dict[str, int] | None = None
    specialties: dict[str, list[str]] = field(default_factory=dict)
    id: str | None = None
    task: str | None = None
    worker: str | None = None
    label: str | None = None
    one_of: str | None = None
    match: str | None = None

    @property
    def source(self) -> str | None:
        """The option that features are given by, by its name in Python."""
        return next((name for name in SOURCES if getattr(self, name) is not None), None)

    @property
    def columns(self) -> dict[str, str | None]:
        """Return how labels in texts are read: `COLUMNS` -> the option given."""
        return {name: getattr(self, name) for name in COLUMNS}

    @property
    def places(self) -> tuple[Place, ...]:
        """Files and URLs that features and labels are read from."""
        features = () if self.features is None else (self.features,)
        return (*features, *self.files, *self.probabilities.values())


@dataclass(frozen=True, kw_only=True)
class FitOptions(InputOptions):
    """The options of ``cosup fit``, by their names in the command's help."""

    out: Path
    partial: bool = False
    method: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    update: Path | None = None
    again: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()

    @property
    def trusted(self) -> Trust:
        """The names that stand on the command line."""
        named = (self.backbone, self.encoder, *self.places, *self.again, *self.trust)
        return Trust(frozenset(str(name) for name in named if name is not None))
