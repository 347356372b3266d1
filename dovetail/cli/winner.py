"""The demo's last step: builds the best design of a study and checks it in the gates."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from dovetail.building.folder import write_folder
from dovetail.building.twin import Twin
from dovetail.cli.build import SIMULATORS
from dovetail.cli.jobs import Job, study_job, verdict_of
from dovetail.errors import AcceleratorError, DovetailError, MappingError, MissingToolError
from dovetail.sim.simulators import require_tools
from dovetail.studies.records import Records
from dovetail.studies.store import StudyStore

IMAGES = 3
ERROR_MARGIN = 0.01
ATTEMPTS = 20
ICARUS_PE_CYCLES_PER_S = 100_000
"""Rough speed of Icarus; Verilator first compiles for about a minute."""

PATIENCE_S, LIMIT_S = 60.0, 200.0


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
    order = ranking(records)
    if not order:
        print("no feasible design: nothing to build")
        return True
    number, job, twin = _first_twin(problem, records, order)
    print(f"\nbuild: evaluation {number}, the least energy x delay within "
          f"{ERROR_MARGIN:.0%} of the least error")  # fmt: skip
    print(job.describe(twin))
    write_folder(twin, out, {})
    print(f"RTL, program and test bench: {out}")
    return _check(twin, job.labels)


def ranking(records: Records) -> list[int]:
    """Evaluations on the front whose error is near the least, by energy x delay.

    Args:
        records: of a study with the metrics error, energy_mj and latency_ms.
    """
    front = records.front()
    if not len(front):
        return []
    metrics = {name: values[front] for name, values in records.evaluation.metrics.items()}
    near = np.flatnonzero(metrics["error"] <= metrics["error"].min() + ERROR_MARGIN + 1e-9)
    product = (metrics["energy_mj"] * metrics["latency_ms"])[near]
    return [int(number) for number in front[near[np.argsort(product, kind="stable")]]]


def _first_twin(problem: Any, records: Records, order: list[int]) -> tuple[int, Job, Twin]:
    """The first that can be built as it is; the first of all, adapted, if none can."""
    for number in order[:ATTEMPTS]:
        job = study_job(problem, records.designs[number], images=IMAGES, seed=0)
        with suppress(AcceleratorError, MappingError):
            return number, job, job.twin(adapt=False)
    job = study_job(problem, records.designs[order[0]], images=IMAGES, seed=0)
    return order[0], job, job.twin(adapt=True)


def _check(twin: Twin, labels: tuple[int, ...]) -> bool:
    simulator, reason = quickest(twin)
    if simulator is None:
        print(f"gates not simulated: {reason}")
        return True
    if simulator == "icarus":
        count = max(1, int(LIMIT_S / icarus_seconds(twin)))
        twin = replace(twin, cases=twin.cases[:count])
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


def icarus_seconds(twin: Twin) -> float:
    """Roughly what Icarus takes for an image; what is no PE counts as 64 of them."""
    elements = twin.design.rows * twin.design.cols + 64
    return elements * twin.cycles / ICARUS_PE_CYCLES_PER_S


def quickest(twin: Twin) -> tuple[str | None, str]:
    """The simulator that is likely done first; None and why if there is none."""
    seconds = icarus_seconds(twin) * len(twin.cases)
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
