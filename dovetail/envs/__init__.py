"""The design problem: gymnasium environments and what they optimise.

Importing this package registers `dovetail/Accelerator-v0`, `dovetail/CoDesign-v0`,
`dovetail/FpgaFolding-v0`, `dovetail/RduPlacement-v0`, `dovetail/NasBench201-v0`,
`dovetail/Multitask-v0` and `dovetail/MixedPrecision-v0`; with a reward per objective
`dovetail/Accelerator-MO-v0` and so on.
"""

from dovetail.envs.design_env import DesignEnv
from dovetail.envs.problem import DesignProblem, Evaluation, Objective
from dovetail.envs.registration import register
from dovetail.envs.registry import make_problem
from dovetail.envs.vector_env import DesignVectorEnv

__all__ = [
    "DesignEnv",
    "DesignProblem",
    "DesignVectorEnv",
    "Evaluation",
    "Objective",
    "make_problem",
]

register()
