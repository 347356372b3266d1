"""Servers of language models: sockets, their memory, and the large memory behind it.

A server is no accelerator of a network: no operator is laid onto it. It says how fast a batch runs
whose limits are memory bandwidth and arithmetic, and how fast weights come from the large memory.

References:
    Prabhakar et al., SambaNova SN40L: Scaling the AI Memory Wall with Dataflow and Composition of
    Experts, MICRO 2024, arXiv 2405.07518.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dovetail.arch.laws import number, text
from dovetail.arch.parameters import Parameters
from dovetail.errors import AcceleratorError, UnknownNameError
from dovetail.ir import strict_yaml

GIB = 1 << 30
MAX_FILE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Server(Parameters):
    """Sockets that run one model together, each holding its share of the weights."""

    family: ClassVar[str] = "server"

    name: str = text("server", "label in reports")
    sockets: int = number(8, 1, 4096, "", "that share every model", whole=True)
    tflops: float = number(638.0, 1e-3, 1e6, "TFLOP/s", "peak of a socket")
    hbm_gib: float = number(64.0, 1e-3, 1e6, "GiB", "fast memory of a socket")
    hbm_tb_per_s: float = number(1.8, 1e-6, 1e4, "TB/s", "of a socket's fast memory")
    store_gib: float = number(12288.0, 1e-3, 1e9, "GiB", "large memory of the server")
    switch_gb_per_s: float = number(1000.0, 1e-6, 1e9, "GB/s", "from large to fast memory, in all")
    hbm_efficiency: float = number(0.85, 1e-6, 1, "", "share of fast memory's bandwidth in use")
    compute_efficiency: float = number(0.5, 1e-6, 1, "", "share of the peak reached by a prompt")
    reserved_gib: float = number(0.0, 0, 1e9, "GiB", "fast memory kept free of experts, in all")

    @property
    def fast_bytes(self) -> float:
        """Fast memory of all sockets that may hold weights."""
        return (self.sockets * self.hbm_gib - self.reserved_gib) * GIB

    @property
    def bytes_per_second(self) -> float:
        """What all sockets read from fast memory."""
        return self.sockets * self.hbm_tb_per_s * 1e12 * self.hbm_efficiency

    @property
    def flops_per_second(self) -> float:
        """What all sockets reach."""
        return self.sockets * self.tflops * 1e12 * self.compute_efficiency

    @property
    def pace(self) -> float:
        """Speed of what runs while a copy takes its part of fast memory's bandwidth."""
        return self.bytes_per_second / (self.bytes_per_second + self.switch_gb_per_s * 1e9)

    def switch_seconds(self, size: float) -> float:
        """Copies so many bytes into fast memory, with nothing else on the way."""
        return size / (self.switch_gb_per_s * 1e9)


_GPU_EFFICIENCY = 0.15
"""Fitted: gives 6.5x and 3.8x against the paper's 6.6x and 3.7x from one value; see docs."""

SERVERS: Mapping[str, Server] = {
    server.name: server
    for server in (
        Server(name="sn40l"),
        Server(
            name="dgx_a100", tflops=312.0, hbm_gib=80.0, hbm_tb_per_s=2.039, store_gib=2048.0,
            switch_gb_per_s=32.0, hbm_efficiency=_GPU_EFFICIENCY,
        ),
        Server(
            name="dgx_h100", tflops=989.0, hbm_gib=80.0, hbm_tb_per_s=3.35, store_gib=2048.0,
            switch_gb_per_s=64.0, hbm_efficiency=_GPU_EFFICIENCY,
        ),
    )
}  # fmt: skip
"""An SN40L node, and the paper's baselines whose experts come from the host's memory."""


def load_server(spec: str, overrides: Mapping[str, object]) -> Server:
    """A server by name or from a YAML file of its parameters.

    Args:
        spec: a name in `SERVERS`, or a path that ends in .yaml or .yml.
        overrides: parameters to replace.

    Raises:
        UnknownNameError: if it is neither.
        AcceleratorError: naming file, key, value and what is legal.
    """
    if spec.endswith((".yaml", ".yml")):
        content = strict_yaml.read_text(Path(spec), MAX_FILE_BYTES, AcceleratorError, "server file")
        values = strict_yaml.parse(content, spec, AcceleratorError)
        if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
            raise AcceleratorError(f"{spec}: must hold 'key: value' lines, one per parameter")
        base = Server.from_dict(values, spec)
    elif spec in SERVERS:
        base = SERVERS[spec]
    else:
        raise UnknownNameError("server", spec, [*SERVERS, "a path ending in .yaml"])
    server = base.replace(overrides)
    if server.fast_bytes <= 0:
        raise AcceleratorError(
            f"server '{server.name}': reserved_gib = {server.reserved_gib:g} leaves nothing of "
            f"{server.sockets * server.hbm_gib:g} GiB: reduce it"
        )
    return server
