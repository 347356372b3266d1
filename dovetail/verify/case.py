"""A verification case: a small design, a small network and a memory channel, as plain numbers.

A case is JSON: it is stored, shrunk and replayed. All data come from its seeds.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import DovetailError, StudyError

CLOCK_MHZ = 1000
"""A clock at which a cycle is 1 ns and a byte per cycle is 1 GB/s."""

KINDS = ("convolution", "linear", "max", "sum", "addition")
MOST_VALUES = 2**20
"""Of a tensor or a layer's weights; the test bench holds a MiB."""
SEEDS = (0, 2**63 - 1)
RANGES = {
    "shape": (1, 2**16), "data": SEEDS, "tiling": (-1, SEEDS[1]), "latency": (0, 100_000),
    "bandwidth": (1, 256 * 64), "stalls": (0, 2**31 - 1), "rounds": (1, 1000),
    "param_depth": (1, 2**16 - 1), "program_depth": (1, 2**16 - 1),
    "outputs": (1, 2**16), "kernel": (1, 255), "stride": (1, 255), "padding": (0, 255),
    "dilation": (1, 255), "groups": (1, 2**16), "other": (0, 255),
}  # fmt: skip
"""What the numbers of a file must lie within."""

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LayerSpec:
    """One layer of a chain; see `dovetail.networks.quantized` for the meaning.

    Attributes:
        kind: "convolution", "linear", "max", "sum" or "addition".
        outputs: channels of a convolution or linear layer.
        kernel, stride, padding, dilation: of a convolution or pooling; padding is (top, left,
            bottom, right).
        groups: of a convolution.
        other: number of the tensor that an addition adds; 0 is the network's input.
        wide: stores accumulators; the last layer's only.
    """

    kind: str
    outputs: int = 1
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    other: int = 0
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Elaboration:
    """What a build of the gates depends on.

    Attributes:
        design: parameters of `SystolicArray` but for its memory channel.
        param_depth: parameter words.
        program_depth: entries per queue.
    """

    design: dict[str, int | float | str]
    param_depth: int
    program_depth: int

    def base(self) -> SystolicArray:
        """The design with some memory channel."""
        return SystolicArray.from_dict(
            {**self.design, "machine": "rtl", "clock_mhz": CLOCK_MHZ, "name": "case"}
        )


@dataclass(frozen=True, slots=True)
class Case:
    """All that makes a run.

    Attributes:
        name: how to draw it again, `seed-elaboration-number`.
        elaboration: the gates.
        shape: (channels, height, width) of the input.
        layers: a chain; tensor i + 1 is what layer i writes.
        data: seed of weights, parameters and input.
        tiling: seed of the tilings; -1 for the lowering's own.
        latency: of the memory, in cycles.
        bandwidth: of the memory, in 1/256 byte per cycle.
        stalls: seed of random backpressure; 0 for none.
        per_pixel: stores take a parameter word per pixel, which no lowering asks for; the network's
            arithmetic is then another one.
        exchanged: input stationary: operands are exchanged, on a WS array.
        rounds: how often the accelerator runs the program, one run after the other.
    """

    name: str
    elaboration: Elaboration
    shape: tuple[int, int, int]
    layers: tuple[LayerSpec, ...]
    data: int
    tiling: int
    latency: int
    bandwidth: int
    stalls: int
    per_pixel: bool = False
    exchanged: bool = False
    rounds: int = 1

    def design(self) -> SystolicArray:
        """The design with the case's memory channel."""
        # Half a step more, so that rounding down meets the number.
        rate = (self.bandwidth + 0.5) / 256
        channel = {"dram_gb_per_s": rate, "dram_latency_ns": self.latency}
        return self.elaboration.base().replace(channel)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Case:
        """Inverse of `to_dict`."""
        layers = tuple(LayerSpec(**_frozen(layer)) for layer in values["layers"])
        known = {
            "elaboration": Elaboration(**values["elaboration"]),
            "shape": tuple(values["shape"]),
            "layers": layers,
        }
        return cls(**{**values, **known})

    def save(self, path: Path) -> None:
        """Writes the case to a file."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")


def _frozen(values: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}


def load_case(path: Path) -> Case:
    """Reads a file that `Case.save` wrote.

    Raises:
        StudyError: if it holds no case.
    """
    try:
        case = Case.from_dict(json.loads(path.read_text(encoding="utf-8")))
        reason = next(_faults(case), "") or "; ".join(case.design().validate())
    except KeyError as error:
        reason = f"{error} is missing"
    except RecursionError:
        reason = "it is nested too deeply"
    except (ValueError, TypeError, AttributeError, DovetailError) as error:
        reason = str(error)
    if reason:
        raise StudyError(f"'{path}' holds no case: {reason}")
    return case


def _faults(case: Case) -> Iterator[str]:
    """What is wrong with a case's types and numbers."""
    for part in (case, case.elaboration, *case.layers):
        hints = get_type_hints(type(part))
        for name, hint in hints.items():
            value = getattr(part, name)
            if not _is(value, hint):
                yield f"{name} = {value!r}: is of the wrong type"
            low, high = RANGES.get(name, (-math.inf, math.inf))
            for number in value if isinstance(value, tuple) else (value,):
                if name in RANGES and not low <= number <= high:
                    yield f"{name} = {value!r}: must lie within {low:,} to {high:,}"
    if not case.name.isprintable():
        yield f"name = {case.name!r}: must be printable"
    if not case.layers:
        yield "it has no layers"
    for number, layer in enumerate(case.layers):
        if layer.kind not in KINDS:
            yield f"layer {number}: kind '{layer.kind}': must be one of {', '.join(KINDS)}"


def _is(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type; a boolean is no number."""
    if get_origin(hint) is tuple:
        hints = get_args(hint)
        if not isinstance(value, tuple) or (hints[-1] is not ... and len(value) != len(hints)):
            return False
        return all(_is(item, hints[0]) for item in value)
    if get_origin(hint) is dict:
        return isinstance(value, dict)
    return type(value) is hint
