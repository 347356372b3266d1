"""Edge-MoE: M3ViT on an FPGA, cycle by cycle of its published schedule.

    python experiments/edge_moe.py [--figure FILE] [--clock-mhz N] [--draws N] [--seed N]

Runs the attention schedule event by event, prints its cycles and those of the other parts beside
what the loops of the published HLS code count, and how many blocks a cycle reads at any
parallelism, with and without the skewed start of queries. Exits with 1 if a number differs. Loads
of expert weights depend on the routing: tokens are routed at random here.

Reproduced are cycles and reads. Energy is not: it needs boards and their power; what the paper
claims of it is printed as such.

References:
    Sarkar et al., Edge-MoE: Memory-Efficient Multi-Task Vision Transformer Architecture with
    Task-level Sparsity via Mixture-of-Experts, ICCAD 2023, arXiv 2305.18691, and its HLS code.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from dovetail.sim.fpga import edge_moe
from dovetail.sim.fpga.edge_moe import Transformer

PARALLEL = 4
SWEEP = range(1, 17)

CLAIMS = (
    ("energy efficiency over a GPU", "2.24x"),
    ("energy efficiency over a CPU", "4.90x"),
)
"""From the abstract; compared with nothing here."""


def main() -> int:
    """Prints the tables; 1 if a number of the published code is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", help="draw reads per cycle against parallelism into this file")
    parser.add_argument("--clock-mhz", type=float, default=300.0, help="of the latencies printed")
    parser.add_argument("--draws", type=int, default=100, help="random routings")
    parser.add_argument("--seed", type=int, default=0, help="of the routings")
    options = parser.parse_args()
    model = Transformer()
    missed = parts(model)
    image(model, options.clock_mhz, options.draws, options.seed)
    missed |= reads(model, options.figure)
    print("\nclaimed by the paper, not reproduced (no board, no power measured here)")
    for name, value in CLAIMS:
        print(f"{name:34s}{value:>9s}")
    return int(missed)


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


def image(model: Transformer, clock_mhz: float, draws: int, seed: int) -> None:
    """One image by part, then with the loads of expert weights under random routing."""
    found = edge_moe.compute_cycles(model)
    total = sum(found.values())
    print(f"\nan image of {edge_moe.macs(model) / 1e6:.1f} MMAC at {clock_mhz:g} MHz")
    for name, cycles in found.items():
        print(f"{name:34s}{cycles:12,d}{cycles / total:8.1%}{cycles / clock_mhz / 1e3:8.2f} ms")
    print(f"{'compute only':34s}{total:12,d}{1:8.1%}{total / clock_mhz / 1e3:8.2f} ms")
    moe = np.array([routed(model, np.random.default_rng((seed, i))) for i in range(draws)])
    layers = model.layers // 2
    cycles = total - found["experts"] + layers * moe.mean()
    print(
        f"{'with expert weights loaded':34s}{cycles:12,.0f}{cycles / total:8.1%}"
        f"{cycles / clock_mhz / 1e3:8.2f} ms  (mean of {draws} random routings; a layer of experts "
        f"takes {moe.min():,} to {moe.max():,})"
    )
    print(
        "left out: normalization, softmax and GELU pipelines, gate, patch embedding, off-chip waits"
    )


def routed(model: Transformer, rng: np.random.Generator) -> int:
    """Cycles of an experts' layer whose tokens choose at random."""
    scores = rng.random((model.tokens, model.experts))
    chosen = np.argsort(scores, axis=1)[:, : model.chosen]
    queues = np.bincount(chosen.ravel(), minlength=model.experts)
    return edge_moe.moe_cycles(model, queues.tolist())


def reads(model: Transformer, figure: str | None) -> bool:
    """Blocks read per cycle at any parallelism; whether the skewed schedule ever reads three."""
    rows = []
    for parallel in SWEEP:
        skewed = edge_moe.simulate_attention(model.tokens, model.width, parallel)
        plain = edge_moe.simulate_attention(model.tokens, model.width, parallel, skewed=False)
        rows.append((parallel, skewed.reads.max(), plain.reads.max(), skewed.key_reads,
                     skewed.cycles, plain.cycles))  # fmt: skip
    print("\nmost blocks read in a cycle, from simulation")
    print(f"{'queries at once':>15s}{'skewed':>8s}{'not':>5s}{'rows of K':>11s}{'cycles':>11s}"
          f"{'not skewed':>12s}")  # fmt: skip
    for parallel, skewed, plain, keys, cycles, plain_cycles in rows:
        print(f"{parallel:15d}{skewed:8d}{plain:5d}{keys:11,d}{cycles:11,d}{plain_cycles:12,d}")
    if figure:
        draw(rows, figure)
        print(f"figure: {figure}")
    return any(row[1] > 2 for row in rows)


def draw(rows: list[tuple[int, ...]], figure: str) -> None:
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
