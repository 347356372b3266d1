"""Formal properties hold, and fail on gates with a planted fault."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dovetail.errors import MissingToolError, UnknownNameError
from dovetail.rtl import sources
from dovetail.verify import formal

FAST = [p for p in formal.PROOFS if p.name in ("fifo (Depth 3)", "queues (EngineLimit 5)", "store")]


def require_solver():
    try:
        formal.require_tools()
    except MissingToolError as error:
        pytest.skip(str(error))


def proof(wrapper, **changes):
    first = next(p for p in formal.PROOFS if p.wrapper == f"formal_{wrapper}")
    return replace(first, **changes)


@pytest.mark.parametrize("case", FAST, ids=lambda case: case.name)
def test_properties_are_proved(case):
    require_solver()
    outcome = formal.prove(case)
    assert outcome.failure == ""
    reach = "any (k = " if case.induction else f"{case.bmc} cycles"
    assert formal.row(outcome)[2].startswith(reach)


def test_bursts_are_right_as_far_as_model_checking_looks():
    require_solver()
    assert formal.prove(proof("burst", induction=0, cover=9)).failure == ""


FAULTS = [
    ("fifo", "dovetail_fifo", "Top = PointerBits'(Depth - 1)", "Top = PointerBits'(Depth - 2)"),
    ("fifo", "dovetail_fifo", "ready_o = count_q != CountBits'(Depth)", "ready_o = 1'b1"),
    ("burst", "dovetail_burst", "PageBeats - 13'(", "13'd256 - 13'("),
    ("burst", "dovetail_burst", "left_q <= RunBits'(limit)", "left_q < RunBits'(limit)"),
    ("burst", "dovetail_burst", "(take & last_o)", "(valid_q & last_o)"),
    ("store", "dovetail_store", "& (flowing_q | out_valid)", "& rst_ni"),
    ("store", "dovetail_store", "beat_q == length;", "beat_q == 8'd2;"),
    ("store", "dovetail_store", "(pending_q == PendingBits'(1))", "rst_ni"),
    ("queues", "dovetail_tokens", "Credits = 2'd2", "Credits = 2'd3"),
    ("queues", "dovetail_tokens", "2'(execute_done_i & last)", "2'(execute_done_i)"),
    ("queues", "dovetail_channel", "load_ask_i & ~taken", "load_ask_i & ~load_owns_q"),
    ("queues", "dovetail_channel", "store_ask_i & ~taken", "store_ask_i & ~store_owns_q & taken"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wrapper", "module", "right", "wrong"), FAULTS, ids=lambda value: str(value).replace(" ", "")
)
def test_a_planted_fault_is_found_by_model_checking(tmp_path, wrapper, module, right, wrong):
    require_solver()
    for path in sources():
        shutil.copy(path, tmp_path)
    path = Path(tmp_path, f"{module}.sv")
    text = path.read_text()
    assert right in text
    path.write_text(text.replace(right, wrong))
    # Without induction: a run from reset shows it, not just a state that is never reached.
    parameters = {"Depth": 3} if wrapper == "fifo" else proof(wrapper).parameters
    failure = formal.prove(proof(wrapper, induction=0, parameters=parameters), tmp_path).failure
    assert failure.startswith("BMC, ")


def test_a_missing_tool_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setattr(formal, "_path", lambda: "")
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None if path == "" else tool)
    with pytest.raises(MissingToolError, match=r"needs 'z3', .*: pip install 'dovetail\[rtl\]'"):
        formal.prove(formal.PROOFS[0])
    monkeypatch.setattr(shutil, "which", lambda tool, path=None: None)
    with pytest.raises(MissingToolError, match=r"needs 'yosys', .*: apt-get install yosys"):
        formal.prove(formal.PROOFS[0])


def test_proofs_are_chosen_by_name():
    assert {p.wrapper for p in formal.select(["fifo"])} == {"formal_fifo"}
    assert formal.select() == formal.PROOFS
    with pytest.raises(UnknownNameError, match="fifo"):
        formal.select(["fifi"])
