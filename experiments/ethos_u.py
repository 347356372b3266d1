"""Arm's Ethos-U against its compiler Vela 5.2.0: operators, layers, totals, and a sweep of MACs.

    python experiments/ethos_u.py [--figure OUT.png] [--tables FOLDER] [--vela FOLDER]
                                   [--fastest]

Without options: networks of the zoo, all choices Dovetail's own, against the totals that Vela
estimates for the same networks (its `legacy` scheduler, which the model follows, and its newer one,
`regor`); cycles over MACs on the U55; and an outside measurement.

`--tables FOLDER` checks `op_sweep.csv` and `layers_*.csv`: what Vela's performance model says of
single operators (the columns are those of `tests/golden/ethos_u_operators.csv`), and its layers.
`pip install ethos-u-vela==5.2.0` and its `--verbose-performance` give the public the same numbers.

Last, from TFLite file to total: networks of the zoo, which `dovetail convert` writes, against what
Vela said of these files (`tests/golden/ethos_u_tflite.csv`). `--vela FOLDER` does the same of other
models: `FOLDER/MODEL.tflite`, and what
`vela MODEL.tflite --accelerator-config CONFIG [--debug-force-legacy-core] --output-dir
FOLDER/CORE/CONFIG` wrote, CORE `legacy` or `regor` and CONFIG like `ethos-u55-128`.

`--fastest` compares the mapper of fewest cycles with Vela's choices.

Exits with 1 if an operator or a layer differs where it must not.

References:
    ExecuTorch, pull request 9830 (MobileNetV2 on Arm's simulator of a Cortex-M with U55-128).
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import ethos_u_tables as tables

from dovetail.arch.npu import EthosU
from dovetail.flow import map_network
from dovetail.flows.npu import MappedNpu
from dovetail.mappers.npu.commands import times
from dovetail.mappers.npu.fastest import fastest
from dovetail.mappers.npu.lowering import lower
from dovetail.mappers.npu.planning import plan
from dovetail.networks.registry import load_network
from dovetail.networks.tflite_export import to_tflite

CONFIGURATIONS = (
    "ethos-u55-32", "ethos-u55-64", "ethos-u55-128", "ethos-u55-256", "ethos-u65-256",
    "ethos-u65-512",
)  # fmt: skip
MODELS = {
    "resnet8": "resnet8_cifar",
    "ds_cnn": "dscnn_kws",
    "mobilenet_v1_025": "mobilenetv1_025_vww96",
    "autoencoder": "ad_autoencoder",
    "mobilenet_v2": "mobilenetv2_10_224",
}
"""Networks of the zoo, and the models in Vela's tables that they stand for."""

VELA = {
    "legacy": {
        "resnet8": (791834, 397870, 201794, 141623, 98314, 52124),
        "ds_cnn": (318699, 161265, 84604, 51430, 46866, 24397),
        "mobilenet_v1_025": (716157, 361629, 220831, 158938, 152439, 103120),
        "autoencoder": (200992, 201248, 201248, 201248, 58961, 45723),
        "mobilenet_v2": (24.49e6, 12.98e6, 8.049e6, 5.904e6, 3.461e6, 2.012e6),
    },
    "regor": {
        "resnet8": (705368, 358129, 201747, 141933, 104235, 56910),
        "ds_cnn": (266947, 140093, 89900, 58340, 55411, 30704),
        "mobilenet_v1_025": (700729, 359674, 220870, 161459, 152904, 106145),
        "autoencoder": (201104, 201184, 201184, 201184, 43118, 26595),
        "mobilenet_v2": (23.14e6, 12.56e6, 7.895e6, 6.050e6, 3.553e6, 2.311e6),
    },
}
"""Total cycles by configuration: Vela 5.2.0 on MLPerf Tiny's trained int8 networks, MobileNetV2's
weights being random. Weights that are trained compress better than ours are assumed to."""
WRITTEN = Path(__file__).parents[1] / "tests" / "golden" / "ethos_u_tflite.csv"
EXECUTORCH = 5.5e6
VELA_SRAM_ONLY = 5.864e6


def main() -> int:
    """Prints the comparisons; 1 if a row that must be exact is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", help="PNG file of the sweep over MACs")
    parser.add_argument("--tables", help="folder with op_sweep.csv and layers_*.csv")
    parser.add_argument("--vela", help="folder with models and what Vela wrote about them")
    parser.add_argument("--fastest", action="store_true", help="compare mappers, too")
    options = parser.parse_args()
    curves = {name: ours(name) for name in MODELS}
    totals("ours, weights at the presets' ratio", curves)
    outside()
    wrong = 0
    if options.tables:
        folder = Path(options.tables)
        wrong = operators(folder / "op_sweep.csv") + layers(sorted(folder.glob("layers_*.csv")))
        sized = {name: with_sizes(name, model, folder) for name, model in MODELS.items()}
        sized = {name: cycles for name, cycles in sized.items() if cycles}
        totals("ours, with the tables' encoded bytes", sized)
        curves |= sized
    sweep(curves, options.figure)
    if options.fastest:
        faster()
    print("\nFrom TFLite file to total cycles: ours against Vela's on the same file")
    print(f"{'model':18s}{'scheduler':10s}" + "".join(f"{n[6:]:>10s}" for n in CONFIGURATIONS))
    given(Path(options.vela)) if options.vela else written()
    return int(wrong > 0)


def ours(name: str) -> list[float]:
    """Cycles of a network of the zoo by configuration, all choices our own."""
    network = load_network(name)
    return [
        total(map_network(network, tables.accelerator_of(accelerator)))
        for accelerator in CONFIGURATIONS
    ]


def total(mapped: object) -> float:
    """Cycles, fractions kept."""
    assert isinstance(mapped, MappedNpu)
    return sum(step.cost.cycles for step in mapped.plan.steps)


def totals(title: str, found: dict[str, list[float]]) -> None:
    """Our totals against Vela's, the error of each below it."""
    print(f"\nTotal cycles, {title}; error against Vela's legacy and regor scheduler")
    print(f"{'network':18s}" + "".join(f"{name[6:]:>18s}" for name in CONFIGURATIONS))
    for name, cycles in found.items():
        print(f"{name:18s}" + "".join(f"{count:18,.0f}" for count in cycles))
        both = zip(cycles, VELA["legacy"][name], VELA["regor"][name], strict=True)
        print(f"{'':18s}" + "".join(f"{a / b - 1:+10.1%}{a / c - 1:+8.1%}" for a, b, c in both))


def with_sizes(name: str, model: str, folder: Path) -> list[float]:
    """Totals with encoded bytes from layer tables; buffering and all else our own."""
    cycles = []
    for accelerator in CONFIGURATIONS:
        path = folder / f"layers_{model}_{accelerator}.csv"
        if not path.exists():
            return []
        sizes = [  # averages over an image are depthwise there, with 32-bit results
            int(row["enc_weight_bytes"]) for row in last_schedule(path) if row["ofm_bits"] == "8"
        ]
        encoded = iter([size for size in sizes if size])
        design = tables.accelerator_of(accelerator)
        lowered = lower(load_network(name), design)
        steps = [replace(s, encoded=next(encoded)) if s.encoded else s for s in lowered.steps]
        planned = plan(replace(lowered, steps=tuple(steps)), design)
        cycles.append(sum(step.cost.cycles for step in planned.steps))
    return cycles


def sweep(totals_of: dict[str, list[float]], figure: str | None) -> None:
    """Cycles over MACs: networks that compute get faster, the autoencoder waits for flash."""
    names = [name for name in CONFIGURATIONS if "u55" in name]
    macs = [tables.accelerator_of(name).peak_macs_per_cycle for name in names]
    curves = {name: cycles[: len(names)] for name, cycles in totals_of.items()}
    print("\nSpeed-up over 32 MACs, U55 with weights in flash (1 byte per cycle)")
    print(f"{'network':18s}" + "".join(f"{count:>10d}" for count in macs))
    for name, cycles in curves.items():
        print(f"{name:18s}" + "".join(f"{cycles[0] / count:9.2f}x" for count in cycles))
    if figure:
        draw(figure, macs, curves)


def draw(figure: str, macs: list[int], curves: dict[str, list[float]]) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    axes = plt.figure(figsize=(5, 4), layout="constrained").gca()
    for name, cycles in curves.items():
        line = axes.plot(macs, cycles, marker="o", label=f"{name}, ours")[0]
        theirs = VELA["legacy"][name][: len(macs)]
        axes.plot(macs, theirs, "x", color=line.get_color())
    axes.set(xscale="log", yscale="log", xlabel="MACs per cycle", ylabel="cycles")
    axes.minorticks_off()
    axes.set_xticks(macs, [str(count) for count in macs])
    axes.set_title("Ethos-U55; crosses: Vela 5.2.0")
    axes.legend(fontsize=7)
    axes.figure.savefig(figure, dpi=150)
    print(f"figure: {figure}")


def faster() -> None:
    """What blocks and buffers of fewest cycles change, in the closed form and in simulation."""
    print("\nMapper `fastest` against Vela's choices: estimate, cycle")
    print(f"{'network':18s}" + "".join(f"{name[6:]:>16s}" for name in CONFIGURATIONS))
    for name in MODELS:
        network, line = load_network(name), ""
        for accelerator in CONFIGURATIONS:
            design = tables.accelerator_of(accelerator)
            lowered = lower(network, design)
            theirs, chosen = plan(lowered, design), fastest(lowered, design)
            simulated = times(chosen)[-1] / times(theirs)[-1] - 1
            line += f"{chosen.cycles / theirs.cycles - 1:+9.1%}{simulated:+7.1%}"
        print(f"{name:18s}{line}")


def outside() -> None:
    """MobileNetV2 with everything in SRAM, which Arm's simulator was run on."""
    design = tables.accelerator_of("ethos-u55-128")
    design = design.replace({"memory_mode": "sram_only", "sram_kib": 8192})
    assert isinstance(design, EthosU)
    cycles = total(map_network(load_network("mobilenet_v2"), design))
    print(
        f"\nMobileNetV2, U55-128, everything in SRAM: ours {cycles:,.0f} cycles; Vela "
        f"{VELA_SRAM_ONLY:,.0f} ({cycles / VELA_SRAM_ONLY - 1:+.1%}); ExecuTorch on Arm's "
        f"simulator some {EXECUTORCH:,.0f} ({cycles / EXECUTORCH - 1:+.1%})"
    )


def operators(path: Path) -> int:
    """Rows of the operator table that differ in any column."""
    rows = list(tables.read(str(path)))
    wrong = sum(
        tables.operator_values(row) != tuple(int(row[c]) for c in tables.OPERATOR_COLUMNS)
        for row in rows
    )
    print(f"\n{path.name}: {len(rows) - wrong:,} of {len(rows):,} rows exact in every column")
    return wrong


def layers(paths: Iterable[Path]) -> int:
    """Rows of layer tables that differ though they have no slices of unknown size."""
    seen = exact = wrong = blocks = 0
    worst = 0.0
    for path in paths:
        if path.stem.endswith("_summary"):
            continue
        ours_sum = theirs_sum = 0.0
        for layer in tables.layers(last_schedule(path)):
            a, b = tables.layer_values(layer), tables.layer_targets(layer.row)
            same = all(abs(x - y) <= 1e-9 * abs(y) for x, y in zip(a, b, strict=True))
            seen, exact = seen + 1, exact + same
            wrong += not same and layer.transfer.buffers != 2
            blocks += tables.chosen_block(layer) == layer.block
            ours_sum, theirs_sum = ours_sum + a[-1], theirs_sum + b[-1]
        worst = max(worst, abs(ours_sum / theirs_sum - 1))
    print(f"layers, given block, encoded bytes and buffering: {exact:,} of {seen:,} rows exact in")
    print(f"  every column; of the {seen - exact} others the tables lack the first slice's size")
    print(f"  blocks: {blocks:,} of {seen:,} as chosen by us; worst total {worst:.3%} off")
    return wrong


def last_schedule(path: Path) -> list[tables.Row]:
    """Lines of the schedule that Vela kept, where it tried several."""
    model, _, accelerator = path.stem.removeprefix("layers_").rpartition("_")
    rows = [{**row, "model": model, "accel": accelerator} for row in tables.read(str(path))]
    first = (rows[0]["op"], rows[0]["name"])
    begin = max(i for i, row in enumerate(rows) if (row["op"], row["name"]) == first)
    return list(rows[begin:])


def written() -> None:
    """The zoo as TFLite files, from the file on, against what Vela said of them."""
    theirs = {
        (row["network"], row["core"], row["accel"]): float(row["cycles_total"])
        for row in tables.read(str(WRITTEN))
    }
    with TemporaryDirectory() as folder:
        for name in dict.fromkeys(network for network, _, _ in theirs):
            path = Path(folder) / f"{name}.tflite"
            path.write_bytes(to_tflite(load_network(name)))
            from_file(path, {key[1:]: cycles for key, cycles in theirs.items() if key[0] == name})


def given(folder: Path) -> None:
    """The same of a folder's models, and what Vela wrote about them."""
    for path in sorted(folder.glob("*.tflite")):
        found = {
            (core, name): summary(folder / core / name, path.stem)
            for core in VELA
            for name in CONFIGURATIONS
        }
        from_file(path, found)


def from_file(path: Path, theirs: dict[tuple[str, str], float]) -> None:
    """Errors of one model's totals by scheduler and configuration."""
    network = load_network(str(path))
    cycles = [total(map_network(network, tables.accelerator_of(n))) for n in CONFIGURATIONS]
    for core in VELA:
        pairs = [
            (count, theirs.get((core, n))) for count, n in zip(cycles, CONFIGURATIONS, strict=True)
        ]
        errors = (f"{a / b - 1:+10.1%}" if b else f"{'-':>10s}" for a, b in pairs)
        print(f"{path.stem:18s}{core:10s}" + "".join(errors))


def summary(folder: Path, model: str) -> float:
    """Total cycles that Vela wrote; 0 if there are none."""
    for path in folder.glob(f"{model}_summary_*.csv"):
        with path.open(newline="", encoding="utf-8") as file:
            return float(next(csv.DictReader(file))["cycles_total"])
    return 0.0


if __name__ == "__main__":
    raise SystemExit(main())
