"""Mappers of the spatial family by name, and the answers that they gave before."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from importlib import import_module
from importlib.metadata import entry_points
from typing import Protocol, cast

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import DovetailError, MappingError, UnknownNameError
from dovetail.ir.operator import Einsum
from dovetail.mappers.found import Found, check_objective
from dovetail.mappers.stopping import stop_requested

GROUP = "dovetail.mappers"
"""Group of entry points whose targets are a `SpatialMapper`."""

MAPPERS = {
    "optimal": "dovetail.mappers.spatial.optimal:optimal",
    "milp": "dovetail.mappers.spatial.milp:milp_mapping",
    "genetic": "dovetail.mappers.spatial.genetic:genetic_mapping",
    "random": "dovetail.mappers.spatial.random_search:random_mapping",
}
"""Mappers that come with Dovetail."""

SEEDED = {"genetic", "random"}
"""Those among them that draw at random."""

MEMORY_ENTRIES = 4096
"""Answers that are remembered; the one unused for longest is forgotten first."""

_memory: OrderedDict[Hashable, tuple[Found, float | None]] = OrderedDict()


class SpatialMapper(Protocol):
    """What an entry point of the group `dovetail.mappers` names."""

    def __call__(
        self, einsum: Einsum, accelerator: SpatialArray, objective: str, *, seed: int,
        time_limit_s: float | None,
    ) -> Found:  # fmt: skip
        """A mapping of an operator, the less of the objective the better.

        The leaf of the mapping is called as `einsum.output.tensor`. On Ctrl-C and at the time
        limit the best mapping so far is returned, if there is one.

        Raises:
            MappingError: if no mapping is found.
        """


def names() -> tuple[str, ...]:
    """Names of all mappers: those that come with Dovetail, then installed packages'."""
    others = {point.name for point in entry_points(group=GROUP)} - MAPPERS.keys()
    return (*MAPPERS, *sorted(others))


def check_mapper(mapper: str) -> str:
    """The name itself.

    Raises:
        UnknownNameError: if no mapper has it.
    """
    if mapper not in names():
        raise UnknownNameError("mapper", mapper, names())
    return mapper


def find_mapping(
    einsum: Einsum, accelerator: SpatialArray, objective: str = "latency",
    mapper: str = "optimal", *, seed: int = 0, time_limit_s: float | None = None,
) -> Found:  # fmt: skip
    """Lays an operator onto an accelerator.

    The same question is answered once in a process: operators of one shape share an answer, and
    so do accelerators that differ only in what no mapping's cost depends on.

    Args:
        einsum: the operator.
        accelerator: what it is laid onto; must be legal.
        objective: `latency`, `energy` or `edp`.
        mapper: a name of `names()`.
        seed: of mappers that draw at random.
        time_limit_s: seconds after which the mapper returns its best so far; None for no limit.

    Raises:
        UnknownNameError: if objective or mapper are unknown.
        MappingError: if no mapping is found.
    """
    check_objective(objective)
    check_mapper(mapper)
    if time_limit_s is not None and not time_limit_s > 0:
        raise MappingError(f"time limit of {time_limit_s:g} s: must be above 0")
    used_seed = 0 if mapper in MAPPERS and mapper not in SEEDED else seed
    key = (shape_key(einsum), design_key(accelerator), objective, mapper, used_seed)
    known = _recall(key, time_limit_s)
    if known is None:
        known = _call(mapper, einsum, accelerator, objective, used_seed, time_limit_s)
        _remember(key, known, time_limit_s)
    return known.named(einsum.output.tensor)


def shape_key(einsum: Einsum) -> Hashable:
    """What two operators share that the same mapping serves at the same cost.

    Names of tensors and offsets of indices (padding) are left out.
    """
    accesses = (*einsum.operands, einsum.output)
    return einsum.ranks, tuple(
        tuple(tuple(sorted(index.terms)) for index in access.indices) for access in accesses
    )


def design_key(accelerator: SpatialArray) -> Hashable:
    """An accelerator without what no mapping's cost depends on: name, area, clock, vector unit."""
    stores = tuple(replace(store, area_mm2=None) for store in accelerator.stores)
    return replace(accelerator, name="", stores=stores, vector_lanes=1, clock_mhz=1.0, node_nm=1.0)


def forget() -> None:
    """Forgets all answers."""
    _memory.clear()


def _recall(key: Hashable, time_limit_s: float | None) -> Found | None:
    """An answer that more time would not change; None if there is none."""
    if key not in _memory:
        return None
    found, limit = _memory[key]
    final = not found.interrupted or found.proven
    longer = limit is not None and time_limit_s is not None and limit >= time_limit_s
    if not (final or longer):
        return None
    _memory.move_to_end(key)
    return found


def _remember(key: Hashable, found: Found, time_limit_s: float | None) -> None:
    if found.interrupted and (time_limit_s is None or stop_requested()):  # Ctrl-C
        return
    _memory[key] = found, time_limit_s
    _memory.move_to_end(key)
    while len(_memory) > MEMORY_ENTRIES:
        _memory.popitem(last=False)


def _call(
    name: str, einsum: Einsum, accelerator: SpatialArray, objective: str, seed: int,
    time_limit_s: float | None,
) -> Found:  # fmt: skip
    if name in MAPPERS:
        module, attribute = MAPPERS[name].split(":")
        own = getattr(import_module(module), attribute)
        options = {"seed": seed} if name in SEEDED else {}
        return cast(
            "Found", own(einsum, accelerator, objective, time_limit_s=time_limit_s, **options)
        )
    return _call_plugin(name, einsum, accelerator, objective, seed, time_limit_s)


def _call_plugin(
    name: str, einsum: Einsum, accelerator: SpatialArray, objective: str, seed: int,
    time_limit_s: float | None,
) -> Found:  # fmt: skip
    """Calls a third party's mapper; any failure becomes one line that names its package."""
    (point,) = list(entry_points(group=GROUP, name=name))[:1]
    try:
        mapper = cast("SpatialMapper", point.load())
        found = mapper(einsum, accelerator, objective, seed=seed, time_limit_s=time_limit_s)
    except DovetailError:
        raise
    except Exception as error:
        raise MappingError(
            f"mapper '{name}' from {point.value} fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(found, Found):
        raise MappingError(
            f"mapper '{name}' from {point.value} returns {type(found).__name__}: "
            "it must return a dovetail.mappers.found.Found"
        )
    return found
