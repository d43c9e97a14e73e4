"""Define the methods that are compared: a label, a registered method, and its parameters as plain JSON."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cosup.benchmark.records import canonical
from cosup.methods import DEFAULT, method_parameters
from cosup.students import STUDENTS, AdamProbe, RidgeProbe, Student, as_student
from cosup.utils.validation import CosupError, suggest

PROTOCOLS = {
    "clean": "one regularised student (ridge, regularisation chosen without labels) for all and for the ceiling",
    "published": "the released code's student (Adam 1e-4, 20 epochs, no decay), best epoch ON TEST, ceiling too",
}


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Parameters
    ----------
    label : str
        The name in tables; different for every method of a benchmark.
    name : str
        A name of ``list_methods()``.
    parameters : mapping, optional
        Keyword arguments of ``make_method`` as plain JSON (lists for tuples). A student is named:
        ``{"student": "logistic"}``, with options ``{"student": {"name": "ridge", "calibration": "scores"}}``, and
        ``{"alpha": 1e-4}`` is short for a ridge of that regularisation. ``{"assign": "oracle"}`` of a co-supervised
        method hands it the right specialists, see `cosup.benchmark.with_right_specialists`.
    factors : mapping of str to str, optional
        Where it stands in a factorial design, see `cosup.benchmark.factorial_methods`; not part of the run's name.

    Raises
    ------
    CosupError
        When the label is empty, the parameters aren't JSON, or the student or an option of it is unknown.
    """

    label: str
    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    factors: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.label, str) or not self.label.strip():
            raise CosupError(f"a method's label must be a text that is not empty, not {self.label!r}")
        # A round trip through JSON: tuples become lists here, so that a rerun is named as its record is.
        object.__setattr__(self, "parameters", json.loads(canonical(dict(self.parameters))))
        self.student()

    def student(self) -> Student | None:
        """Make the student that the parameters name, or None when they leave it to the protocol."""
        if not takes_student(self.name) or not {"student", "alpha"} & set(self.parameters):
            return None
        named = self.parameters.get("student", "ridge")
        options = dict(named) if isinstance(named, Mapping) else {"name": named}
        kind = options.pop("name", "ridge")
        if kind not in STUDENTS:
            raise CosupError(f"method {self.label!r}: unknown student {kind!r}.{suggest(str(kind), STUDENTS)}")
        if "alpha" in self.parameters:
            options["alpha"] = self.parameters["alpha"]
        known = list(inspect.signature(STUDENTS[kind]).parameters)
        for option in options:
            if option not in known:
                raise CosupError(
                    f"method {self.label!r}: the student {kind!r} has no option {option!r}.{suggest(option, known)}"
                )
        make: Any = STUDENTS[kind]
        return as_student(make(**options))

    @property
    def oracle_assignment(self) -> bool:
        """Whether it is handed the right specialists."""
        return self.parameters.get("assign") == "oracle"

    def keywords(self) -> dict[str, Any]:
        """Return keyword arguments for ``make_method`` other than the student: lists become tuples again."""
        leave = {"student", "alpha"} if takes_student(self.name) else set()
        if self.oracle_assignment:
            leave.add("assign")  # with one teacher a level, the right one, there is nothing left to assign
        return {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in self.parameters.items()
            if key not in leave
        }


def takes_student(name: str) -> bool:
    """Tell whether the method's student can be chosen; where its parameters name none, it is the protocol's."""
    return "student" in method_parameters(name)


def default_student(protocol: str) -> Student:
    """Make the student that every method and the ceiling use unless a method names another."""
    if protocol not in PROTOCOLS:
        raise CosupError(f"unknown protocol {protocol!r}.{suggest(str(protocol), PROTOCOLS)}")
    return AdamProbe() if protocol == "published" else RidgeProbe()


UNREGULARISED = {"student": "ridge", "alpha": 1e-4}


def demo_methods(*, ablations: bool = True) -> list[Method]:
    """List the demo's methods: rivals, the paper's algorithm, our default, the ablations of both, perfect assignment.

    Within one registered method, the entry without parameters is the whole method and the others are its
    ablations; the report relies on this.
    """
    methods = [
        Method("vanilla", "vanilla"),
        Method("published CSL", "csl-published-tuned"),
        Method("published CSL as released", "csl-published", {"criterion": "top3"}),
        Method("csl", "csl"),
        Method("csl, random assignment", "csl", {"assign": "random"}),
        Method("csl, no teacher-student check", "csl", {"reject": ["local-global"]}),
        Method("csl, no local-global check", "csl", {"reject": ["teacher-student"]}),
        Method("csl, no rejection", "csl", {"reject": []}),
        Method("csl, in-sample predictions", "csl", {"out_of_sample": False}),
        Method("csl, unregularised", "csl", UNREGULARISED),
        Method(DEFAULT, DEFAULT),
        Method(f"{DEFAULT}, one round", DEFAULT, {"rounds": 1}),
        Method(f"{DEFAULT}, marginals not matched", DEFAULT, {"match_marginals": False}),
        Method(f"{DEFAULT}, in-sample predictions", DEFAULT, {"out_of_sample": False}),
        Method(f"{DEFAULT}, unregularised", DEFAULT, UNREGULARISED),
        Method("oracle assignment", "oracle"),
    ]
    return methods if ablations else [m for m in methods if "," not in m.label]
