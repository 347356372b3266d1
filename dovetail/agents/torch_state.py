"""What a torch module has learnt as plain arrays: its parameters and the moments of its Adam."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from dovetail.agents.base import Arrays
from dovetail.devices import place

PARTS = ("weight", "mean", "square", "steps")
"""Prefixes: a parameter, Adam's first and second moment of it, and steps made with it."""

MOMENTS = {"mean": "exp_avg", "square": "exp_avg_sq"}


def state(module: Any, optimiser: torch.optim.Adam) -> Arrays:
    """Arrays by `part/parameter`: float32 of the parameter's shape, and `steps` () int64."""
    found: Arrays = {}
    for name, parameter in module.named_parameters():
        moments = optimiser.state.get(parameter, {})
        found[f"weight/{name}"] = _array(parameter)
        for part, key in MOMENTS.items():
            found[f"{part}/{name}"] = _array(moments.get(key, torch.zeros_like(parameter)))
        found[f"steps/{name}"] = np.array(int(moments.get("step", 0)), dtype=np.int64)
    return found


def restore(module: Any, optimiser: torch.optim.Adam, arrays: Arrays) -> None:
    """Takes the arrays of `state` from a module and an optimiser of the same form."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            parameter.copy_(place(arrays[f"weight/{name}"], parameter.device))
        if steps := int(arrays[f"steps/{name}"]):
            moments = {
                key: place(arrays[f"{part}/{name}"], parameter.device).clone()
                for part, key in MOMENTS.items()
            }
            optimiser.state[parameter] = {"step": torch.tensor(float(steps)), **moments}


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().cpu().numpy().copy()
