"""Whole networks on the gates: every byte of memory, every cycle, and what they classify."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dovetail.arch.systolic import SystolicArray
from dovetail.errors import AcceleratorError
from dovetail.flow import map_network
from dovetail.ir.executable import Executable
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.imported import imported
from dovetail.mappers.rtl.lower import lower
from dovetail.mappers.rtl.quantize import quantize
from dovetail.networks.quantized import QuantizedNetwork
from dovetail.sim import interpreter, rtl
from dovetail.sim.cycle import ChainTiming, run_executable
from dovetail.sim.simulators import Bench, build
from dovetail.verify.check import DONE, compare
from dovetail.verify.work import Work

if TYPE_CHECKING:
    from dovetail.networks.elastic.accuracy import AccuracyOracle

MICRO = SystolicArray(
    name="micro", rows=8, cols=8, machine="rtl", fold_overlap="full", bus_bits=64,
    input_sram_kib=32, weight_sram_kib=32, output_sram_kib=32, clock_mhz=200, dram_gb_per_s=1.6,
)  # fmt: skip
"""A design for microcontroller networks that simulates quickly: 8 x 8, 8 bytes per cycle."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """What is verified.

    Attributes:
        network: integers.
        images: (n, C, H, W) stored codes.
        labels: (n,) true classes; None for random images.
        promised: how many of them the accuracy oracle counts as right; None if it has no say.
        tilings: rows of `Tile` columns by layer; the lowering's own where missing.
    """

    network: QuantizedNetwork
    images: NDArray[Any]
    labels: NDArray[np.int64] | None = None
    promised: int | None = None
    tilings: Mapping[str, IntArray] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class ImageResult:
    """One image on the gates.

    Attributes:
        image: its number.
        kind: "" if simulator, interpreter and gates agree, else as in `check.Outcome`.
        detail: what disagrees.
        cycles: of the gates.
        answer: index of the greatest output; -1 if the gates never finished.
        seconds: wall time of the gates' simulation.
        run: all that the gates showed on the first image; None of others.
    """

    image: int
    kind: str
    detail: str
    cycles: int
    answer: int
    seconds: float
    run: rtl.RtlRun | None


@dataclass(frozen=True, slots=True, eq=False)
class Verdict:
    """All images of a subject.

    Attributes:
        executable: what ran.
        timing: what the cycle simulator says of it, traced.
        simulate_seconds: wall time of that simulation without its trace, the best of 5.
        results: of every image.
        labels: true classes.
        promised: right answers that the accuracy oracle counts.
    """

    executable: Executable
    timing: ChainTiming
    simulate_seconds: float
    results: tuple[ImageResult, ...]
    labels: NDArray[np.int64] | None
    promised: int | None

    @property
    def failures(self) -> tuple[ImageResult, ...]:
        """Images on which not all agree."""
        return tuple(result for result in self.results if result.kind)

    @property
    def correct(self) -> int | None:
        """Images that the gates classify correctly."""
        if self.labels is None:
            return None
        answers = np.array([result.answer for result in self.results])
        return int((answers == self.labels[: len(answers)]).sum())


def random_subject(network: Network, design: SystolicArray, images: int, seed: int) -> Subject:
    """A network with random weights, calibrated, and random images, tiled as `simulate` tiles it.

    Args:
        network: of batch 1.
        design: an RTL machine.
        images: how many.
        seed: of weights and images.

    Raises:
        AcceleratorError: if the design is no RTL machine.
        MappingError: if an operator has no RTL twin.
    """
    tilings = tilings_on(network, design)
    made = quantize(
        network, seed=seed, activation_bits=design.input_bits, weight_bits=design.weight_bits,
        accumulator_bits=design.accumulator_bits,
    )  # fmt: skip
    limit = 1 << (design.input_bits - 1)
    shape = (images, *made.tensor(made.input).shape)
    made_images = np.random.default_rng(seed).integers(-limit, limit, shape)
    return Subject(made, made_images, tilings=tilings)


def imported_subject(
    network: Network, codes: Mapping[str, NDArray[Any]], design: SystolicArray, images: int,
    seed: int,
) -> Subject:  # fmt: skip
    """A network in the integers of its file, and random images, tiled as `simulate` tiles it.

    Args:
        network: int8, of batch 1.
        codes: elements of its parameters by tensor name.
        design: an RTL machine.
        images: how many.
        seed: of the images.

    Raises:
        AcceleratorError: if the design is no RTL machine, or not one of int8.
        MappingError: if an operator has no RTL twin, or a tensor no scale.
    """
    tilings = tilings_on(network, design)
    if (design.input_bits, design.weight_bits) != (8, 8):
        raise AcceleratorError(
            f"accelerator '{design.name}' has operands of {design.input_bits} and "
            f"{design.weight_bits} bits: the model is int8; set input_bits and weight_bits to 8"
        )
    made = replace(imported(network, codes), accumulator_bits=design.accumulator_bits)
    shape = (images, *made.tensor(made.input).shape)
    made_images = np.random.default_rng(seed).integers(-128, 128, shape)
    return Subject(made, made_images, tilings=tilings)


def tilings_on(network: Network, design: SystolicArray) -> dict[str, IntArray]:
    """The mapper's tilings by layer.

    Raises:
        AcceleratorError: if the design is no RTL machine.
    """
    if design.machine != "rtl":
        raise AcceleratorError(
            f"accelerator '{design.name}' has machine = {design.machine}: only machine = rtl has "
            "gates; add --set machine=rtl"
        )
    return map_network(network, design).tilings


def trained_subject(
    oracle: AccuracyOracle, choice: Sequence[int], design: SystolicArray, images: int | None
) -> Subject:
    """A sub-network of a trained supernet, and held-out images.

    Args:
        oracle: has supernet and data set.
        choice: the sub-network's knobs.
        design: an RTL machine.
        images: how many of them; None takes all.

    Raises:
        AcceleratorError: if the design is no RTL machine.
    """
    from dovetail.networks.elastic.deploy import deploy, stored_images
    from dovetail.networks.elastic.inference import Classifier

    tilings = tilings_on(oracle.family.network(choice), design)
    classifier, sub = Classifier(oracle.net, oracle.dataset), oracle.family.decode(choice)
    labels = oracle.dataset.y_test
    stored = stored_images(classifier, sub)[:images]
    answers = classifier.logits(sub).argmax(1).numpy()[: len(stored)]
    promised = int((answers == labels[: len(stored)]).sum())
    return Subject(deploy(classifier, sub), stored, labels[: len(stored)], promised, tilings)


def verify_network(
    subject: Subject,
    design: SystolicArray,
    simulator: str = "verilator",
    *,
    jobs: int = 1,
    progress: Callable[[ImageResult], None] | None = None,
) -> Verdict:
    """Runs every image on simulator, interpreter and gates.

    Args:
        subject: network and images.
        design: an RTL machine.
        simulator: of the gates, "verilator" or "icarus".
        jobs: images at a time.
        progress: called after every image, in order.

    Raises:
        MappingError: if the network does not fit the design.
        MissingToolError, ToolError: if the gates cannot be built or run.
    """
    executable = lower(subject.network, design, subject.tilings)
    bench = bench_of(executable, design, simulator)
    seconds = min(_simulation_seconds(executable, design) for _ in range(5))
    timing = run_executable(executable, design, trace=True)

    def one(number: int) -> ImageResult:
        return _run_image(subject, design, executable, timing, bench, number)

    results = []
    with ThreadPoolExecutor(jobs) as pool:
        for result in pool.map(one, range(len(subject.images))):
            results.append(result)
            if progress:
                progress(result)
    return Verdict(executable, timing, seconds, tuple(results), subject.labels, subject.promised)


def _simulation_seconds(executable: Executable, design: SystolicArray) -> float:
    begin = time.perf_counter()
    run_executable(executable, design)
    return time.perf_counter() - begin


def bench_of(executable: Executable, design: SystolicArray, simulator: str) -> Bench:
    """The gates of a design; powers of two as program memories let networks share a build."""
    depths = (executable.param_depth, executable.program_depth)
    params, entries = (max(64, 1 << (depth - 1).bit_length()) for depth in depths)
    values = rtl.parameters(design, param_depth=params, program_depth=entries)
    return build(values, simulator, memory_bytes=executable.size)


def run_gates(executable: Executable, design: SystolicArray, timing: ChainTiming) -> rtl.RtlRun:
    """Runs an executable once under Verilator, on an input of zeros.

    Args:
        executable: lowered to `design`.
        design: an RTL machine.
        timing: what the simulator says of it; bounds the run.

    Raises:
        MissingToolError, ToolError: if the gates cannot be built or run.
    """
    bench = bench_of(executable, design, "verilator")
    return rtl.run(
        bench, executable.memory(), rtl.channel(design), address=executable.start,
        limit=4 * timing.total + 10_000,
    )  # fmt: skip


def _run_image(
    subject: Subject, design: SystolicArray, executable: Executable, timing: ChainTiming,
    bench: Bench, number: int,
) -> ImageResult:  # fmt: skip
    image = subject.images[number].astype(np.int64)
    work = Work(design, subject.network, image, {}, executable, executable.memory(image))
    expected = work.memory.copy()
    interpreter.execute(executable, expected)
    begin = time.perf_counter()
    seen = rtl.run(
        bench, work.memory, rtl.channel(design), address=executable.start,
        limit=4 * timing.total + 10_000,
    )  # fmt: skip
    seconds = time.perf_counter() - begin
    kind, detail = compare(work, timing, expected, seen, timed=True)
    answer = -1
    if not seen.failure:
        answer = int(executable.region(executable.output).unpack(seen.memory).argmax())
    kept = None if number else seen
    return ImageResult(number, kind, detail, max(0, seen.cycles - DONE), answer, seconds, kept)
