"""Students that are fine-tuned: a network and its linear head, trained on targets; torch is imported when they train.

`FineTuned` is the recipe. It fine-tunes a `Network`: a backbone or text encoder of `cosup.embedding`, or a torch module
(`ModuleNetwork`). `together` joins the processes that ``torchrun`` started.
"""

from cosup.finetuning.classifier import FineTunedClassifier, ImageFiles, believing
from cosup.finetuning.network import ModuleNetwork, Network, embedded
from cosup.finetuning.processes import World, together
from cosup.finetuning.student import FineTuned, TunedHead

__all__ = [
    "FineTuned", "FineTunedClassifier", "ImageFiles", "ModuleNetwork", "Network", "TunedHead", "World", "believing",
    "embedded", "together",
]  # fmt: skip
