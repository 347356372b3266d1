"""The system family: several accelerators, of one kind or many, that share off-chip memory."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dovetail.arch import presets
from dovetail.arch.accelerator import Accelerator
from dovetail.arch.laws import NAME, checked, number, short
from dovetail.arch.spatial import SpatialArray
from dovetail.arch.systolic import SystolicArray, shorten
from dovetail.errors import AcceleratorError
from dovetail.ir.space import Value

FIDELITIES = ("estimate",)
CORES = (SystolicArray, SpatialArray)
"""Built-in families that run operator by operator; those of other packages may be cores, too."""
MAX_CORES = 16
KEYS = ("name", "cores", "dram_gb_per_s", "clock_mhz")


@dataclass(frozen=True, slots=True)
class System:
    """Cores that share the bandwidth of one off-chip memory and run one network together.

    Construction checks nothing: an illegal design is a value, and `validate()` says why.

    Attributes:
        name: label in reports.
        cores: (name, accelerator) pairs.
        dram_gb_per_s: what all cores together move, reads and writes.
        clock_mhz: in which the system's cycles count; each core runs at its own.
    """

    family: ClassVar[str] = "system"

    name: str
    cores: tuple[tuple[str, Accelerator], ...]
    dram_gb_per_s: float = number(12.8, 0.001, 100000, "GB/s", "shared by all cores")
    clock_mhz: float = number(1000.0, 1, 10000, "MHz", "in which the system's cycles count")

    @property
    def peak_macs_per_cycle(self) -> int:
        """Multiply-accumulates of all cores per cycle of the system's clock, rounded up."""
        peak = sum(core.peak_macs_per_cycle * core.clock_mhz for _, core in self.cores)
        return math.ceil(peak / self.clock_mhz)

    @property
    def dram_bytes_per_cycle(self) -> float:
        """Shared bandwidth per cycle of the system's clock."""
        return self.dram_gb_per_s * 1e3 / self.clock_mhz

    @property
    def area_mm2(self) -> float:
        """Area of all cores."""
        return sum(core.area_mm2 for _, core in self.cores)

    @property
    def array(self) -> str:
        """Names of the cores."""
        return " + ".join(name for name, _ in self.cores)

    @property
    def sram_bytes(self) -> float:
        """On-chip memories of all cores."""
        return sum(core.sram_bytes for _, core in self.cores)

    def default_knobs(self) -> dict[str, tuple[Value, ...]]:
        """Shared bandwidth, halved and doubled, and the knobs of spatial cores."""
        bandwidths = tuple(self.dram_gb_per_s * scale for scale in (0.5, 1, 2))
        knobs: dict[str, tuple[Value, ...]] = {"dram_gb_per_s": bandwidths}
        for name, core in self.cores:
            if isinstance(core, SpatialArray):
                inner = core.default_knobs()
                knobs |= {f"cores.{name}.{key}": values for key, values in inner.items()}
        return knobs

    @classmethod
    def parameters(cls) -> Iterator[tuple[str, str, str, str]]:
        """(name, default, legal values, meaning) of what `from_dict` and `replace` take."""
        yield "cores", "", "presets, or parameters with their family", "what it is made of"
        yield "cores.CORE.PARAMETER", "", "see the core's family", "parameter of one core"
        for field in dataclasses.fields(cls):
            if law := field.metadata:
                yield field.name, f"{field.default}", short(law), law["doc"]

    def bounded(self) -> tuple[tuple[str, Accelerator], ...]:
        """The cores, none of which has more bandwidth than the system shares out."""
        return tuple((name, _bounded(core, self.dram_gb_per_s)) for name, core in self.cores)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "parameters") -> System:
        """Builds a system from the values of a file, or flat ones as `to_dict` gives them.

        Args:
            values: `cores` is a list of presets' names, of `{preset: NAME, name: …, set: {…}}`,
                or of parameters with their `family`.
            source: where they come from, for messages.

        Raises:
            AcceleratorError: naming source, path, value and what is legal.
        """
        given = {key: value for key, value in values.items() if key != "family"}
        if isinstance(given.get("cores"), str):
            given = _unflattened(given, source)
        for key in given:
            if key not in KEYS:
                raise AcceleratorError(
                    f"{source}: unknown key {shorten(key)}; legal keys: {', '.join(KEYS)}"
                )
        listed = given.pop("cores", None)
        if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CORES:
            raise AcceleratorError(
                f"{source}: cores = {shorten(listed)}: must be a list of 1 to {MAX_CORES} cores"
            )
        cores = tuple(_core(core, f"{source}: cores[{i}]") for i, core in enumerate(listed))
        laws = {f.name: f.metadata for f in dataclasses.fields(cls) if f.metadata}
        for key, value in given.items():
            law = laws.get(key, {"kind": "text"})
            given[key] = checked(f"{source}: {key}", law, value)
        fastest = max(core.clock_mhz for _, core in cores)
        return cls(**{"name": "system", "clock_mhz": fastest, **given, "cores": cores})

    def to_dict(self) -> dict[str, int | float | str]:
        """Parameter values as scalars by dotted name, e.g. `cores.left.array.x`."""
        table: dict[str, int | float | str] = {
            "family": self.family,
            "name": self.name,
            "dram_gb_per_s": self.dram_gb_per_s,
            "clock_mhz": self.clock_mhz,
            "cores": " ".join(name for name, _ in self.cores),
        }
        for name, core in self.cores:
            values = {"family": core.family, **core.to_dict()}
            table |= {f"cores.{name}.{key}": value for key, value in values.items()}
        return table

    def replace(self, values: Mapping[str, object], source: str = "--set") -> System:
        """A copy with some parameters replaced by dotted name; raises as `from_dict` does."""
        cores = dict(self.cores)
        own: dict[str, Any] = {}
        for key, value in values.items():
            head, _, rest = key.partition(".")
            name, _, parameter = rest.partition(".")
            if head != "cores":
                own[key] = value
            elif name not in cores or not parameter:
                raise AcceleratorError(
                    f"{source}: unknown key {shorten(key)}; legal keys: dram_gb_per_s, clock_mhz "
                    f"and cores.NAME.PARAMETER of {', '.join(cores)}"
                )
            else:
                cores[name] = cores[name].replace({parameter: value}, f"{source}: cores.{name}")
        flat = {k: v for k, v in self.to_dict().items() if not k.startswith("cores.")}
        listed = [{"family": c.family, **c.to_dict()} for c in cores.values()]
        built = self.from_dict({**flat, **own, "cores": listed}, source)
        return dataclasses.replace(built, cores=tuple(cores.items()))

    def validate(self) -> list[str]:
        """Reasons why the design is illegal; empty if it is legal."""
        reasons = []
        names = [name for name, _ in self.cores]
        for name in sorted({name for name in names if names.count(name) > 1}):
            reasons.append(f"cores: '{name}' stands twice: give each core a name of its own")
        if not self.cores:
            reasons.append("cores: must be at least one")
        for name, core in self.cores:
            reasons += [f"cores.{name}: {reason}" for reason in core.validate()]
            if core.family in presets.FAMILIES and not isinstance(core, CORES):
                reasons.append(
                    f"cores.{name}: family '{core.family}' runs whole networks: it is no core"
                )
            if isinstance(core, SystolicArray) and core.machine != "ideal":
                reasons.append(f"cores.{name}: machine '{core.machine}': cores are ideal machines")
        for field in dataclasses.fields(self):
            if field.metadata:
                try:
                    checked(f"{self.name}: {field.name}", field.metadata, getattr(self, field.name))
                except AcceleratorError as error:
                    reasons.append(str(error))
        return reasons


def _core(value: object, where: str) -> tuple[str, Accelerator]:
    if isinstance(value, str):
        value = {"preset": value}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise AcceleratorError(
            f"{where} = {shorten(value)}: must be a preset's name, {{preset: NAME, name: …, set: "
            "{…}}, or parameters with their family"
        )
    core = _preset(value, where) if "preset" in value else presets.from_dict(value, where)
    if isinstance(core, System):
        raise AcceleratorError(f"{where}: a system is no core of another system")
    name = value.get("name", core.name)
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise AcceleratorError(
            f"{where}.name = {shorten(name)}: must be letters, digits and underscores"
        )
    return name, core if core.name == name else core.replace({"name": name}, where)


def _preset(value: Mapping[str, Any], where: str) -> Accelerator:
    for key in value:
        if key not in ("preset", "name", "set"):
            raise AcceleratorError(
                f"{where}: unknown key {shorten(key)}; legal keys: preset, name, set"
            )
    if value["preset"] not in presets.names():
        raise AcceleratorError(
            f"{where}.preset = {shorten(value['preset'])}: must be one of "
            f"{', '.join(presets.names())}"
        )
    changes = value.get("set", {})
    if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
        raise AcceleratorError(f"{where}.set = {shorten(changes)}: must be values by parameter")
    return presets.load(value["preset"]).replace(changes, f"{where}.set")


def _unflattened(values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Values with the cores' dotted names gathered; `cores` lists their names."""
    names = values["cores"].split()
    found = {key: value for key, value in values.items() if not key.startswith("cores")}
    cores: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, value in values.items():
        if key.startswith("cores."):
            name, _, parameter = key.removeprefix("cores.").partition(".")
            if name not in cores:
                raise AcceleratorError(f"{source}: {shorten(key)}: unknown core; it has {names}")
            cores[name][parameter] = value
    return {**found, "cores": [{**core, "name": name} for name, core in cores.items()]}


def _bounded(core: Accelerator, gb_per_s: float) -> Accelerator:
    """A core whose off-chip bandwidth, both directions, is at most so much."""
    if isinstance(core, SystolicArray):
        return dataclasses.replace(core, dram_gb_per_s=min(core.dram_gb_per_s, gb_per_s))
    if isinstance(core, SpatialArray):
        bits = gb_per_s * 8e3 / core.clock_mhz
        outermost = core.stores[-1]
        if outermost.bits_per_cycle <= bits:
            return core
        capped = dataclasses.replace(outermost, read_bits_per_cycle=bits, write_bits_per_cycle=None)
        return dataclasses.replace(core, stores=(*core.stores[:-1], capped))
    return core
