"""Families of accelerators by name: the built-in ones, then those of other packages."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from dovetail.arch.accelerator import Accelerator
from dovetail.arch.presets import GROUP
from dovetail.errors import AcceleratorError, FidelityError, MappingError, UnknownNameError
from dovetail.flows.base import Family, Request
from dovetail.mappers.found import check_objective

FAMILIES = {
    "systolic": "dovetail.flows.systolic:FAMILY",
    "spatial": "dovetail.flows.spatial:FAMILY",
    "system": "dovetail.flows.system:FAMILY",
    "fpga": "dovetail.flows.fpga:FAMILY",
    "npu": "dovetail.flows.npu:FAMILY",
    "engines": "dovetail.flows.engines:FAMILY",
    "attention": "dovetail.flows.attention:FAMILY",
    "gpu": "dovetail.flows.gpu:FAMILY",
    "rdu": "dovetail.flows.rdu:FAMILY",
}


def family_of(accelerator: Accelerator) -> Family:
    """The family of a design.

    Raises:
        AcceleratorError: if no package here has it, or it cannot be loaded.
    """
    return family_named(accelerator.family)


def family_named(name: str) -> Family:
    """A family by name; raises as `family_of` does."""
    if name in FAMILIES:
        module, _, attribute = FAMILIES[name].partition(":")
        return cast("Family", getattr(import_module(module), attribute))
    for point in entry_points(group=GROUP, name=name):
        try:
            return cast("Family", point.load())
        except Exception as error:
            raise AcceleratorError(
                f"accelerator family '{name}' from {point.value} fails: "
                f"{type(error).__name__}: {error}"
            ) from error
    raise AcceleratorError(f"unknown accelerator family '{name}'")


def check_fidelity(fidelity: str, family: Family) -> None:
    """Fails early, before a network is mapped.

    Raises:
        FidelityError: if the family does not support it.
    """
    if fidelity not in family.fidelities:
        raise FidelityError(
            f"fidelity '{fidelity}': the {family.name} family supports "
            f"{', '.join(family.fidelities)}"
        )


def check_legal(accelerator: Accelerator) -> None:
    """Fails before a network is mapped onto an illegal design.

    Raises:
        AcceleratorError: with the first reason.
    """
    if reasons := accelerator.validate():
        raise AcceleratorError(f"accelerator '{accelerator.name}' is illegal: {reasons[0]}")


def mapper_for(request: Request, family: Family, *, energy: bool = True) -> str:
    """The mapper that a request means to a family that maps whole networks, without loop nests.

    Args:
        request: what is wanted.
        family: one whose designs run operators one by one.
        energy: whether it knows energies, so that other objectives than latency make sense.

    Raises:
        MappingError: if another schedule, loop nests or an energy that is unknown are asked for.
        UnknownNameError: if objective or mapper are unknown.
    """
    request.only_serial(family.name)
    check_objective(request.objective)
    if request.objective != "latency" and not energy:
        raise MappingError(
            f"objective '{request.objective}': no energy is known of the {family.name} family: "
            "ask for latency"
        )
    known = family.mappers()
    mapper = request.mapper or known[0]
    if mapper not in known:
        raise UnknownNameError("mapper", mapper, known)
    if request.mappings:
        raise MappingError(
            f"mappings of files are loop nests for spatial arrays; the {family.name} family takes "
            "none: leave out --mapping"
        )
    return mapper
