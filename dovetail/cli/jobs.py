"""What `build` and `demo` share: from a design or a point of a study to gates that are checked."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dovetail.arch import presets
from dovetail.arch.systolic import SystolicArray
from dovetail.building.adapt import adapted, obstacles
from dovetail.building.twin import Twin, make_twin, verify
from dovetail.cli.build import NETWORK, SIMULATORS, TARGETS
from dovetail.cli.options import assignments, load_accelerator
from dovetail.cli.running import prepare_problem
from dovetail.errors import MissingToolError, ProblemError, StudyError, UnknownNameError
from dovetail.flow import simulate
from dovetail.ir.network import Network
from dovetail.ir.space import IntArray
from dovetail.mappers.rtl.quantize import quantize
from dovetail.networks.quantized import QuantizedNetwork
from dovetail.networks.registry import load_network
from dovetail.rtl.synthesis import Synthesis, synthesize
from dovetail.sim.simulators import require_tools
from dovetail.studies.store import StudyStore

if TYPE_CHECKING:
    from dovetail.envs.codesign import CoDesignProblem

Images = list[NDArray[Any]]


@dataclass(frozen=True)
class Job:
    """What is to be built.

    Attributes:
        design: as given.
        network: what its cycles were counted for.
        quantized: the same in integers.
        images: codes (C, H, W).
        labels: classes of the images; empty if unknown.
    """

    design: SystolicArray
    network: Network
    quantized: QuantizedNetwork
    images: Images
    labels: tuple[int, ...] = ()

    def twin(self, *, adapt: bool) -> Twin:
        """Lowers the network; see `make_twin`."""
        return make_twin(self.design, self.quantized, self.images, graph=self.network, adapt=adapt)

    def describe(self, twin: Twin) -> str:
        """What is built, and what it takes before and after adapting."""
        built = twin.design
        lines = [
            f"{self.network.name} on {built.name}: {built.rows} x {built.cols} {built.dataflow}, "
            f"{twin.cycles:,} cycles = {twin.cycles / built.clock_mhz / 1e3:.4g} ms per image"
        ]
        if twin.changes:
            lines.insert(0, f"adapted: {', '.join(twin.changes)}")
            cycles = self._cycles()
            lines.append(
                f"the design as given: {cycles:,} cycles; as built {twin.cycles / cycles:.3g} "
                "times as many"
            )
        return "\n".join(lines)

    def _cycles(self) -> int:
        return simulate(self.network, self.design, fidelity="cycle", mapper="greedy").cycles


def check_tools(simulator: str | None, targets: Sequence[str]) -> None:
    """Fails early, before long work, if a tool is unknown or missing.

    Raises:
        UnknownNameError, MissingToolError: naming it.
    """
    for target in targets:
        if target not in TARGETS:
            raise UnknownNameError("synthesis target", target, TARGETS)
    if targets and shutil.which("yosys") is None:
        raise MissingToolError("--synth", "yosys", "apt-get install yosys")
    if simulator is not None:
        if simulator not in SIMULATORS:
            raise UnknownNameError("simulator", simulator, SIMULATORS)
        require_tools(simulator)


def job_of(
    spec: str,
    network: str | None,
    overrides: Sequence[str] | None,
    *,
    images: int,
    seed: int,
) -> Job:
    """What a command line asks to build.

    Args:
        spec: a preset, a `.yaml` file, or `STUDY#N`.
        network: its network; None for the study's own, or the usual one.
        overrides: `--set` arguments.
        images: how many.
        seed: of random weights and images.

    Raises:
        DovetailError: naming what is wrong.
    """
    study, hash_sign, number = spec.rpartition("#")
    if not hash_sign:
        design = presets.as_systolic(load_accelerator(spec, overrides), "the RTL")
        return _random_job(design, network or NETWORK, images, seed)
    if network is not None:
        raise ProblemError(f"--network {network}: '{spec}' has a network of its own")
    with StudyStore.open(study, read_only=True) as store:
        point = _point(store, number)
        problem = prepare_problem(store.spec.problem)
    job = study_job(problem, point, images=images, seed=seed)
    if not overrides:
        return job
    changed = job.design.replace(assignments(overrides, "--set"))
    return Job(changed, job.network, job.quantized, job.images, job.labels)


def _point(store: StudyStore, number: str) -> IntArray:
    count = len(store)
    if not number.isdecimal() or int(number) >= count:
        raise StudyError(
            f"study '{store.path}' has no evaluation '{number}': it holds 0 to {count - 1} "
            "(column `evaluation` of dovetail export)"
        )
    point: IntArray = store.records().designs[int(number)]
    return point


def study_job(problem: Any, point: IntArray, *, images: int, seed: int) -> Job:
    """The job of a design (knobs,) of a study: with its trained weights where it has any.

    Raises:
        ProblemError: if the problem's designs are no systolic arrays.
        MappingError: if an operator has no RTL twin.
    """
    from dovetail.envs.codesign import CoDesignProblem
    from dovetail.envs.hardware import HardwareProblem

    design = problem.accelerator(point) if isinstance(problem, HardwareProblem) else None
    if not isinstance(problem, HardwareProblem) or not isinstance(design, SystolicArray):
        raise ProblemError(f"designs of '{problem.name}' are no systolic arrays: nothing to build")
    if isinstance(problem, CoDesignProblem) and hasattr(problem.oracle, "oracle"):
        return _elastic_job(problem, design, point, images)
    return _network_job(design, problem.network(point), images, seed)


def _random_job(design: SystolicArray, network: str, images: int, seed: int) -> Job:
    return _network_job(design, load_network(network, batch=1), images, seed)


def _network_job(design: SystolicArray, network: Network, images: int, seed: int) -> Job:
    """Random weights and images."""
    widths = adapted(design)
    quantized = quantize(
        network,
        seed=seed,
        activation_bits=widths.input_bits,
        weight_bits=widths.weight_bits,
        accumulator_bits=widths.accumulator_bits,
    )
    tensor = quantized.tensor(quantized.input)
    most = 1 << (quantized.activation_bits - 1)
    rng = np.random.default_rng(seed)
    codes = rng.integers(-most, most, (images, *tensor.shape))
    return Job(design, network, quantized, list(codes))


def _elastic_job(
    problem: CoDesignProblem, design: SystolicArray, point: IntArray, images: int
) -> Job:
    """A sub-network with the supernet's trained weights, and held-out images."""
    from dovetail.networks.elastic.deploy import deploy, stored_images
    from dovetail.networks.elastic.inference import Classifier

    oracle: Any = problem.oracle.oracle  # type: ignore[attr-defined]  # study_job saw to it
    classifier = Classifier(oracle.net, oracle.dataset)
    choice = np.asarray(point)[: len(problem.choices.knobs)]
    sub = oracle.family.decode(choice)
    codes = stored_images(classifier, sub)[:images]
    labels = tuple(int(label) for label in oracle.dataset.y_test[: len(codes)])
    return Job(
        design,
        problem.network(point),
        deploy(classifier, sub),
        list(codes.astype(np.int64)),
        labels,
    )


def synthesis_of(twin: Twin, target: str, limit_s: float) -> Synthesis:
    """Counts the cells of a twin, module by module and with little effort."""
    if sys.stderr.isatty():
        print(f"yosys ({target}) is at work, {limit_s:g} s at most ...", file=sys.stderr)
    top = "dovetail_accelerator"
    return synthesize(top, twin.parameters, target, flatten=False, fast=True, limit_s=limit_s)


def verdict_of(twin: Twin, simulator: str) -> tuple[bool, str]:
    """Whether the gates answer and count as expected, and a line that says so."""
    done = verify(twin, simulator)
    word = "PASS" if done.passed else "FAIL"
    return done.passed, (
        f"{word}: {done.equal} of {done.images} answers exact in the gates ({simulator}); "
        f"{done.cycles:,} cycles counted, {done.expected:,} expected"
    )


def buildable(design: SystolicArray) -> bool:
    """Whether a design can be built as it is."""
    return not obstacles(design)
