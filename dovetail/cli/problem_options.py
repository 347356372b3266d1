"""Options that say which design problem is meant, and the specification that they make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from dovetail.arch.accelerator import Accelerator
from dovetail.errors import ProblemError

ENV = "codesign"
"""The problem where none is named."""

PROBLEM = "Problem"
"""Panel of the options that say what is searched."""

NAMES = {
    "dovetail/CoDesign-v0": "codesign",
    "dovetail/Accelerator-v0": "accelerator",
    "dovetail/FpgaFolding-v0": "fpga_folding",
    "dovetail/RduPlacement-v0": "rdu_placement",
    "dovetail/NasBench201-v0": "nasbench201",
    "dovetail/Multitask-v0": "multitask",
    "dovetail/MixedPrecision-v0": "mixed_precision",
}
NAMES |= {name.replace("-v0", "-MO-v0"): problem for name, problem in NAMES.items()}
"""Problems behind the registered environments."""

OWNERS = {
    "network": ("accelerator", "fpga_folding", "rdu_placement", "mixed_precision"),
    "dataset": ("codesign", "nasbench201", "multitask", "mixed_precision"),
    "epochs": ("codesign", "nasbench201", "multitask", "mixed_precision"),
    "table": ("nasbench201", "multitask"),
}
"""Problems that have an option which not all of them have."""

EnvOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="What is searched: codesign (network and accelerator), accelerator (for a given "
        "network), nasbench201 (cell and accelerator), multitask (two cells and two "
        "sub-accelerators), mixed_precision (bits per layer), fpga_folding or rdu_placement (how a "
        "given network lies on a given design), or proxy:FILE (costs that a model predicts: "
        "dovetail proxy train).",
        show_default=ENV,
        rich_help_panel=PROBLEM,
    ),
]
ObjectiveOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="METRIC",
        help="Minimise it, repeatable: error, latency_ms, energy_mj, edp_mj_ms, area_mm2; of "
        "mixed_precision error, perturbation, size_mb, gbops.",
        show_default="the problem's; error, latency_ms, energy_mj, area_mm2",
        rich_help_panel=PROBLEM,
    ),
]
ConstraintOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="BOUND",
        help="Keep to it, repeatable: 'area_mm2<=2', 'error<=0.05', 'utilization>=0.5'.",
        rich_help_panel=PROBLEM,
    ),
]
BaseOption = Annotated[
    str | None,
    typer.Option(
        "--accelerator",
        "-a",
        metavar="NAME|FILE",
        help="Gives all parameters that are not searched: a preset or a .yaml file.",
        show_default="edge",
        rich_help_panel=PROBLEM,
    ),
]
SearchedNetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="NETWORK",
        help="Of --env accelerator, fpga_folding, rdu_placement and mixed_precision: a name, .onnx "
        "or .csv.",
        show_default="resnet18, resnet8, resnet8 and digits_cnn",
        rich_help_panel=PROBLEM,
    ),
]
DatasetOption = Annotated[
    str | None,
    typer.Option(
        metavar="DATA",
        help="Of --env codesign: digits, a CIFAR-10 folder, or an .npz file; of nasbench201: "
        "cifar10, cifar100 or imagenet16; of multitask: one for each network, as cifar10+cifar100.",
        show_default="digits, cifar10, cifar10+cifar100",
        rich_help_panel=PROBLEM,
    ),
]
EpochsOption = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Of --env codesign: passes of the supernet's training over the data; of "
        "nasbench201 and multitask: 12 or 200, after which accuracy was measured.",
        min=1,
        show_default="40, or 200",
        rich_help_panel=PROBLEM,
    ),
]
TableOption = Annotated[
    str | None,
    typer.Option(
        metavar="F",
        help="Of --env nasbench201 and multitask: the .npz file of measurements.",
        show_default="a synthetic twin",
        rich_help_panel=PROBLEM,
    ),
]
FidelitiesOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,NAME:COST",
        help="Search over fidelities, of which only the last counts, as 'estimate,cycle:5' (also "
        "rtl; proxy of a proxy) or '12,200:16.7' (epochs of nasbench201). COST and --budget are in "
        "evaluations at the first. For --agent bayesian_mf.",
        rich_help_panel=PROBLEM,
    ),
]


def problem_spec(
    env: str,
    fields: Mapping[str, object],
    base: Accelerator | None,
    objectives: Sequence[str] | None,
    constraints: Sequence[str] | None,
) -> dict[str, object]:
    """Fields of a problem's specification: its name, and those of the others that were given.

    Args:
        env: name of the problem or of its environment.
        fields: by name; None where not given.
        base: the accelerator whose parameters are searched.
        objectives: metrics.
        constraints: bounds.

    Raises:
        ProblemError: if a field goes with another problem.
    """
    name = NAMES.get(env, env)
    kind, colon, path = name.partition(":")
    if colon and kind != "proxy":
        raise ProblemError(
            f"--env {env}: only proxy:FILE has a colon; name the network by --network"
        )
    given = {
        **fields,
        "base": base.to_dict() if base else None,
        "objectives": list(objectives) if objectives else None,
        "constraints": list(constraints) if constraints else None,
    }
    spec = {key: value for key, value in given.items() if value is not None}
    for key, owners in OWNERS.items():
        if key in spec and name in NAMES.values() and name not in owners:
            allowed = " or ".join(owners)
            raise ProblemError(f"--{key} {spec[key]}: goes with --env {allowed}, not {name}")
    if kind == "proxy" and spec:
        odd = ", ".join(spec)
        raise ProblemError(f"--env {env}: its file says all, but {odd} was given: leave it out")
    return {"problem": kind, **({"model": path} if colon else {}), **spec}


def fidelity_spec(spec: Mapping[str, object], fidelities: str | None) -> dict[str, object]:
    """The specification of a problem, over fidelities if any are given.

    Args:
        spec: of the problem.
        fidelities: names, and after the first what each costs: `estimate,cycle:5`.

    Raises:
        ProblemError: if a cost is missing or no number.
    """
    if fidelities is None:
        return dict(spec)
    levels: list[list[object]] = []
    for text in fidelities.split(","):
        name, colon, cost = text.strip().partition(":")
        if levels and not colon:
            raise ProblemError(
                f"--fidelities {fidelities}: say what '{name}' costs, in evaluations at "
                f"'{levels[0][0]}', as {name}:5"
            )
        try:
            levels.append([name, float(cost) if colon else 1.0])
        except ValueError:
            raise ProblemError(f"--fidelities {fidelities}: '{cost}' is no number") from None
    return {"problem": "fidelity", "of": dict(spec), "levels": levels}
