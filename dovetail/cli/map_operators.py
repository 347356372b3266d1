"""What `dovetail map` works on: operators of a network or of a line of ranks, grouped by shape."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from dovetail.errors import NetworkError, ProblemError, UnknownNameError
from dovetail.ir.operator import Access, Affine, Einsum
from dovetail.networks.registry import load_network

RANKS = ("N", "G", "K", "C", "P", "Q", "R", "S")
WINDOW = ("stride", "dilation")


@dataclass(frozen=True, slots=True)
class Work:
    """Operators to map.

    Attributes:
        title: of the network or operator.
        einsums: by operator, in order.
        skipped: operators of the network without an Einsum.
    """

    title: str
    einsums: Mapping[str, Einsum]
    skipped: int = 0


def read_work(
    network: str | None, op: str | None, operator: str | None, batch: int | None,
    dims: Mapping[str, int],
) -> Work:  # fmt: skip
    """The operators that a command line names.

    Args:
        network: as `load_network` takes it; None if `op` is given.
        op: ranks and extents, as `K=64,C=64,P=56,Q=56,R=3,S=3,stride=1`.
        operator: the only one of the network to map; None for all.
        batch: inputs per inference.
        dims: extents of open dimensions.

    Raises:
        ProblemError: if neither or both are given, or `op` is ill-formed.
        UnknownNameError: if the network has no such operator.
        NetworkError: if it has none to map.
    """
    if (network is None) == (op is None):
        raise ProblemError("name a network or give --op, one of the two")
    if op is not None:
        if operator is not None or batch is not None or dims:
            raise ProblemError("--operator, --batch and --dim choose in a network: leave --op out")
        return Work(f"operator {op}", {"op": parse_op(op)})
    assert network is not None
    net = load_network(network, batch=batch, dims=dims)
    einsums = {o.name: o.einsum for o in net.operators if o.einsum is not None}
    skipped = len(net.operators) - len(einsums)
    if operator is not None:
        if operator not in einsums:
            if any(o.name == operator for o in net.operators):
                raise NetworkError(
                    f"operator '{operator}' of '{net.name}' is no Einsum: it runs on the vector "
                    "unit and has no loop nest"
                )
            raise UnknownNameError("operator", operator, einsums)
        return Work(f"{net.name}: {operator}", {operator: einsums[operator]})
    if not einsums:
        raise NetworkError(f"network '{net.name}' has no Einsum: there is nothing to map")
    return Work(net.name, einsums, skipped)


def parse_op(text: str) -> Einsum:
    """A convolution or matrix product from a line of ranks; those left out have extent 1.

    Raises:
        ProblemError: if it is ill-formed.
        NetworkError: if it is too large.
    """
    values: dict[str, int] = {}
    for part in re.split(r"[\s,]+", text.strip()):
        name, _, number = part.partition("=")
        if name not in (*RANKS, *WINDOW):
            raise ProblemError(
                f"--op '{text}': '{part}' must be RANK=EXTENT with one of "
                f"{', '.join((*RANKS, *WINDOW))}"
            )
        if name in values:
            raise ProblemError(f"--op '{text}': {name} is given twice")
        if not number.isdecimal() or not 1 <= int(number[:18]) <= 2**48 or len(number) > 18:
            raise ProblemError(f"--op '{text}': {name} = '{number}': must be from 1 to 2^48")
        values[name] = int(number)
    return convolution(values)


def convolution(values: Mapping[str, int]) -> Einsum:
    """The Einsum of a grouped convolution: C and K count channels of one group."""
    stride, dilation = values.get("stride", 1), values.get("dilation", 1)

    def access(tensor: str, *dims: Sequence[tuple[str, int]]) -> Access:
        return Access(tensor, tuple(Affine(tuple(terms)) for terms in dims))

    n, g, k, c, p, q, r, s = (((name, 1),) for name in RANKS)
    rows, columns = ((("P", stride), ("R", dilation)), (("Q", stride), ("S", dilation)))
    return Einsum(
        tuple((rank, values.get(rank, 1)) for rank in RANKS),
        (access("op.input", n, g, c, rows, columns), access("op.weight", g, k, c, r, s)),
        access("op", n, g, k, p, q),
    )


def grouped(einsums: Mapping[str, Einsum]) -> list[tuple[str, ...]]:
    """Names of operators that one mapping serves, in the order of the first of each group."""
    from dovetail.mappers.spatial.mapper import shape_key

    groups: dict[Hashable, list[str]] = {}
    for name, einsum in einsums.items():
        groups.setdefault(shape_key(einsum), []).append(name)
    return [tuple(names) for names in groups.values()]
