"""A co-design problem in closed form: coupled laws, a constraint, conflicting objectives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dovetail.envs.problem import Evaluation, Objective
from dovetail.ir.space import BoolArray, FloatArray, IntArray, Knob, Space

PREFETCH, DATAFLOW, KERNEL = ("none", "next", "two", "broken"), ("ws", "os", "is"), (3, 5, 7)

KNOBS = (
    Knob("rows", (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)),
    Knob("cols", (4, 8, 12, 16, 24, 32, 48, 64, 96, 128)),
    Knob("dataflow", DATAFLOW, ordered=False),
    Knob("input_kib", (8, 16, 32, 64, 128, 256, 512, 1024)),
    Knob("weight_kib", (8, 16, 32, 64, 128, 256, 512, 1024)),
    Knob("output_kib", (8, 16, 32, 64, 128, 256, 512, 1024)),
    Knob("dram_gb_per_s", (2, 4, 8, 16, 32, 64, 128)),
    Knob("prefetch", PREFETCH, ordered=False),
    Knob("width", (8, 12, 16, 24, 32, 40, 48, 64, 80, 96, 112, 128)),
    Knob("depth", (2, 3, 4, 6, 8, 10, 12)),
    Knob("kernel", KERNEL, ordered=False),
    Knob("resolution", (16, 24, 32, 40, 48)),
)


SPACE = Space(KNOBS)


@dataclass(frozen=True)
class ToyProblem:
    """Twelve knobs, three objectives; "broken" prefetch is never lawful."""

    name: str = "toy"
    area_limit: float = 12.0
    space: Space = SPACE
    objectives: tuple[Objective, ...] = (
        Objective("latency_ms", "log", 10.0),
        Objective("energy_mj", "log", 10.0),
        Objective("error", "linear", 0.5),
    )
    reference_point: FloatArray = field(default_factory=lambda: np.array([1.0, 1.0, 1.0]))

    def evaluate(self, designs: IntArray) -> Evaluation:
        self.space.check(designs)
        v = {k.name: _column(k, designs[:, i]) for i, k in enumerate(self.space.knobs)}
        pes = v["rows"] * v["cols"]
        macs = (v["width"] * v["kernel"] * v["resolution"]) ** 2 * v["depth"]
        # Tiles of the array that the network's width fills; OS suffers from large kernels.
        fill = v["width"] / (np.ceil(v["width"] / v["cols"]) * v["cols"])
        fill = fill * v["width"] / (np.ceil(v["width"] / v["rows"]) * v["rows"])
        fill = fill * np.choose(designs[:, 2], [1.0, 1.2 - 0.05 * v["kernel"], 0.7])
        weights = v["width"] ** 2 * v["kernel"] ** 2 / 1024
        maps = v["width"] * v["resolution"] ** 2 / 1024
        refetch = 1 + np.maximum(0, weights / v["weight_kib"] - 1) / 4
        refetch = refetch + np.maximum(0, maps / v["input_kib"] - 1) / 4
        traffic = (weights + 2 * maps) * v["depth"] * refetch / 1024  # MB
        compute, memory = macs / (pes * fill * 1e6), traffic / v["dram_gb_per_s"]
        overlap = np.choose(designs[:, 7], [0.0, 0.7, 1.0, 1.0])
        latency = np.maximum(compute, memory) + (1 - overlap) * np.minimum(compute, memory)
        srams = v["input_kib"] + v["weight_kib"] + v["output_kib"]
        energy = macs * 1e-9 * (1 + srams / 400) + traffic * 2.0 + latency * pes / 300
        energy = energy + latency * v["dram_gb_per_s"] * 0.05
        area = pes / 700 + srams / 160 + v["dram_gb_per_s"] / 16 + (designs[:, 7] == 2) * 1.0
        size = np.log2(v["width"] * v["depth"] * v["resolution"] / 256)
        error = 0.08 + 0.5 * np.exp(-0.35 * size) + 0.02 * np.abs(v["kernel"] - 5) / 2
        law = np.maximum(0, v["rows"] * v["kernel"] / v["input_kib"] - 8) / 8
        law = law + np.maximum(0, pes / v["output_kib"] - 32) / 32 + (designs[:, 7] == 3)
        metrics = {"latency_ms": latency, "energy_mj": energy, "error": error, "area_mm2": area}
        metrics = {k: np.where(law > 0, np.nan, x) for k, x in metrics.items()}
        y = np.stack([o.normalise(metrics[o.name]) for o in self.objectives], axis=1)
        return Evaluation(metrics, y, law + np.maximum(0, area / self.area_limit - 1))

    def reasons(self, design: IntArray) -> list[str]:
        return ["illegal"] if self.evaluate(design[None]).violation[0] > 0 else []

    def masks(self) -> tuple[BoolArray, ...]:
        masks = [np.ones(len(k.values), dtype=np.bool_) for k in self.space.knobs]
        masks[7][3] = False
        return tuple(masks)

    def describe(self) -> dict[str, object]:
        return {"problem": self.name, "area_limit": self.area_limit}


def _column(knob: Knob, indices: IntArray) -> FloatArray:
    if isinstance(knob.values[0], str):
        return np.zeros(len(indices))
    return np.array(knob.values, dtype=np.float64)[indices]
