"""Knobs of the sub-accelerators of `dovetail.envs.multitask`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dovetail.envs.multitask_costs import ARRAYS, BANDWIDTHS, TEMPLATES
from dovetail.errors import ProblemError, UnknownNameError
from dovetail.ir.space import Knob, Value

HARDWARE = (
    Knob("template", tuple(TEMPLATES), ordered=False),
    Knob("pes", tuple(ARRAYS)),
    Knob("gb_per_s", BANDWIDTHS),
)
"""Knobs of one sub-accelerator."""


def chosen(knobs: Mapping[str, Sequence[Value]]) -> tuple[Knob, ...]:
    """Knobs of a sub-accelerator, some with fewer values.

    Raises:
        ProblemError: if a value is none of its knob's.
        UnknownNameError: if there is no such knob.
    """
    known = {knob.name: knob for knob in HARDWARE}
    for name, values in knobs.items():
        if name not in known:
            raise UnknownNameError("knob", name, known)
        if not set(values) <= set(known[name].values):
            raise ProblemError(
                f"knob '{name}' = {list(values)}: values are "
                f"{', '.join(map(str, known[name].values))}"
            )
    return tuple(Knob(k.name, tuple(knobs.get(k.name, k.values)), k.ordered) for k in HARDWARE)


def parsed(knobs: object) -> dict[str, tuple[Value, ...]]:
    """Values by knob, of a table or a list of pairs.

    Raises:
        ProblemError: if it is neither.
    """
    try:
        listed = knobs.items() if isinstance(knobs, Mapping) else knobs or ()
        return {str(name): tuple(values) for name, values in listed}  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        raise ProblemError(f"knobs = {knobs!r}: must be lists of values by knob") from None
