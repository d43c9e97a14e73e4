"""Students that are fine-tuned: a network and its linear head, trained on targets; torch is imported when they train.

`FineTuned` is the recipe. What it fine-tunes is a `Network`: a backbone or text encoder of `cosup.datasets`, or a torch
module (`ModuleNetwork`). `together` joins the processes that ``torchrun`` started.
"""

from cosup.student.finetuned._network import ModuleNetwork, Network, embedded
from cosup.student.finetuned._processes import World, together
from cosup.student.finetuned._student import FineTuned, TunedHead

__all__ = ["FineTuned", "ModuleNetwork", "Network", "TunedHead", "World", "embedded", "together"]
