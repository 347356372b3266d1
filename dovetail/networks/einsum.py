"""Contractions that an index equation describes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dovetail.errors import NetworkError
from dovetail.networks.assembly import Assembler, Value
from dovetail.networks.shapes import Shape

_SPARE = "αβγδεζηθικλμνξοπ"
"""Labels that stand for the dimensions of an ellipsis."""


def output_shape(equation: str, shapes: Sequence[Shape]) -> Shape:
    """Shape of the result of an equation.

    Raises:
        NetworkError: if the equation does not fit the shapes.
    """
    terms, result = _terms(equation, shapes)
    extents = _extents(equation, terms, shapes)
    if len(set(result)) != len(result) or not set(result) <= set(extents):
        raise NetworkError(
            f"einsum '{equation}': its result '{result}' repeats or makes up an index"
        )
    return tuple(extents[label] for label in result)


def contract(
    graph: Assembler, name: str, equation: str, operands: Sequence[Value], output: Value
) -> None:
    """Adds the operators of an equation over one or two operands.

    Labels of a product fall into four groups, which become its ranks: in both operands and the
    result (G), in the first (P), in the second (K), and summed (C).

    Raises:
        NetworkError: if there are more operands, or an index is repeated or summed in one of two.
    """
    shapes = [value.shape for value in operands]
    terms, result = _terms(equation, shapes)
    extents = _extents(equation, terms, shapes)
    if len(operands) == 1:
        summed = len(result) < len(terms[0])
        kind, work = ("reduce", operands[0].elements) if summed else ("transpose", None)
        graph.vector(name, kind, operands, [output], work)
        return
    if len(operands) != 2:
        raise NetworkError(f"einsum '{equation}' has {len(operands)} operands: at most 2")
    left, right = terms
    alone = (set(left) ^ set(right)) - set(result)
    if alone:
        raise NetworkError(f"einsum '{equation}' sums '{min(alone)}' within one operand")
    groups = [label for label in left if label in right and label in result]
    inner = [label for label in left if label in right and label not in result]
    rows = [label for label in left if label not in right]
    columns = [label for label in right if label not in left]
    g, p, c, k = (math.prod(extents[e] for e in part) for part in (groups, rows, inner, columns))
    if not inner and not (rows and columns):
        graph.vector(name, "mul", operands, [output])
        return
    first, second = operands
    graph.product(name, first, second, output, ((g, p, c), (g, c, k)))


def _terms(equation: str, shapes: Sequence[Shape]) -> tuple[list[str], str]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        raise NetworkError(f"einsum '{equation}' does not name {len(shapes)} operands")
    spare = ""
    for i, (term, shape) in enumerate(zip(terms, shapes, strict=True)):
        if "..." in term:
            count = len(shape) - len(term) + 3
            if not 0 <= count <= len(_SPARE):
                raise NetworkError(f"einsum '{equation}' does not fit shape {list(shape)}")
            spare = max(spare, _SPARE[:count], key=len)
            terms[i] = term.replace("...", _SPARE[:count])
    if not arrow:
        joined = "".join(terms)
        right = spare + "".join(
            sorted(e for e in joined if joined.count(e) == 1 and e not in spare)
        )
    return terms, right.replace("...", spare)


def _extents(equation: str, terms: Sequence[str], shapes: Sequence[Shape]) -> dict[str, int]:
    extents: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if len(term) != len(shape) or len(set(term)) != len(term):
            raise NetworkError(f"einsum '{equation}' does not fit shape {list(shape)}")
        for label, extent in zip(term, shape, strict=True):
            if not label.isalpha() or extents.setdefault(label, extent) != extent:
                raise NetworkError(f"einsum '{equation}': index '{label}' has two extents")
    return extents
