"""Reasons why an annotation is not trained on, by name and as clauses."""

from __future__ import annotations

from cosup.cosupervision.rejection import REJECTIONS

__all__ = ["reason_text"]

_STEPS = {
    "abstained": "nobody of this level annotates it",
    "overruled": "the pooled posterior of all levels and the student finds another class more probable",
    "outvoted": "most of the others name another class",
}
"""Why an annotation does not count where no rejection rule took it out."""


def reason_text(reason: str) -> str:
    """Say why an annotation does not count; a rule that is not registered here is called by its name."""
    if reason in REJECTIONS:
        return REJECTIONS[reason].reason
    return _STEPS.get(reason, reason)
