"""Where torch computes: device names as users give them, and the one way onto a device."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from dovetail.errors import ProblemError

if TYPE_CHECKING:
    import torch

FORM = re.compile(r"auto|cpu|cuda(:(0|[1-9]\d{0,2}))?")


def check_device(name: str) -> None:
    """Checks how a device is named; torch is not loaded.

    Raises:
        ProblemError: if it is none of `auto`, `cpu`, `cuda`, `cuda:N`.
    """
    if not FORM.fullmatch(name):
        raise ProblemError(f"device '{name}': must be auto, cpu, cuda or cuda:N")


def torch_device(name: str) -> torch.device:
    """The device of a name; `auto` is the first CUDA device, or the CPU where there is none.

    Raises:
        ProblemError: if the name is none, or this machine has no such device.
    """
    import torch

    check_device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda" if count else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= count:
        have = f"cuda:0 to cuda:{count - 1}" if count else "no CUDA device that torch can use"
        raise ProblemError(f"device '{name}': this machine has {have}; use cpu or auto")
    return device


def place(values: Any, device: torch.device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """An array, or what is like one, as a tensor on a device; all that moves there goes here."""
    import torch

    return torch.as_tensor(values, dtype=dtype, device=device)
