"""The demo's last step: builds the best design of a study and checks it in the gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dovetail.building.folder import write_folder
from dovetail.building.twin import Twin
from dovetail.cli.build import SIMULATORS
from dovetail.cli.jobs import study_job, verdict_of
from dovetail.errors import DovetailError, MissingToolError
from dovetail.sim.simulators import require_tools
from dovetail.studies.store import StudyStore

IMAGES = 3
ERROR_MARGIN = 0.01
ICARUS_PE_CYCLES_PER_S = 150_000
"""Rough speed of Icarus; Verilator first compiles for about a minute."""

PATIENCE_S = 60.0


def build_winner(study: str, out: Path, problem: Any) -> bool:
    """Builds the best design and runs images in its gates; prints what happens.

    Args:
        study: the study file.
        out: the folder to write.
        problem: the study's.

    Returns:
        False if the gates were wrong; True also where there is no simulator to run them.
    """
    with StudyStore.open(study, read_only=True) as store:
        records = store.records()
    number = best(records)
    if number is None:
        print("no feasible design: nothing to build")
        return True
    print(f"\nbuild: evaluation {number}, the least energy x delay within "
          f"{ERROR_MARGIN:.0%} of the least error")  # fmt: skip
    job = study_job(problem, records.designs[number], images=IMAGES, seed=0)
    twin = job.twin(adapt=True)
    print(job.describe(twin))
    write_folder(twin, out, {})
    print(f"RTL, program and test bench: {out}")
    return _check(twin, job.labels)


def best(records: Any) -> int | None:
    """The evaluation of least energy x delay whose error is near the least; None if there is none.

    Args:
        records: of a study with the metrics error, energy_mj and latency_ms.
    """
    front = records.front()
    if not len(front):
        return None
    metrics = {name: values[front] for name, values in records.evaluation.metrics.items()}
    near = metrics["error"] <= metrics["error"].min() + ERROR_MARGIN + 1e-9
    product = np.where(near, metrics["energy_mj"] * metrics["latency_ms"], np.inf)
    return int(front[np.argmin(product)])


def _check(twin: Twin, labels: tuple[int, ...]) -> bool:
    simulator, reason = quickest(twin)
    if simulator is None:
        print(f"gates not simulated: {reason}")
        return True
    try:
        passed, text = verdict_of(twin, simulator)
    except DovetailError as error:
        print(f"gates not simulated: {error}")
        return False
    print(text)
    classes = [int(case.answer.reshape(-1).argmax()) for case in twin.cases]
    if labels:
        print(f"classes computed: {_listed(classes)}; labels: {_listed(labels)}")
    return passed


def _listed(numbers: Any) -> str:
    return ", ".join(map(str, numbers))


def quickest(twin: Twin) -> tuple[str | None, str]:
    """The simulator that is likely done first; None and why if there is none."""
    elements = twin.design.rows * twin.design.cols + 64
    seconds = elements * twin.cycles * len(twin.cases) / ICARUS_PE_CYCLES_PER_S
    order = SIMULATORS if seconds < PATIENCE_S else SIMULATORS[::-1]
    reasons = []
    for simulator in order:
        try:
            require_tools(simulator)
        except MissingToolError as error:
            reasons.append(str(error))
        else:
            return simulator, ""
    return None, "; ".join(reasons)
