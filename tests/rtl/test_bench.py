"""The test bench's memory keeps its promised cycles, and its checker sees what is wrong."""

import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dovetail.errors import MissingToolError, ToolError, UnknownNameError
from dovetail.sim import simulators
from dovetail.sim.rtl import Channel, read_trace, run
from tests.rtl.icarus import require_icarus
from tests.rtl.test_systolic_array import find_verilator

MASTER = Path(__file__).with_name("dummy_accelerator.sv")
BURSTS = 4
BEATS = BURSTS * (BURSTS + 1) // 2
BUS_BYTES = 4


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    """Builds of these tests are kept apart from the user's, and from each other's never."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "builds"))


def build(simulator="icarus", *, broken=0, **options):
    if simulator == "icarus":
        require_icarus()
    elif shutil.which("g++") is None:
        pytest.skip("g++ is not installed (apt-get install g++)")
    names = ("Rows", "Cols", "WeightDepth", "AccDepth", "ParamDepth")
    parameters = {
        **dict.fromkeys(names, 1), "Stationary": 1, "Overlap": 0, "InputBits": 8, "WeightBits": 8,
        "AccBits": 32, "BusBits": 8 * BUS_BYTES, "InputDepth": BURSTS, "ProgramDepth": broken,
    }  # fmt: skip
    return simulators.build(parameters, simulator, sources=[MASTER], **options)


def memory(size=2 * BEATS * BUS_BYTES):
    return np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)


def check_values(before, after):
    half = BEATS * BUS_BYTES
    assert (after[:half] == before[:half]).all()
    assert (after[half:] == 255 - before[:half]).all()


def beat_cycles(accepted, latency, bandwidth):
    """When beats are handed over, as the memory's contract has it."""
    return [
        accepted + latency + math.ceil(beat * BUS_BYTES * 256 / bandwidth)
        for beat in range(1, BEATS + 1)
    ]


@pytest.mark.parametrize("simulator", ["icarus", "verilator"])
@pytest.mark.parametrize(
    ("latency", "bandwidth"), [(0, 1024), (7, 1024), (1, 512), (20, 1023), (3, 300), (5, 17)]
)
def test_beats_come_in_the_promised_cycles(simulator, latency, bandwidth):
    before = memory()
    done = run(build(simulator), before, Channel(latency, bandwidth))
    (segment,) = done.segments
    reads, writes = segment.starts[0], segment.starts[2]
    assert reads == tuple(range(reads[0], reads[0] + BURSTS))
    # The dummy's end is the cycle after the beat's.
    assert [end - 1 for end in segment.ends[0]] == beat_cycles(reads[0], latency, bandwidth)
    assert [end - 1 for end in segment.ends[2]] == beat_cycles(writes[0], 0, bandwidth)
    assert not done.failure
    check_values(before, done.memory)


def test_random_stalls_change_times_and_no_values():
    before = memory()
    runs = [run(build(), before, Channel(4, 1024, stalls)) for stalls in (0, 1, 1, 99)]
    for done in runs:
        assert not done.failure
        check_values(before, done.memory)
    cycles = [done.cycles for done in runs]
    assert cycles[1] == cycles[2]
    assert len(set(cycles)) == 3


def test_a_master_that_changes_a_waiting_burst_breaks_a_rule():
    done = run(build(broken=1), memory(), Channel(0, 1024, 7))
    assert done.failure == "RULE AR changes before it is accepted"
    assert done.cycles == -1


def test_a_burst_outside_of_the_memory_breaks_a_rule():
    done = run(build(), memory(BEATS * BUS_BYTES), Channel(0, 1024))
    assert done.failure.startswith("RULE write of")


def test_a_burst_that_crosses_4_kib_breaks_a_rule():
    start = 4096 - 2 * BUS_BYTES
    done = run(build(), memory(8192), Channel(0, 1024), address=start)
    assert done.failure.startswith("RULE illegal read burst")


def test_a_run_ends_at_its_limit():
    done = run(build(), memory(), Channel(100, 1024), limit=50)
    assert "limit" in done.failure


def test_rounds_are_run_and_must_take_the_same_cycles():
    before = memory()
    once, twice = (run(build(), before, Channel(3, 512), rounds=n) for n in (1, 2))
    assert once.cycles == twice.cycles
    assert once.segments == twice.segments
    slower = run(build(broken=2), before, Channel(3, 512), rounds=2)
    assert (
        slower.failure
        == f"RULE round 2 takes {once.cycles + 2} cycles, the first one {once.cycles + 1}"
    )
    assert not run(build(broken=2), before, Channel(3, 512, 9), rounds=2).failure


def test_waves_are_written(tmp_path):
    path = tmp_path / "run.fst"
    run(build(), memory(), Channel(0, 1024), waves=str(path))
    assert path.stat().st_size > 100


def test_a_build_is_made_once(monkeypatch):
    build()
    monkeypatch.setattr(simulators, "_run", lambda *_: pytest.fail("builds again"))
    build()


def test_sources_that_do_not_build_are_an_error(tmp_path):
    require_icarus()
    broken = tmp_path / "dovetail_accelerator.sv"
    broken.write_text("module dovetail_accelerator; nonsense endmodule\n")
    with pytest.raises(ToolError, match="does not build"):
        simulators.build({"BusBits": 32}, "icarus", sources=[broken])


@pytest.mark.parametrize(
    ("simulator", "command"), [("icarus", "iverilog"), ("verilator", "g\\+\\+")]
)
def test_a_missing_tool_is_named_with_its_installation(monkeypatch, simulator, command):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(MissingToolError, match=f"apt-get install {command}"):
        simulators.require_tools(simulator)


def test_an_unknown_simulator_is_named():
    with pytest.raises(UnknownNameError, match="verilator"):
        simulators.build({}, "verilater")


def test_traces_are_read():
    text = "g 0\nr 9\ns 0 11\ns 1 12\ne 0 20\ng 40\nr 50\n"
    first, second = read_trace(text)
    assert (first.start, first.run, first.starts, first.ends) == (
        0, 9, ((11,), (12,), ()), ((20,), (), ()),
    )  # fmt: skip
    assert (second.start, second.run) == (40, 50)


@pytest.mark.parametrize("word", ["xx", "0X", "z0"])
def test_unknown_bits_in_memory_are_an_error(tmp_path, word):
    script = tmp_path / "bench.sh"
    script.write_text(
        f'for a; do case $a in +dump=*) echo {word} > "${{a#*=}}";;'
        ' +trace=*) : > "${a#*=}";; esac; done; echo DONE 5\n'
    )
    bench = simulators.Bench("icarus", ("sh", str(script)), 1, 1)
    with pytest.raises(ToolError, match="holds unknown bits"):
        run(bench, np.zeros(1, np.uint8), Channel(0, 256))


def test_lint_is_silent(monkeypatch):
    verilator = find_verilator(monkeypatch)
    folder = Path(simulators.__file__).parents[1] / "rtl" / "tb"
    files = [folder / n for n in ("dovetail_testbench.sv", "axi_memory.sv", "axi_checker.sv")]
    command = [verilator, "--lint-only", "-Wall", "--assert", "--no-timing", "-GInputDepth=4"]
    done = subprocess.run(
        [*command, "--top-module", "dovetail_testbench", *map(str, [*files, MASTER])],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wrong = [
        line for line in done.stderr.splitlines() if "%Warning" in line and MASTER.name not in line
    ]
    assert not wrong
