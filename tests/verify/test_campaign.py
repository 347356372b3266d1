"""Campaigns on the gates: they agree, go on where they stopped, and show what is wrong."""

import dataclasses
import json
from functools import cache

import pytest

from dovetail.errors import OutputError, StudyError
from dovetail.sim import interpreter
from dovetail.sim.cycle import run_executable
from dovetail.verify import check as checking
from dovetail.verify.campaign import Plan, case_of, run_campaign
from dovetail.verify.check import Gates, Outcome, check
from dovetail.verify.draw import draw_prepared
from dovetail.verify.log import LOG, Log
from dovetail.verify.shrink import attempt_on, shrink
from dovetail.verify.work import prepare
from tests.cli.driver import run, succeed
from tests.rtl.icarus import require_icarus

PLAN = Plan(cases=4, seed=4, simulator="icarus", elaborations=3, workers=1)
ELABORATIONS = (1, 2, 5)  # small arrays, for Icarus is slow


@cache
def small_cases():
    """Names of cases that take few cycles."""
    names = []
    for number in range(100):
        for elaboration in ELABORATIONS:
            case, work = draw_prepared(4, elaboration, number)
            if run_executable(work.executable, work.design).total < 1200:
                names.append(case.name)
            if len(names) == 8:
                return names
    return names


@pytest.fixture(autouse=True)
def _small(tmp_path_factory, monkeypatch):
    require_icarus()
    monkeypatch.setattr(Plan, "names", property(lambda plan: small_cases()[: plan.cases]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "builds"))


def logged(folder):
    _, *lines = (folder / LOG).read_text().splitlines()
    return sorted(lines)


def test_simulator_interpreter_and_gates_agree(tmp_path):
    told = []
    tally = run_campaign(PLAN, tmp_path, lambda *state: told.append(state))
    assert not tally.mismatches
    assert tally.cases == 4
    assert tally.instructions > 10
    assert tally.cycles > 1000
    assert told[-1] == ("run", 4, 4, 0)
    summary = tally.to_dict(PLAN)
    assert json.loads(json.dumps(summary)) == summary


def test_the_number_of_processes_changes_nothing(tmp_path):
    plan = dataclasses.replace(PLAN, cases=2)
    one = run_campaign(plan, tmp_path / "one")
    two = run_campaign(dataclasses.replace(plan, workers=2), tmp_path / "two")
    assert (one.cycles, one.points) == (two.cycles, two.points)
    assert logged(tmp_path / "one") == logged(tmp_path / "two")


def test_a_campaign_goes_on_where_it_stopped(tmp_path, monkeypatch):
    short = dataclasses.replace(PLAN, cases=2)
    run_campaign(short, tmp_path)
    log = tmp_path / LOG
    log.write_text(log.read_text() + '{"case": "4-9-9", "ki')  # cut off while writing
    tally = run_campaign(dataclasses.replace(PLAN, cases=3), tmp_path)
    assert (tally.cases, tally.resumed) == (3, 2)
    assert len(logged(tmp_path)) == 3
    with pytest.raises(StudyError, match="other seed"):
        run_campaign(dataclasses.replace(PLAN, seed=5), tmp_path)
    monkeypatch.setattr("dovetail.verify.log.sources_digest", lambda: "other")
    with pytest.raises(StudyError, match="other sources"):
        run_campaign(PLAN, tmp_path)


def test_a_wrong_bit_is_found_and_shrunk(monkeypatch):
    case = next(
        case for case in map(case_of, small_cases()) if out_pixels(case) > 1 and not case.exchanged
    )

    def execute(executable, memory, right=interpreter.execute):
        right(executable, memory)
        region = executable.region(executable.output)
        if region.height * region.width > 1:
            memory[region.address + region.pixel_bytes] ^= 1  # the second pixel

    monkeypatch.setattr(interpreter, "execute", execute)
    monkeypatch.setattr(checking, "_against_reference", lambda *_: "")
    gates = Gates("icarus")
    assert check(case, gates).kind == "memory"
    small, outcome = shrink(case, "memory", attempt_on(gates), attempts=40)
    assert outcome.kind == "memory"
    assert "1 bytes differ" in outcome.detail
    assert "in tensor" in outcome.detail
    assert len(small.layers) == 1


def out_pixels(case):
    region = prepare(case).executable
    return region.region(region.output).height * region.region(region.output).width


def test_wrong_cycles_are_found_and_shown(monkeypatch):
    from dovetail.sim import rtl_timing

    monkeypatch.setattr(rtl_timing, "segment_overhead", lambda *_: 1)
    outcome = check(case_of(small_cases()[0]), Gates("icarus"))
    assert outcome.kind == "events"
    assert "expected" in outcome.detail


def test_replay_shows_one_case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = ("verify", "rtl", "--simulator", "icarus", "--replay")
    name = small_cases()[0]
    done = succeed(*command, name, "--waves", "case.fst", "--trace", "trace.json")
    assert "simulator, interpreter and gates agree" in done
    assert (tmp_path / "case.fst").stat().st_size > 1000
    assert json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    case_of(name).save(tmp_path / "case.json")
    assert succeed(*command, "case.json") == done


def test_the_command_runs_a_campaign(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = ("--simulator", "icarus", "--cases", 2, "--workers", 1, "--json", "s.json")
    done = succeed("verify", "rtl", *options)
    assert "0 mismatches" in done
    assert json.loads((tmp_path / "s.json").read_text())["cases"] == 2


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--waves", "w.fst"), "name it by --replay"),
        (("--coverage", "c", "--simulator", "icarus"), "Verilator"),
        (("--replay", "nonsense"), "names no case"),
        (("--replay", "0-0-0", "--json", "s.json"), "are a campaign's"),
        (("--replay", "missing.json"), "missing.json"),
        (("--simulator", "vcs"), "unknown simulator"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, monkeypatch, options, complaint):
    monkeypatch.chdir(tmp_path)
    assert complaint in run("verify", "rtl", *options).complaint


def test_a_missing_simulator_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "")
    complaint = run("verify", "rtl", "--simulator", "icarus").complaint
    assert "apt-get install iverilog" in complaint


OUTCOME = '{"case": %s, "kind": "", "detail": "", "instructions": 1, "cycles": 2, "points": %s}'


@pytest.mark.parametrize("line", ["null", "[]", "{}", "[" * 100_000, OUTCOME % (5, [])])
def test_a_corrupt_log_is_refused(tmp_path, line):
    path = tmp_path / LOG
    Log(path, PLAN)
    first = path.read_text()
    path.write_text(f"{first}{line}\n")
    with pytest.raises(StudyError, match="is corrupt"):
        Log(path, PLAN)
    path.write_text(f"{line}\n")
    with pytest.raises(StudyError, match=r"is corrupt|is of a campaign with other"):
        Log(path, PLAN)


def test_a_full_disk_is_named(tmp_path):
    log = Log(tmp_path / LOG, PLAN)
    (tmp_path / LOG).unlink()
    (tmp_path / LOG).symlink_to("/dev/full")
    with pytest.raises(OutputError, match="No space left"):
        log.append(Outcome("4-1-0", "", "", 1, 2))
