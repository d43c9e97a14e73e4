"""Figures that papers print, as data: anchors beside what is measured here."""

from __future__ import annotations

from typing import Any

__all__ = ["published_figures"]

_CSL = "Liu & Alahi (2024), arXiv 2402.15505"
_W2S = "Burns et al. (2023), arXiv 2312.09390"


def _pgr(labels: str, *values: float) -> list[dict[str, Any]]:
    """Make a figure of PGR against the number of specialists at the last level."""
    return [
        {
            "task": "imagenet", "member": f"imagenet-{labels}-specialists-{2**place}", "metric": "pgr",
            "value": value / 100, "bound": None, "labels": labels,
            "levels": ",".join(map(str, (1, 2, 4, 8)[: place + 1])), "method": "vanilla" if place == 0 else "csl",
            "teacher": "AlexNet", "student": "DINOv2 ViT-S/14", "source": _CSL,
        }
        for place, value in enumerate(values)
    ]  # fmt: skip


def _gain(task: str, value: float, bound: str) -> dict[str, Any]:
    return {
        "task": task, "metric": "pgr gain over the generalist", "value": value, "bound": bound, "labels": None,
        "levels": None, "method": "csl", "teacher": "AlexNet", "student": None, "source": _CSL,
    }  # fmt: skip


def _accuracy(method: str, student: str | None, value: float) -> dict[str, Any]:
    return {
        "task": "imagenet", "metric": "accuracy", "value": value / 100, "bound": None, "labels": "soft",
        "levels": "1", "method": method, "teacher": "AlexNet", "student": student, "source": _W2S,
    }  # fmt: skip


def _weak(
    task: str, method: str, value: float, student: str, source: str, *, bound: str | None = None
) -> dict[str, Any]:
    return {
        "task": f"weak-labels-{task}", "metric": "accuracy", "value": value / 100, "bound": bound, "labels": "hard",
        "levels": None, "method": method, "teacher": "rules" if task != "labelme" else "crowd", "student": student,
        "source": source,
    }  # fmt: skip


_WRENCH = "Zhang et al. (2021), WRENCH, arXiv 2109.11377; tuned on labels"
_ROBERTA = "linear model on frozen RoBERTa"
_CROWDS = "learning from crowds with this set's VGG-16 features"
_VGG = "network on frozen VGG-16"

_FIGURES = (
    _weak("trec", "best of a dozen label models", 64.1, _ROBERTA, _WRENCH),
    _weak("trec", "ceiling", 68.6, _ROBERTA, _WRENCH),
    _weak("youtube", "best of a dozen label models", 93.4, _ROBERTA, _WRENCH),
    _weak("youtube", "ceiling", 94.2, _ROBERTA, _WRENCH),
    _weak("labelme", "global noise model", 87.2, _VGG, _CROWDS),
    _weak("labelme", "raykar", 86.1, _VGG, _CROWDS),
    _weak("labelme", "ceiling", 92.1, _VGG, _CROWDS),
    *_pgr("hard", 49.7, 63.8, 67.0, 69.4),
    *_pgr("soft", 56.8, 69.0, 73.4, 75.5),
    _gain("imagenet", 0.15, "over"),
    _gain("domainnet", 0.17, "up to"),
    _accuracy("weak teacher", None, 56.6),
    _accuracy("ceiling", "DINO ResNet-50", 64.5),
    _accuracy("ceiling", "DINO ViT-B/8", 74.0),
    _accuracy("vanilla", "DINO ResNet-50", 61.9),
    _accuracy("vanilla", "DINO ViT-B/8", 66.6),
)


def published_figures(task: str) -> list[dict[str, Any]]:
    """Return the figures that were published for a task.

    Parameters
    ----------
    task : str
        A task's name: ``"imagenet"``, ``"domainnet"``, ``"weak-labels-trec"`` and its like; or one of
        ``"imagenet-soft-specialists-8"`` and its like, for that point of the curve; for others there are none.

    Returns
    -------
    list of dict
        ``metric`` ("pgr", "accuracy", "pgr gain over the generalist") and ``value`` (shares, not per cent);
        ``bound`` ("over", "up to" or None: exact); ``labels`` ("hard", "soft"), ``levels`` (as the task's option),
        ``method``, ``teacher`` and ``student`` where they are known, else None; and ``source``.

    Notes
    -----
    The released code of Liu & Alahi reports a run's best epoch on the test set; ours reports the last epoch.
    """
    return [dict(figure) for figure in _FIGURES if task in (figure["task"], figure.get("member"))]
