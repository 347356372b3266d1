"""The scheduling problem: atomic operators, and tensors with sizes in bytes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from dovetail.errors import MappingError, NetworkError


@dataclass(frozen=True, slots=True)
class Item:
    """A tensor that the scratchpad may hold.

    Attributes:
        name: unique within its problem.
        size: bytes.
        producer: operator that creates it; None for what is loaded at its first use: inputs of
            the network and parameters.
        consumers: operators that read it, ascending.
        backed: whether an unchanged copy lies off chip, so that dropping it costs no spill: what
            is loaded is, except in a part of a problem, where another part produced it.
    """

    name: str
    size: int
    producer: int | None
    consumers: tuple[int, ...]
    backed: bool = False

    @property
    def users(self) -> tuple[int, ...]:
        """Every operator that needs it resident."""
        return self.consumers if self.producer is None else (self.producer, *self.consumers)


@dataclass(frozen=True)
class Problem:
    """Operators in a legal order, and the tensors they read and write.

    Attributes:
        name: what messages call it.
        operators: names; the index is the position in the default order.
        items: tensors.
        stands_for: tensor of the network -> its item; tensors that never exist (the output of a
            convolution whose batchnorm is folded) are missing.

    Raises:
        NetworkError: if a tensor has no bytes, no user, or is read before it is written.
    """

    name: str
    operators: tuple[str, ...]
    items: tuple[Item, ...]
    stands_for: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        for item in self.items:
            if item.size < 1 or not item.users:
                raise NetworkError(f"tensor '{item.name}': needs a size >= 1 B and a user")
            if item.producer is not None and min(item.consumers, default=math.inf) <= item.producer:
                raise NetworkError(f"tensor '{item.name}' is read before it is written")

    @cached_property
    def uses(self) -> tuple[tuple[int, ...], ...]:
        """Items that each operator needs resident: what it reads and writes."""
        table: list[list[int]] = [[] for _ in self.operators]
        for a, item in enumerate(self.items):
            for op in item.users:
                table[op].append(a)
        return tuple(tuple(row) for row in table)

    @cached_property
    def before(self) -> tuple[frozenset[int], ...]:
        """Operators whose results each operator reads."""
        table: list[set[int]] = [set() for _ in self.operators]
        for item in self.items:
            if item.producer is not None:
                for op in item.consumers:
                    table[op].add(item.producer)
        return tuple(frozenset(row) for row in table)

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """Operators that read a result of each operator, ascending."""
        table: list[list[int]] = [[] for _ in self.operators]
        for op, row in enumerate(self.before):
            for source in row:
                table[source].append(op)
        return tuple(tuple(row) for row in table)

    @cached_property
    def ancestors(self) -> tuple[int, ...]:
        """Bit set of the operators that must run before each operator."""
        table: list[int] = []
        for row in self.before:
            mask = 0
            for source in row:
                mask |= table[source] | 1 << source
            table.append(mask)
        return tuple(table)

    @cached_property
    def windows(self) -> tuple[tuple[int, int], ...]:
        """First and last step at which each operator can run, as soon and as late as possible."""
        last = len(self.operators) - 1
        descendants = [0] * len(self.operators)
        for op in reversed(range(len(self.operators))):
            for source in self.before[op]:
                descendants[source] |= descendants[op] | 1 << op
        return tuple(
            (mask.bit_count(), last - descendants[op].bit_count())
            for op, mask in enumerate(self.ancestors)
        )

    @cached_property
    def working_set(self) -> tuple[int, ...]:
        """Bytes that each operator reads and writes."""
        return tuple(sum(self.items[a].size for a in row) for row in self.uses)

    @property
    def shape(self) -> tuple[tuple[int, int | None, tuple[int, ...], bool], ...]:
        """All but the names: problems of one shape have the same solutions."""
        return tuple((i.size, i.producer, i.consumers, i.backed) for i in self.items)

    @property
    def required_bytes(self) -> int:
        """M_R: no smaller scratchpad runs every operator."""
        return max(self.working_set)

    @property
    def granule(self) -> int:
        """Greatest common divisor of all sizes, in bytes."""
        return math.gcd(*(item.size for item in self.items))

    @property
    def default_order(self) -> tuple[int, ...]:
        """The order that the network lists."""
        return tuple(range(len(self.operators)))

    def check_budget(self, budget_bytes: int) -> None:
        """Refuses a scratchpad in which some operator cannot run.

        Raises:
            MappingError: naming that operator and the bytes it needs.
        """
        worst = max(range(len(self.operators)), key=lambda op: self.working_set[op])
        if self.working_set[worst] > budget_bytes:
            raise MappingError(
                f"a scratchpad of {budget_bytes} B cannot run operator '{self.operators[worst]}' "
                f"of '{self.name}': its operands and results take {self.working_set[worst]} B; "
                f"enlarge the scratchpad to {-(-self.working_set[worst] // 1024)} KiB"
            )

    def check_order(self, order: Iterable[int]) -> tuple[int, ...]:
        """The order, if it runs every operator once and after what it reads.

        Raises:
            MappingError: if it does not.
        """
        listed = tuple(order)
        if sorted(listed) != list(range(len(self.operators))):
            raise MappingError(f"an order of '{self.name}' must list every operator once")
        done: set[int] = set()
        for op in listed:
            if not self.before[op] <= done:
                raise MappingError(
                    f"operator '{self.operators[op]}' stands before one whose result it reads"
                )
            done.add(op)
        return listed

    def reorder(self, order: Sequence[int]) -> Problem:
        """The same problem with another default order; items keep their numbers."""
        place = {op: t for t, op in enumerate(self.check_order(order))}
        items = tuple(
            Item(
                item.name,
                item.size,
                None if item.producer is None else place[item.producer],
                tuple(sorted(place[op] for op in item.consumers)),
                item.backed,
            )
            for item in self.items
        )
        names = tuple(self.operators[op] for op in order)
        return Problem(self.name, names, items, self.stands_for)

    def restrict(self, operators: Iterable[int]) -> tuple[Problem, tuple[int, ...]]:
        """The part of some operators, and the item of this problem that each of its items is.

        What other operators produce becomes an input.
        """
        kept = sorted(operators)
        number = {op: i for i, op in enumerate(kept)}
        items, source = [], []
        for a, item in enumerate(self.items):
            consumers = tuple(number[op] for op in item.consumers if op in number)
            producer = None if item.producer is None else number.get(item.producer)
            if consumers or producer is not None:
                items.append(Item(item.name, item.size, producer, consumers, item.backed))
                source.append(a)
        names = tuple(self.operators[op] for op in kept)
        return Problem(self.name, names, tuple(items)), tuple(source)


def bits(mask: int) -> Iterator[int]:
    """Positions of the ones, ascending."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low
