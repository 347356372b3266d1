"""Design problems by name: built in, or from packages with the entry point `dovetail.problems`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from dovetail.envs.problem import DesignProblem
from dovetail.errors import ProblemError, UnknownNameError

GROUP = "dovetail.problems"

BUILT_IN = {
    "accelerator": "dovetail.envs.accelerator:from_spec",
    "codesign": "dovetail.envs.codesign:from_spec",
    "fidelity": "dovetail.envs.fidelity:from_spec",
    "fpga_folding": "dovetail.envs.fpga_folding:from_spec",
    "rdu_placement": "dovetail.envs.rdu_placement:from_spec",
    "nasbench201": "dovetail.envs.nasbench201:from_spec",
    "proxy": "dovetail.envs.proxy:from_spec",
    "multitask": "dovetail.envs.multitask:from_spec",
    "mixed_precision": "dovetail.envs.mixed_precision_spec:from_spec",
}


class ProblemFactory(Protocol):
    """What an entry point of the group `dovetail.problems` names."""

    def __call__(self, spec: Mapping[str, object]) -> DesignProblem:
        """The problem that `spec` describes, its key `problem` (the name) left out.

        Raises:
            ProblemError: if a field is unknown, missing or ill-formed.
        """


def names() -> tuple[str, ...]:
    """Names of all registered problems, sorted."""
    return tuple(sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))}))


def make_problem(spec: Mapping[str, object]) -> DesignProblem:
    """Builds a problem from its specification, the inverse of `DesignProblem.describe`.

    Args:
        spec: `{"problem": name, ...}`; the other fields are the problem's own, all JSON-able.

    Raises:
        ProblemError: if the specification is ill-formed.
        UnknownNameError: if no problem has that name.
    """
    name = spec.get("problem")
    if not isinstance(name, str):
        raise ProblemError(f"specification field 'problem' = {name!r}: must name a problem")
    fields = {key: value for key, value in spec.items() if key != "problem"}
    return _factory(name)(fields)


def _factory(name: str) -> ProblemFactory:
    if name in BUILT_IN:
        module, attribute = BUILT_IN[name].split(":")
        return cast("ProblemFactory", getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        try:
            return cast("ProblemFactory", point.load())
        except Exception as error:
            raise ProblemError(
                f"design problem '{name}' from {point.value} fails: {type(error).__name__}: {error}"
            ) from error
    raise UnknownNameError("design problem", name, names())


def check_fields(spec: Mapping[str, object], known: Mapping[str, object]) -> dict[str, object]:
    """Fields of a specification, completed by defaults.

    Args:
        spec: fields that the user gave.
        known: default of every field that the problem knows.

    Raises:
        UnknownNameError: if a field is unknown.
    """
    for name in spec:
        if name not in known:
            raise UnknownNameError("specification field", name, known)
    return {**known, **spec}
