"""Edge-MoE: M3ViT on an FPGA, cycle by cycle of its published schedule, and on our engines.

    python experiments/edge_moe.py [--figure FILE] [--accelerator NAME] [--draws N] [--seed N]

First the published schedule: runs attention event by event and prints its cycles and those of the
other parts beside what the loops of the published HLS code count. Exits with 1 if one differs.

Then the zoo's `m3vit` (128 x 256 pixels, 129 tokens, tokens spread evenly over experts) on the
engine family, `edge_moe_zcu102`: a linear unit of 16 x 16, four queries at once, 256-bit ports of
eight activations, 300 MHz, latencies and area of kernels from our own builds. Prints cycles by
part beside the published schedule's, the simulated latency beside the paper's, what the engines
take of the device, and how many blocks a cycle reads at any parallelism, with and without the
skewed start of queries, with latency and DSPs of the engines. Routing at random, as far as it
changes the loads of expert weights, stands below.

Reproduced are cycles and reads. The latency is compared only: its published number could not be
verified. Energy is not reproduced: no power was measured here, and none of FPGA designs is known;
what the paper claims of it is printed as such.

References:
    Sarkar et al., Edge-MoE: Memory-Efficient Multi-Task Vision Transformer Architecture with
    Task-level Sparsity via Mixture-of-Experts, ICCAD 2023, arXiv 2305.18691, and its HLS code.
"""

from __future__ import annotations

import argparse
import re
import sys

import numpy as np

from dovetail.arch import presets
from dovetail.arch.engines import FpgaEngines
from dovetail.errors import DovetailError, ProblemError
from dovetail.flow import map_network, simulate
from dovetail.ir.report import Report
from dovetail.networks.registry import load_network
from dovetail.networks.zoo.moe import queues
from dovetail.sim.fpga import edge_moe
from dovetail.sim.fpga.edge_moe import Transformer

PARALLEL = 4
SWEEP = range(1, 17)

CLAIMS = (
    ("energy efficiency over a GPU", 2.24),
    ("energy efficiency over a CPU", 4.90),
)
"""From the abstract."""

LATENCY_MS, WATTS, GOPS = 34.64, 14.54, 72.15
"""Of the ZCU102 at 300 MHz, as cited elsewhere: not verified, and gates of nothing."""

PARTS = {
    "projections": r"layer\d+\.attention\.(query|key|value|output)$",
    "query x key": r"layer\d+\.attention\.scores$",
    "attention x value": r"layer\d+\.attention\.mix$",
    "mlp": r"layer\d+\.ffn\.(up|down)$",
    "experts": r"layer\d+\.moe\.expert\d+\.",
    "patch embedding": r"patches$",
    "gates": r"layer\d+\.moe\.(gate|softmax|topk)$",
    "normalizations": r"layer\d+\.\w+_norm$",
    "sums": r".*_add$",
}
"""Operators of the zoo's network by part."""

LOOPS = {
    "patch embedding": 8 * 3 * 16 * (256 // 32) * 24,
    "normalizations": 12 * 2 * 129 * 24,
    "sums": 12 * 2 * 129 * 24,
}
"""Cycles of other loops of the HLS code (`conv.cpp`, `layernorm.cpp`, `add.cpp`) at interval 1."""


def main() -> int:
    """Prints the tables; 1 if a number of the published code is missed, 2 if it cannot run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", help="draw reads per cycle against parallelism into this file")
    parser.add_argument("--accelerator", default="edge_moe_zcu102", help="of the family `engines`")
    parser.add_argument("--draws", type=int, default=100, help="random routings")
    parser.add_argument("--seed", type=int, default=0, help="of the routings")
    options = parser.parse_args()
    try:
        return int(compare(options))
    except (DovetailError, OSError) as error:
        print(f"edge_moe: {error}", file=sys.stderr)
        return 2


def compare(options: argparse.Namespace) -> bool:
    """Prints the tables; whether a number of the published code is missed.

    Raises:
        ProblemError: if an option is illegal.
    """
    model, design = Transformer(), presets.load(options.accelerator)
    if not isinstance(design, FpgaEngines):
        raise ProblemError(
            f"--accelerator {options.accelerator}: must be of the family engines, e.g. "
            f"{', '.join(presets.names('engines'))}"
        )
    if options.draws < 1 or options.seed < 0:
        raise ProblemError(
            f"--draws {options.draws} --seed {options.seed}: must be at least 1 and 0"
        )
    missed = parts(model)
    image(model, design)
    routing(model, design.clock_mhz, options.draws, options.seed)
    return missed | reads(model, design, options.figure)


def parts(model: Transformer) -> bool:
    """Cycles of every part beside those of the published code; whether one differs."""
    n, d = model.tokens, model.width
    run = edge_moe.simulate_attention(n, d, PARALLEL)
    mlp = edge_moe.linear_cycles(n, d, model.hidden) + edge_moe.linear_cycles(n, model.hidden, d)
    rows, hidden = n * model.chosen, model.expert_hidden
    experts = edge_moe.linear_cycles(rows, d, hidden) + edge_moe.linear_cycles(rows, hidden, d)
    table = (
        ("Q K, and A V alike (simulated)", 102_168, run.cycles),
        ("passes over K, and over V", 33, run.key_reads / n),
        ("projection 192 x 192", 18_576, edge_moe.linear_cycles(n, d, d)),
        ("MLP", 148_608, mlp),
        ("experts, compute", 148_608, experts),
        ("weights of a projection, beats", 2_304, edge_moe.load_cycles(d, d)),
        ("of an MLP's matrix", 9_216, edge_moe.load_cycles(d, model.hidden)),
        ("of an expert's matrix", 4_608, edge_moe.load_cycles(d, hidden)),
        ("an image, compute only", 5_126_976, sum(edge_moe.compute_cycles(model).values())),
    )
    print(f"M3ViT: {n} tokens of {d}, {PARALLEL} queries at once; cycles")
    print(f"{'':34s}{'HLS code':>12s}{'ours':>12s}{'ratio':>8s}")
    for name, published, ours in table:
        print(f"{name:34s}{published:12,d}{ours:12,.0f}{ours / published:8.3f}")
    return any(ours != published for _, published, ours in table)


def image(model: Transformer, design: FpgaEngines) -> None:
    """One image on the engine family: cycles by part, latency, resources, energy as claimed."""
    mapped = map_network(load_network("m3vit"), design)
    report, simulated = mapped.report(), mapped.report("cycle")
    print(f"\nm3vit on {design.name}, {report.macs / 1e6:.1f} MMAC at {design.clock_mhz:g} MHz")
    print(f"{'':34s}{'HLS loops':>12s}{'ours':>12s}{'ratio':>8s}{'share':>8s}")
    loops = edge_moe.compute_cycles(model) | LOOPS
    for part, pattern in PARTS.items():
        ours = sum(op.cycles for op in simulated.operators if re.match(pattern, op.name))
        theirs = f"{loops[part]:12,d}" if part in loops else f"{'-':>12s}"
        ratio = f"{ours / loops[part]:8.3f}" if part in loops else f"{'-':>8s}"
        print(f"{part:34s}{theirs}{ours:12,d}{ratio}{ours / simulated.cycles:8.1%}")
    known = sum(loops.values())
    print(f"{'an image':34s}{known:12,d}{simulated.cycles:12,d}{simulated.cycles / known:8.3f}")
    stalls = ", ".join(f"{k} {v:,}" for k, v in simulated.total["stall_cycles"].items() if v)
    print(f"beyond the engines' own cycles: {stalls}")
    print(f"estimate against cycle: {report.cycles / simulated.cycles - 1:+.4%}")
    print(mapped.note())
    compared(simulated)


def compared(report: Report) -> None:
    """Latency and energy beside the paper's: compared, not reproduced."""
    ours = report.latency_ms
    print("\ncompared only (the paper's numbers are cited elsewhere, not verified)")
    print(f"{'':34s}{'paper':>12s}{'ours':>12s}{'ratio':>8s}")
    print(f"{'latency of an image, ms':34s}{LATENCY_MS:12.2f}{ours:12.2f}{ours / LATENCY_MS:8.3f}")
    theirs, here = GOPS * LATENCY_MS / 1e3, 2 * report.macs / 1e9
    print(f"{'operations of an image, G':34s}{theirs:12.2f}{here:12.2f}{here / theirs:8.3f}")
    print("  its latency and throughput imply more operations than this network has")
    print("\nclaimed by the paper, not reproduced (no board, no power measured here)")
    joules = WATTS * ours / 1e3
    for name, factor in CLAIMS:
        print(
            f"{name:34s}{f'{factor:.2f}x':>12s}   true if that takes {factor * joules:.2f} J per "
            f"image: at {WATTS} W, not verified, ours takes {joules:.2f} J"
        )


def routing(model: Transformer, clock_mhz: float, draws: int, seed: int) -> None:
    """What random routing changes: the closed form of a layer of experts with its loads."""
    moe = np.array([routed(model, np.random.default_rng((seed, i))) for i in range(draws)])
    even = edge_moe.moe_cycles(model, queues(model.tokens * model.chosen, model.experts))
    added = model.layers // 2 * (moe.mean() - even)
    print(
        f"\na layer of experts with its loads: {even:,} cycles routed evenly, {moe.min():,} to "
        f"{moe.max():,} at random ({draws} draws); an image then takes {added:+,.0f} cycles, "
        f"{added / clock_mhz / 1e3:+.2f} ms"
    )


def routed(model: Transformer, rng: np.random.Generator) -> int:
    """Cycles of an experts' layer whose tokens choose at random."""
    scores = rng.random((model.tokens, model.experts))
    chosen = np.argsort(scores, axis=1)[:, : model.chosen]
    queues = np.bincount(chosen.ravel(), minlength=model.experts)
    return edge_moe.moe_cycles(model, queues.tolist())


def reads(model: Transformer, design: FpgaEngines, figure: str | None) -> bool:
    """Blocks read per cycle at any parallelism; whether the skewed schedule ever reads three."""
    network, rows = load_network("m3vit"), []
    for parallel in SWEEP:
        skewed = edge_moe.simulate_attention(model.tokens, model.width, parallel)
        plain = edge_moe.simulate_attention(model.tokens, model.width, parallel, skewed=False)
        engines = design.replace({"queries": parallel})
        rows.append((parallel, int(skewed.reads.max()), int(plain.reads.max()), skewed.key_reads,
                     skewed.cycles, plain.cycles, simulate(network, engines).latency_ms,
                     engines.used()["dsp"]))  # fmt: skip
    print("\nmost blocks read in a cycle, from simulation; an image, and DSPs, of the engines")
    print(f"{'queries at once':>15s}{'skewed':>8s}{'not':>5s}{'rows of K':>11s}{'cycles':>11s}"
          f"{'not skewed':>12s}{'image, ms':>11s}{'DSP':>6s}")  # fmt: skip
    for parallel, skewed, plain, keys, cycles, plain_cycles, latency, dsp in rows:
        print(f"{parallel:15d}{skewed:8d}{plain:5d}{keys:11,d}{cycles:11,d}{plain_cycles:12,d}"
              f"{latency:11.2f}{dsp:6d}")  # fmt: skip
    if figure:
        draw(rows, figure)
        print(f"figure: {figure}")
    return any(row[1] > 2 for row in rows)


def draw(rows: list[tuple[float, ...]], figure: str) -> None:
    """Reads per cycle against parallelism, as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    parallel = [row[0] for row in rows]
    canvas, axes = pyplot.subplots(figsize=(5, 3.2))
    axes.plot(parallel, [row[2] for row in rows], "o-", color="0.6", label="queries start together")
    axes.plot(parallel, [row[1] for row in rows], "s-", label="queries start one after the other")
    axes.set_xlabel("queries at once")
    axes.set_ylabel("most blocks read in a cycle")
    axes.set_ylim(0)
    axes.legend(frameon=False)
    canvas.tight_layout()
    canvas.savefig(figure, dpi=150)
    pyplot.close(canvas)


if __name__ == "__main__":
    sys.exit(main())
