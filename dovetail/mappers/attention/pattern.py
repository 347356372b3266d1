"""Attention found in a network: two products around a softmax, and what runs with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.ir.network import Network
from dovetail.ir.operator import Operator
from dovetail.mappers.schedule import FUSIBLE
from dovetail.sim.attention.work import AttentionWork

MOVES = frozenset({"transpose"})
"""What addresses alone do where attention reads its operands or writes its result."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Operators that run as one cascade.

    Attributes:
        scores: product of queries and keys.
        between: elementwise operators on the scores, and views.
        softmax: of the scores.
        mix: product of weights and values.
        around: views, transposes and elementwise operators that alone feed it, or alone read its
            result (views and transposes).
        work: what it computes.
    """

    scores: Operator
    between: tuple[Operator, ...]
    softmax: Operator
    mix: Operator
    around: tuple[Operator, ...]
    work: AttentionWork

    @property
    def members(self) -> tuple[Operator, ...]:
        """All its operators but `scores`."""
        return (*self.between, self.softmax, self.mix, *self.around)


def find_attention(network: Network) -> list[Attention]:
    """Attention of a network, in order.

    Softmaxes whose scores or weights something else reads, too, are none.
    """
    finder = _Finder(network)
    every = (finder.attention(op) for op in network.operators if op.kind == "softmax")
    return [found for found in every if found]


class _Finder:
    def __init__(self, network: Network) -> None:
        self.network = network
        self.producer = {name: op for op in network.operators for name in op.outputs}

    def attention(self, softmax: Operator) -> Attention | None:
        """Attention around a softmax, if it is that."""
        between: list[tuple[Operator, str]] = []
        scores = self._before(softmax.inputs[0], between)
        mix = self._after(softmax, between)
        if scores is None or mix is None or scores.einsum is None or mix.einsum is None:
            return None
        first, second = scores.einsum, mix.einsum
        points = first.extent("G") * first.extent("P") * first.extent("K")
        work = AttentionWork(
            groups=first.extent("G"),
            queries=first.extent("P"),
            keys=first.extent("K"),
            query_width=first.extent("C"),
            value_width=second.extent("K"),
            score_ops=sum(-(-op.vector_ops // points) for op, _ in between),
            score_reads=sum(self._reads(op, name, first.extent("K")) for op, name in between),
        )
        same = (second.extent("G"), second.extent("P"), second.extent("C"))
        if same != (work.groups, work.queries, work.keys):
            return None
        around = (*self._inputs(scores), *self._inputs(mix), *self._moves(mix))
        return Attention(scores, tuple(op for op, _ in between), softmax, mix, around, work)

    def _before(self, name: str, between: list[tuple[Operator, str]]) -> Operator | None:
        """The product whose scores are a tensor after elementwise changes."""
        op = self._alone(name)
        if op is None or _is_product(op):
            return op
        if not (op.is_view or op.kind in FUSIBLE):
            return None
        tensor = self.network.tensor
        for source in op.inputs:
            if tensor[source].elements == tensor[name].elements:
                product = self._before(source, between)
                if product is not None:
                    between.append((op, source))
                    return product
        return None

    def _alone(self, name: str) -> Operator | None:
        """What writes a tensor that only one operator reads."""
        shared = len(self.network.consumers[name]) != 1 or name in self.network.outputs
        return None if shared else self.producer.get(name)

    def _after(self, op: Operator, between: list[tuple[Operator, str]]) -> Operator | None:
        """The product that alone reads a softmax as its moving operand."""
        while True:
            name = op.outputs[0]
            readers = self.network.consumers[name]
            if len(readers) != 1 or name in self.network.outputs:
                return None
            op = readers[0]
            if _is_product(op):
                einsum = op.einsum
                return op if einsum and einsum.operands[0].tensor == name else None
            if not op.is_view and op.kind != "cast":
                return None
            between.append((op, name))

    def _reads(self, op: Operator, name: str, keys: int) -> int:
        """Words that an operator reads per score beside it; what is as short as a row stays."""
        others = (other for other in dict.fromkeys(op.inputs) if other != name)
        return sum(self.network.tensor[other].elements > keys for other in others)

    def _inputs(self, product: Operator) -> Iterator[Operator]:
        """What only prepares an operand of a product: views, transposes, scaling by a constant."""
        for name in product.inputs[:2]:
            op = self._alone(name)
            while op is not None and (op.is_view or op.kind in MOVES or self._scales(op)):
                yield op
                op = self._alone(op.inputs[0])

    def _scales(self, op: Operator) -> bool:
        return op.kind in FUSIBLE and len(op.inputs) == 1

    def _moves(self, op: Operator) -> Iterator[Operator]:
        """Views and transposes that alone read a product."""
        while True:
            readers = self.network.consumers[op.outputs[0]]
            if len(readers) != 1 or op.outputs[0] in self.network.outputs:
                return
            op = readers[0]
            if not (op.is_view or op.kind in MOVES):
                return
            yield op


def _is_product(op: Operator) -> bool:
    """A matrix product of two computed operands."""
    return op.kind == "matmul" and op.einsum is not None and len(op.inputs) == 2
