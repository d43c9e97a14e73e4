"""Tasks for Label Studio, and the labels that it exports."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cosup.provenance.account import Account
from cosup.utils.validation import CosupError

__all__ = ["label_studio_config", "label_studio_tasks", "read_label_studio"]

LOCAL = "/data/local-files/?d="
"""Where Label Studio serves files of its own machine from."""


def label_studio_tasks(
    account: Account,
    places: Iterable[int],
    *,
    chosen: str,
    texts: Sequence[str] | None = None,
    images: Sequence[str | Path] | None = None,
) -> str:
    """Write samples as tasks: what the model and the teachers say stands there as predictions.

    Parameters
    ----------
    account : Account
    places : positions of the samples
    chosen : {"look", "uniform"}
        The way they were chosen; it comes back with the answers. Drawn uniformly, they carry no predictions: what is to
        measure should not be led.
    texts, images : sequences of n, optional
        Texts or images of all samples. Images are paths that Label Studio serves as local files.

    Returns
    -------
    str
        JSON, to be imported.
    """
    tasks = []
    for i in places:
        data: dict[str, Any] = {"id": account.ids[i], "chosen": chosen}
        data["text"] = account.ids[i] if texts is None else texts[i]
        if images is not None:
            data["image"] = LOCAL + quote(Path(images[i]).as_posix().lstrip("/"))
        task: dict[str, Any] = {"data": data}
        if chosen != "uniform":
            annotated: list[tuple[str, int, float | None]] = [
                (name, int(c), None) for name, c in zip(account.teachers, account.annotated[i], strict=True) if c >= 0
            ]
            if account.answer[i] >= 0:
                annotated.insert(0, ("cosup", int(account.answer[i]), float(account.confidence[i])))
            task["predictions"] = [
                {
                    "model_version": name,
                    "result": [_choice(account.class_names[c], "image" if images is not None else "text")],
                    **({} if score is None else {"score": round(score, 4)}),
                }
                for name, c, score in annotated
            ]
        tasks.append(task)
    return json.dumps(tasks, ensure_ascii=False, indent=1) + "\n"


def _choice(name: str, shown: str) -> dict[str, Any]:
    return {"from_name": "person", "to_name": shown, "type": "choices", "value": {"choices": [name]}}


def label_studio_config(class_names: Sequence[str], *, images: bool) -> str:
    """Write the labelling interface that the tasks are made for, to be pasted into the project's settings."""
    choices = "".join(f'    <Choice value="{html.escape(name)}"/>\n' for name in class_names)
    shown = '<Image name="image" value="$image"/>' if images else '<Text name="text" value="$text"/>'
    to = "image" if images else "text"
    return (
        f'<View>\n  {shown}\n  <Choices name="person" toName="{to}" choice="single">\n{choices}  </Choices>\n</View>\n'
    )


def read_label_studio(path: Path) -> list[tuple[str, str, str]]:
    """Read the choices of every annotator and every model, on tasks named by the file (or ``id``) in their data.

    A task's last annotation counts; one that was cancelled or is empty does not.

    Raises
    ------
    CosupError
        If the file is none, or holds tasks that are not of `label_studio_tasks`.
    """
    try:
        tasks = json.loads(path.read_bytes())
    except ValueError as error:
        raise CosupError(f"{path} is not JSON ({error})") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise CosupError(f"{path} is no export of Label Studio: a list of tasks is expected")
    out = []
    for place, task in enumerate(tasks, start=1):
        # JSON-MIN has the data beside the answer, and its own number as 'id'.
        full = isinstance(task.get("data"), dict)
        data = task["data"] if full else task
        if not isinstance(data.get("id"), str):
            raise CosupError(
                f"{path}: task {place} has no data.id; export as JSON the tasks that cosup look --out tasks.json wrote"
            )
        names = list(_names(task)) if full else _listed(task.get("person"))
        if names:
            out.append((data["id"], str(names[-1]), str(data.get("chosen") or "")))
    return out


def _names(task: dict[str, Any]) -> Iterator[str]:
    for annotation in task.get("annotations") or task.get("completions") or ():
        if annotation.get("was_cancelled"):
            continue
        for result in annotation.get("result") or ():
            yield from _listed((result.get("value") or {}).get("choices"))


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [str(name) for name in value or ()]
