"""Replaces the gates by what the interpreter and the simulator say."""

from __future__ import annotations

from dovetail.sim import interpreter, rtl
from dovetail.sim.cycle import run_executable
from dovetail.verify import networks
from tests.sim.fake_gates import gates_like


def fake_gates(monkeypatch, change=lambda run: run):
    """Lets `verify_network` run without tools; `change` alters each run."""
    made = {}

    def bench_of(executable, design, simulator):
        made["timing"] = run_executable(executable, design, trace=True)
        made["executable"] = executable

    def run(bench, memory, speed, *, address, limit):
        after = memory.copy()
        interpreter.execute(made["executable"], after)
        return change(gates_like(made["timing"], after))

    monkeypatch.setattr(networks, "bench_of", bench_of)
    monkeypatch.setattr(rtl, "run", run)
