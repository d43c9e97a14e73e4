"""Which weights of a network are trained: all, those of its last blocks, or low-rank additions to them (LoRA)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from cosup.utils.optional_imports import import_extra
from cosup.utils.validation import CosupError

__all__ = ["Tune", "fixed_statistics", "select", "whole"]

LINEAR = ("Linear", "Conv1D")
"""Layers that LoRA adds to; the latter is GPT-2's word for the former."""


@dataclass(frozen=True)
class Tune:
    """The part that is trained: ``"full"``, ``"last:K"``, or ``"lora:R"``, taken apart."""

    kind: str
    number: int = 0

    @classmethod
    def of(cls, text: str) -> Tune:
        """Read ``full``, ``last:K`` or ``lora:R``; `CosupError` for anything else."""
        kind, sign, number = str(text).partition(":")
        if text == "full":
            return cls(kind)
        if kind in ("last", "lora") and sign and number.isdecimal() and int(number) > 0:
            return cls(kind, int(number))
        raise CosupError(
            f"tune must be 'full', 'last:K' (the last K blocks) or 'lora:R' (additions of rank R), got {text!r}"
        )


def _blocks(module: nn.Module) -> tuple[str, list[nn.Module]]:
    """Name and members of the list of blocks that holds most of the weights; empty where there is none."""
    for kind in (nn.ModuleList, nn.Sequential):
        best, found, most = "", [], 0
        for name, part in module.named_modules():
            if not isinstance(part, kind):
                continue
            members = [child for child in part.children() if next(child.parameters(), None) is not None]
            size = sum(p.numel() for child in members for p in child.parameters())
            # Of nested lists the outer one comes first, and has as many weights at the least.
            if len(members) > 1 and size > most:
                best, found, most = name, members, size
        if found:
            return best, found
    return "", []


def select(module: nn.Module, tune: Tune, name: str) -> nn.Module:
    """Return freeze all weights that are not to be trained; with LoRA, return the module with its additions.

    Raises
    ------
    CosupError
        If the network has not so many blocks, no layer that LoRA adds to, or peft is not installed.
    """
    if tune.kind == "full":
        return module
    place, blocks = _blocks(module)
    if tune.kind == "last":
        if tune.number > len(blocks):
            raise CosupError(
                f"tune='last:{tune.number}' asks for more blocks than {name} has: {len(blocks)}; use fewer, or 'full'"
            )
        trained = {id(p) for block in blocks[len(blocks) - tune.number :] for p in block.parameters()}
        every = list(module.parameters())
        last = max(i for i, p in enumerate(every) if id(p) in trained)
        # What is registered after the blocks comes after them: a last norm.
        for i, parameter in enumerate(every):
            parameter.requires_grad_(id(parameter) in trained or i > last)
        return module
    peft: Any = import_extra("peft", extra="finetune", purpose="tune='lora:R'")
    prefix = f"{place}." if place else ""
    targets = [n for n, part in module.named_modules() if type(part).__name__ in LINEAR and n.startswith(prefix)]
    if not targets:
        raise CosupError(f"{name} has no linear layer that LoRA could add to; use tune='last:K' or 'full'")
    # GPT-2's layers are stored the other way round.
    turned = any(type(part).__name__ == "Conv1D" for part in module.modules())
    config = peft.LoraConfig(r=tune.number, lora_alpha=2 * tune.number, target_modules=targets, fan_in_fan_out=turned)
    added: nn.Module = peft.get_peft_model(module, config)
    return added


def whole(module: nn.Module, tune: Tune) -> nn.Module:
    """Return the network as an ordinary one, with LoRA's additions merged into its weights."""
    if tune.kind != "lora":
        return module
    merged: nn.Module = module.merge_and_unload()  # type: ignore[operator]
    return merged


def fixed_statistics(module: nn.Module) -> None:
    """Keep the statistics of batch norms: small batches, split over processes, would spoil them."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.eval()
