"""What the readers of other tools' mappings share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dovetail.arch.spatial import SpatialArray
from dovetail.errors import MappingError
from dovetail.ir.operator import Einsum
from dovetail.ir.strict_yaml import shown

MAX_FACTOR = 2**50


def whole(value: object, place: str) -> int:
    """A loop's count.

    Raises:
        MappingError: if it is no whole number from 1 to 2^50.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < MAX_FACTOR:
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_FACTOR:
        raise MappingError(f"{place}: count {shown(value)}: must be a whole number of at least 1")
    return value


def rank_of(name: object, einsum: Einsum, others: dict[str, str], place: str) -> str | None:
    """Our name of a rank of another tool's; None if the operator lacks it, as a factor of 1 may.

    Args:
        name: as the other tool has it.
        einsum: the operator.
        others: our names by theirs; where a name is missing, it is ours.
        place: for errors.

    Raises:
        MappingError: if it is no name of a rank.
    """
    if not isinstance(name, str):
        raise MappingError(f"{place}: rank {shown(name)}: must be a name")
    own = dict(einsum.ranks)
    if name in others:
        return others[name] if others[name] in own else None
    if name in own:
        return name
    known = ", ".join([*own, *(theirs for theirs, ours in others.items() if ours in own)])
    raise MappingError(f"{place}: unknown rank {shown(name)}; the operator has {known}")


def require_rank(rank: str | None, theirs: object, count: int, place: str) -> None:
    """Refuses a loop over a rank that the operator lacks."""
    if rank is None and count > 1:
        raise MappingError(
            f"{place}: loop over {theirs} of {count} iterations: the operator has no such rank"
        )


def rest(extent: int, counts: Iterable[int]) -> int:
    """Iterations that a loop needs so that all cover the extent."""
    product = 1
    for count in counts:
        product *= count
    return max(1, -(-extent // product))


def dimension_at(accelerator: SpatialArray, name: object, position: int, place: str) -> str:
    """A dimension of the array by its name, or else by its position.

    Raises:
        MappingError: if the array has no dimension of that name or place.
    """
    names: Sequence[str] = [dimension for dimension, _ in accelerator.dimensions]
    if isinstance(name, str):
        for own in names:
            if own.lower() == name.lower():
                return own
    if position < len(names):
        return names[position]
    raise MappingError(
        f"{place}: no dimension {shown(name)} in '{accelerator.name}'; it has {', '.join(names)}"
    )
