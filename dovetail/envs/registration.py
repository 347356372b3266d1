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


def accelerator_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions are an accelerator's parameters.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.accelerator.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("accelerator", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def accelerator_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `accelerator_env`."""
    return DesignVectorEnv(_problem("accelerator", fields), num_envs, preference=preference)


def codesign_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions are a network's choices and an accelerator's parameters.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.codesign.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("codesign", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def codesign_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `codesign_env`."""
    return DesignVectorEnv(_problem("codesign", fields), num_envs, preference=preference)


def mo_env(
    *,
    problem: str,
    preference: ArrayLike | None = None,
    render_mode: str | None = None,
    **fields: object,
) -> VectorRewardEnv:
    """An environment with a reward per objective.

    Args:
        problem: name of the problem.
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem; an unknown field is an error.
    """
    made = make_problem({**fields, "problem": problem})
    return VectorRewardEnv(made, preference=preference, render_mode=render_mode)


def mo_vector_env(
    *, problem: str, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> VectorRewardVectorEnv:
    """The batched form of `mo_env`."""
    made = make_problem({**fields, "problem": problem})
    return VectorRewardVectorEnv(made, num_envs, preference=preference)


def folding_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions fold the layers of a pipeline on an FPGA.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.fpga_folding.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("fpga_folding", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def folding_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `folding_env`."""
    return DesignVectorEnv(_problem("fpga_folding", fields), num_envs, preference=preference)


def nasbench201_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions are a NAS-Bench-201 cell and an accelerator's parameters.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.nasbench201.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("nasbench201", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def nasbench201_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `nasbench201_env`."""
    return DesignVectorEnv(_problem("nasbench201", fields), num_envs, preference=preference)


def multitask_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions are several cells and two sub-accelerators that run them.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.multitask.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("multitask", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def multitask_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `multitask_env`."""
    return DesignVectorEnv(_problem("multitask", fields), num_envs, preference=preference)


def mixed_precision_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions are the bits of every layer's weights and inputs.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.mixed_precision_spec.DEFAULTS`; an
            unknown field is an error.
    """
    problem = _problem("mixed_precision", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def mixed_precision_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `mixed_precision_env`."""
    return DesignVectorEnv(_problem("mixed_precision", fields), num_envs, preference=preference)


def placement_env(
    *, preference: ArrayLike | None = None, render_mode: str | None = None, **fields: object
) -> DesignEnv:
    """An environment whose actions cut a network into an RDU's sections and share out its units.

    Args:
        preference: see `DesignEnv`.
        render_mode: see `DesignEnv`.
        fields: specification of the problem, see `dovetail.envs.rdu_placement.DEFAULTS`; an unknown
            field is an error.
    """
    problem = _problem("rdu_placement", fields)
    return DesignEnv(problem, preference=preference, render_mode=render_mode)


def placement_vector_env(
    *, num_envs: int = 1, preference: ArrayLike | None = None, **fields: object
) -> DesignVectorEnv:
    """The batched form of `placement_env`."""
    return DesignVectorEnv(_problem("rdu_placement", fields), num_envs, preference=preference)


def _problem(name: str, fields: dict[str, object]) -> DesignProblem:
    if fields.get("problem", name) != name:
        raise ProblemError(f"problem = {fields['problem']!r}: this environment's is '{name}'")
    return make_problem({**fields, "problem": name})


def register() -> None:
    """Registers the environments `dovetail/…-v0` and `dovetail/…-MO-v0`, once."""
    for name, single, batched in (
        ("Accelerator", accelerator_env, accelerator_vector_env),
        ("CoDesign", codesign_env, codesign_vector_env),
        ("FpgaFolding", folding_env, folding_vector_env),
        ("RduPlacement", placement_env, placement_vector_env),
        ("NasBench201", nasbench201_env, nasbench201_vector_env),
        ("MixedPrecision", mixed_precision_env, mixed_precision_vector_env),
        ("Multitask", multitask_env, multitask_vector_env),
    ):
        identifier = f"dovetail/{name}-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{__name__}:{single.__name__}",
                vector_entry_point=f"{__name__}:{batched.__name__}",
            )
    if "dovetail/KnobByKnob-v0" not in gymnasium.registry:
        gymnasium.register(
            "dovetail/KnobByKnob-v0", entry_point="dovetail.envs.knob_by_knob:knob_by_knob_env"
        )
    for name, problem in (
        ("Accelerator", "accelerator"),
        ("CoDesign", "codesign"),
        ("FpgaFolding", "fpga_folding"),
        ("RduPlacement", "rdu_placement"),
        ("NasBench201", "nasbench201"),
        ("MixedPrecision", "mixed_precision"),
        ("Multitask", "multitask"),
    ):
        identifier = f"dovetail/{name}-MO-v0"
        if identifier not in gymnasium.registry:
            gymnasium.register(
                identifier,
                entry_point=f"{__name__}:mo_env",
                vector_entry_point=f"{__name__}:mo_vector_env",
                kwargs={"problem": problem},
                # Gymnasium's checker wants scalar rewards.
                disable_env_checker=True,
            )
