"""What `gymnasium.make` and `gymnasium.make_vec` build."""

from __future__ import annotations

import gymnasium
from numpy.typing import ArrayLike

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.problem import DesignProblem
from dovetail.envs.registry import make_problem
from dovetail.envs.vector_env import DesignVectorEnv
from dovetail.envs.vector_reward import VectorRewardEnv, VectorRewardVectorEnv
from dovetail.errors import ProblemError

PROBLEMS = {
    "Accelerator": "accelerator",  # an accelerator's parameters
    "CoDesign": "codesign",  # a network's choices and an accelerator's parameters
    "FpgaFolding": "fpga_folding",  # how the layers of a pipeline are folded on an FPGA
    "RduPlacement": "rdu_placement",  # a network's cuts into an RDU's sections, and their shares
    "NasBench201": "nasbench201",  # a NAS-Bench-201 cell and an accelerator's parameters
    "MixedPrecision": "mixed_precision",  # the bits of every layer's weights and inputs
    "Multitask": "multitask",  # several cells and two sub-accelerators that run them
}
"""Registered problems by the environment's name: `dovetail/NAME-v0` and `dovetail/NAME-MO-v0`; what
a design sets stands beside. The fields of each are the `DEFAULTS` of its module."""


def env(
    *,
    registered: str,
    preference: ArrayLike | None = None,
    render_mode: str | None = None,
    **fields: object,
) -> DesignEnv:
    """An environment whose actions are the designs of a problem.

    Args:
        registered: name of the problem.
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem; an unknown field is an error.
    """
    problem = _problem(registered, fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def vector_env(
    *, registered: str, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `env`."""
    return DesignVectorEnv(_problem(registered, fields), num_envs, preference=preference)


def mo_env(
    *,
    registered: str,
    preference: ArrayLike | None = None,
    render_mode: str | None = None,
    **fields: object,
) -> VectorRewardEnv:
    """`env` with a reward per objective."""
    problem = _problem(registered, fields)
    return VectorRewardEnv(problem, preference=preference, render_mode=render_mode)


def mo_vector_env(
    *, registered: str, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> VectorRewardVectorEnv:
    """The batched form of `mo_env`."""
    return VectorRewardVectorEnv(_problem(registered, fields), num_envs, preference=preference)


def _problem(name: str, fields: dict[str, object]) -> DesignProblem:
    if fields.get("problem", name) != name:
        raise ProblemError(f"problem = {fields['problem']!r}: this environment's is '{name}'")
    return make_problem({**fields, "problem": name})


def register() -> None:
    """Registers the environments `dovetail/…-v0` and `dovetail/…-MO-v0`, once."""
    if "dovetail/KnobByKnob-v0" in gymnasium.registry:
        return
    gymnasium.register(
        "dovetail/KnobByKnob-v0", entry_point="dovetail.envs.knob_by_knob:knob_by_knob_env"
    )
    for name, problem in PROBLEMS.items():
        gymnasium.register(
            f"dovetail/{name}-v0",
            entry_point=f"{__name__}:env",
            vector_entry_point=f"{__name__}:vector_env",
            kwargs={"registered": problem},
        )
        gymnasium.register(
            f"dovetail/{name}-MO-v0",
            entry_point=f"{__name__}:mo_env",
            vector_entry_point=f"{__name__}:mo_vector_env",
            kwargs={"registered": problem},
            # Gymnasium's checker wants scalar rewards.
            disable_env_checker=True,
        )
