"""Softmax as an Ethos-U runs it: 31 block operations on its elementwise unit.

The greatest value is subtracted, a table gives exponentials, and three rounds of Newton's method
the reciprocal of their sum, all in 32-bit fixed point.

References:
    The same sequence as Arm's open compiler Vela 5.2.0 issues; it follows gemmlowp's fixed-point
    exponential and reciprocal.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dovetail.arch.npu_cores import Shape
from dovetail.sim.npu.work import FeatureMap, Work

CONSTANT = "constant"
COMPUTED = "computed"


@dataclass(frozen=True, slots=True)
class Element:
    """One elementwise operation.

    Attributes:
        function: what it computes.
        second: where its second input comes from; "" if it has one input.
        long: whether it works on all values, not on one per row.
        bricks_in: layout of its input.
        bricks_out: layout of its result.
    """

    function: str
    second: str
    long: bool = False
    bricks_in: bool = False
    bricks_out: bool = False


_ROUND = (
    Element("mul", COMPUTED),
    Element("sub", CONSTANT),
    Element("mul", COMPUTED),
    Element("mul", CONSTANT),
    Element("add", COMPUTED),
)
_RECIPROCAL = (
    Element("clz", "", bricks_in=True, bricks_out=True),
    Element("sub", CONSTANT, bricks_in=True),
    Element("sub", CONSTANT, bricks_in=True),
    Element("shl", COMPUTED, bricks_in=True),
    Element("sub", CONSTANT),
    Element("shl", CONSTANT),
    Element("add", CONSTANT),
    Element("mul", CONSTANT),
    Element("add", CONSTANT),
    *_ROUND,
    *_ROUND,
    *_ROUND,
    Element("mul", CONSTANT),
)


def softmax_works(rows: int, count: int, bits: int, constants: str) -> Iterator[Work]:
    """The operations of a softmax, in order.

    Args:
        rows: that are normalized each for itself.
        count: values of a row.
        bits: of values and results.
        constants: memory that holds constants.
    """
    long, one = (rows, 1, count), (rows, 1, 1)
    given = FeatureMap((rows, count, 1), bits, bricks=False)
    yield Work("pooling", "max", given, FeatureMap(one, bits), kernel=(1, count))
    greatest = FeatureMap(one, bits, bricks=False)
    values = FeatureMap(long, bits, bricks=False)
    yield Work("elementwise", "sub", values, FeatureMap(long, 32), greatest, activation="lut")
    shift = Element("shr", CONSTANT, long=True, bricks_in=True)
    yield _element(shift, long, one, constants)
    flat = FeatureMap(long, 32, bricks=False)
    yield Work("reduce_sum", "", flat, FeatureMap(one, 32), activation="relu")
    for element in _RECIPROCAL:
        yield _element(element, long, one, constants)
    scale = Element("mul", COMPUTED, long=True, bricks_in=True, bricks_out=True)
    yield _element(scale, long, one, constants)
    result, factor = FeatureMap(long, bits, bricks=False), FeatureMap(one, 32, bricks=False)
    yield Work("elementwise", "shr", FeatureMap(long, 32), result, factor)


def _element(element: Element, long: Shape, one: Shape, constants: str) -> Work:
    shape = long if element.long else one
    second = None
    if element.second:
        memory = constants if element.second == CONSTANT else "sram"
        second = FeatureMap(one, 32, bricks=False, memory=memory)
    return Work(
        "elementwise",
        element.function,
        FeatureMap(shape, 32, element.bricks_in),
        FeatureMap(shape, 32, element.bricks_out),
        second,
        activation="relu",
    )
