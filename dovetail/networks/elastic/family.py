"""The elastic family: a design space of small quantized convolutional networks.

Every sub-network is stages of blocks, global average pooling and a classifier. The first block of
a stage is a convolution with ReLU (stride 2 from the second stage on); further blocks add their
input before the ReLU. Batch normalization is folded into the convolutions. All weights have
`weight_bits`, all activations `activation_bits` (the image and the classifier included, so that a
4-bit array runs a 4-bit network whole); logits leave the accumulator as int32. Resizing the image
is preprocessing and not part of the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property

from dovetail.errors import ProblemError
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray, Knob, Space
from dovetail.networks.elastic.subnetwork import SubNetwork, build


@dataclass(frozen=True, slots=True)
class Slot:
    """A place where an operator may stand.

    Attributes:
        operator: name of the operator, the same in every sub-network that has it.
        knobs: columns of the space that decide whether it exists, and all it is.
    """

    operator: str
    knobs: tuple[int, ...]


@dataclass(frozen=True)
class ElasticFamily:
    """A space of sub-networks that share one set of weights.

    Attributes:
        in_channels: channels of the image.
        classes: width of the classifier.
        resolutions: rows and columns of the image, ascending.
        widths: per stage, the channels to choose from, ascending.
        depths: blocks per stage to choose from, ascending.
        kernels: odd kernel sizes to choose from, ascending.
        weight_bits: weight widths to choose from, ascending.
        activation_bits: activation widths to choose from, ascending.

    Raises:
        ProblemError: if a list is empty, not ascending, or holds an impossible value.

    References:
        Cai et al., Once-for-All: Train One Network and Specialize it for Efficient Deployment,
        ICLR 2020, section 3.1 (elastic depth, width, kernel size and resolution).
    """

    in_channels: int = 1
    classes: int = 10
    resolutions: tuple[int, ...] = (4, 6, 8)
    widths: tuple[tuple[int, ...], ...] = ((4, 8, 16), (8, 16, 32), (16, 32, 64))
    depths: tuple[int, ...] = (1, 2)
    kernels: tuple[int, ...] = (3, 5)
    weight_bits: tuple[int, ...] = (2, 4, 8)
    activation_bits: tuple[int, ...] = (4, 8)

    def __post_init__(self) -> None:
        lists = {f"widths[{i}]": values for i, values in enumerate(self.widths)}
        for name in ("resolutions", "depths", "kernels", "weight_bits", "activation_bits"):
            lists[name] = getattr(self, name)
        for name, values in lists.items():
            if not values or min(values) < 1 or list(values) != sorted(set(values)):
                raise ProblemError(f"family {name} = {values}: must be ascending and positive")
        if any(kernel % 2 == 0 for kernel in self.kernels):
            raise ProblemError(f"family kernels = {self.kernels}: must be odd")
        bits = self.weight_bits + self.activation_bits
        if min(bits) < 2 or max(bits) > 8:
            raise ProblemError(f"family bits {sorted(set(bits))}: must be within 2 to 8")
        if not self.widths or self.in_channels < 1 or self.classes < 2:
            raise ProblemError(
                f"family of {len(self.widths)} stages, {self.in_channels} input channels and "
                f"{self.classes} classes: needs at least 1, 1 and 2"
            )

    @classmethod
    def of(cls, in_channels: int, classes: int, resolution: int) -> ElasticFamily:
        """The default family for images of `resolution` x `resolution`: 1/2, 3/4 and all of it."""
        scales = sorted({max(2, resolution // 2), max(2, resolution * 3 // 4), resolution})
        return cls(in_channels, classes, tuple(scales))

    def to_dict(self) -> dict[str, object]:
        """JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> ElasticFamily:
        """Inverse of `to_dict`, after a round trip through JSON.

        Raises:
            ProblemError: if a field is unknown, missing or malformed.
        """
        names = [field.name for field in fields(cls)]
        if sorted(data) != sorted(names):
            raise ProblemError(f"family has fields {sorted(data)}: must be {sorted(names)}")
        try:
            return cls(**{name: _tuples(value) for name, value in data.items()})  # type: ignore[arg-type]  # checked by __post_init__
        except TypeError as error:
            raise ProblemError(f"family fields are malformed: {error}") from error

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.widths)

    @cached_property
    def space(self) -> Space:
        """Knobs: resolution, then depth, width and kernel of every stage, then the bits."""
        knobs = [Knob("resolution", self.resolutions)]
        for stage, widths in enumerate(self.widths, start=1):
            knobs += [
                Knob(f"depth{stage}", self.depths),
                Knob(f"width{stage}", widths),
                Knob(f"kernel{stage}", self.kernels),
            ]
        knobs += [
            Knob("weight_bits", self.weight_bits),
            Knob("activation_bits", self.activation_bits),
        ]
        return Space(tuple(knobs))

    def decode(self, choice: Sequence[int] | IntArray) -> SubNetwork:
        """Values of one index vector (knobs,).

        Raises:
            ProblemError: if the length or an index is wrong.
        """
        limits = self.space.cardinalities
        if len(choice) != len(limits) or any(
            not 0 <= int(i) < limit for i, limit in zip(choice, limits, strict=True)
        ):
            raise ProblemError(f"choice {list(choice)} does not lie in {limits.tolist()}")
        inner = [int(i) for i in choice[1:-2]]
        return SubNetwork(
            resolution=self.resolutions[int(choice[0])],
            depths=tuple(self.depths[i] for i in inner[0::3]),
            widths=tuple(self.widths[stage][i] for stage, i in enumerate(inner[1::3])),
            kernels=tuple(self.kernels[i] for i in inner[2::3]),
            weight_bits=self.weight_bits[int(choice[-2])],
            activation_bits=self.activation_bits[int(choice[-1])],
        )

    def network(self, choice: Sequence[int] | IntArray) -> Network:
        """Inference graph of one sub-network for one image; choice is (knobs,)."""
        name = "elastic-" + "".join(str(int(index)) for index in choice)
        return build(name, self.decode(choice), self.in_channels, self.classes)

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """Every operator of any sub-network, in topological order, with its deciding knobs."""
        column = {name: index for index, name in enumerate(self.space.names)}
        slots: list[Slot] = []

        def add(operator: str, *knobs: str) -> None:
            slots.append(Slot(operator, tuple(sorted(column[knob] for knob in knobs))))

        bits = ("weight_bits", "activation_bits")
        for s in range(1, self.stages + 1):
            shape = ("resolution", f"width{s}")
            # A stage reads the last block before it: its name depends on the depth there.
            before = (f"depth{s - 1}", f"width{s - 1}") if s > 1 else ()
            add(f"stage{s}.block1.conv", *shape, f"kernel{s}", *before, *bits)
            add(f"stage{s}.block1.relu", *shape, "activation_bits")
            for b in range(2, max(self.depths) + 1):
                exists = (*shape, f"depth{s}")
                add(f"stage{s}.block{b}.conv", *exists, f"kernel{s}", *bits)
                add(f"stage{s}.block{b}.add", *exists, "activation_bits")
                add(f"stage{s}.block{b}.relu", *exists, "activation_bits")
        last = self.stages
        add("pool", "resolution", f"depth{last}", f"width{last}", "activation_bits")
        add("classifier", f"width{last}", *bits)
        return tuple(slots)


def _tuples(value: object) -> object:
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value
