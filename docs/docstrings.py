"""Docstrings as they are written in the code, made fit for Markdown; the names of packages that import lazily.

Sphinx roles go, sessions of modules are fenced, and a parameter whose docstring says nothing, because its name says it
in the whole package, gets that meaning from `COMMON`.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):(?=`)")
SESSION = re.compile(r"^>>> .*(?:\n(?!\n).*)*", re.MULTILINE)
SECTION = re.compile(
    r"^(Parameters|Attributes|Returns|Other Parameters)\n-+\n((?:.+\n?|\n(?!\w[^\n]*\n-+))*)", re.MULTILINE
)
ENTRY = re.compile(r"^(\S[^\n]*)\n(?!    )", re.MULTILINE)

COMMON = {
    "X": "Features, a row for each sample.",
    "alpha": "How strongly the student is regularised.",
    "annotation": "The annotated class of each sample, -1 where nobody annotated it.",
    "arrays": "Arrays by name.",
    "assign": "As in `CSLConfig`.",
    "backbone": "The network that makes the student's features, or its name.",
    "batch_size": "Items that are computed together.",
    "bias": "One value for each class.",
    "class_names": "A name for each class id.",
    "classes": "Number of classes.",
    "classes_": "Classes, in the order of the columns of probabilities.",
    "cluster": "The machines, or the connection to them.",
    "cores": "Cores of the machine.",
    "digits": "The images and their classes.",
    "divergence": "The loss, by name.",
    "domain_names": "A name for each domain.",
    "embeddings": "Measured backbones.",
    "encoder": "The network that turns texts into features.",
    "ensemble": "As in `CSLConfig`.",
    "epochs": "Passes over the samples.",
    "features": "Features, as `read_features` gives them.",
    "folder": "The folder on disk.",
    "gated": "Whether the mixture has a gate.",
    "hard": "As in `CSLConfig`.",
    "head_learning_rate": "Learning rate of the head.",
    "heads": "Number of heads.",
    "hidden": "Number of hidden units.",
    "ids": "An id for each sample.",
    "images": "The images.",
    "job": "The planned job.",
    "kernels": "Measured seconds an operation, by name.",
    "labels": "Annotations of all teachers.",
    "learning_rate": "Step size of the optimiser.",
    "levels": "The level of each teacher, from 0.",
    "local": "Local students, where they were trained.",
    "logits": "Scores before the softmax.",
    "machines": "Number of machines.",
    "match_marginals": "As in `CSLConfig`.",
    "methods": "Methods by name.",
    "model": "A fitted model.",
    "money": "Price of the stage, where one was given.",
    "n_classes": "Number of classes.",
    "n_resamples": "Number of bootstrap samples.",
    "n_tasks": "Number of tasks.",
    "name": "What it is called.",
    "names": "A name for each teacher.",
    "notes": "Remarks on what was read.",
    "num_cpus": "Cores of one piece of work.",
    "out_of_sample": "As in `CSLConfig`.",
    "parameters": "Parameters by name.",
    "path": "The file on disk.",
    "plan": "A plan, as `plan` makes it.",
    "pool": "As in `CSLConfig`.",
    "probabilities": "Predicted probabilities.",
    "producer": "Who writes the graph.",
    "progress": "Whether a progress bar is shown on a terminal.",
    "random_state": "Decides everything random.",
    "rank, size": "The number of this process, and how many there are.",
    "ray": "The module ray.",
    "recipe": "How teachers are trained.",
    "reject": "As in `CSLConfig`.",
    "rounds": "Number of rounds.",
    "rows": "Samples.",
    "seed": "Decides everything random.",
    "seeds": "Seeds of the runs.",
    "shard_size": "Items that are written together.",
    "source": "Where the labels come from, for messages.",
    "specialties": "For each teacher the classes that it is good at; None for all, or unknown.",
    "stages": "The stages of the job, in order.",
    "student": "A registered student's name, a student, or a classifier of scikit-learn.",
    "targets": "Classes, or probabilities, that are trained on.",
    "teacher": "Place of the teacher among all.",
    "teachers": "Which teachers are used.",
    "variant": "Which of the published forms.",
    "weight": "One column for each class.",
}
"""Meanings of names that are the same in the whole package."""


def filled(text: str) -> str:
    """A docstring whose entries without a description have that of `COMMON`."""

    def section(found: re.Match[str]) -> str:
        entries = found[2]
        if found[1] == "Returns":
            return found[0]

        def entry(line: re.Match[str]) -> str:
            meaning = COMMON.get(line[1].split(" : ")[0].strip())
            return line[0] if meaning is None else f"{line[1]}\n    {meaning}\n"

        return found[0].replace(entries, ENTRY.sub(entry, entries.rstrip("\n") + "\n") + "\n", 1)

    return SECTION.sub(section, text)


def offered(stub: Path) -> Iterator[tuple[str, str]]:
    """Name and full path of everything that a stub offers."""
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield from ((name.asname or name.name, f"{node.module}.{name.name}") for name in node.names)


class Docstrings(griffe.Extension):
    """Drop roles, fence sessions of modules, fill in meanings; read what lazy packages offer from their stubs."""

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Give lazy packages their names."""
        waiting = [pkg]
        while waiting:
            module = waiting.pop()
            waiting.extend(m for m in module.modules.values() if not m.is_alias)
            stub = Path(str(module.filepath)).with_suffix(".pyi")
            if not stub.is_file():
                continue
            names = dict(offered(stub))
            for name, path in names.items():
                module.set_member(name, griffe.Alias(name, path, parent=module))
            module.exports = sorted(names)

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring is None:
            return
        text = ROLE.sub("", obj.docstring.value)
        if obj.is_module:
            text = SESSION.sub(lambda found: f"```pycon\n{found[0]}\n```", text)
        obj.docstring.value = filled(text)
