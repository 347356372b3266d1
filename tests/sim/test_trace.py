"""Traces for ui.perfetto.dev: the facts that viewers rely on, and that nothing is lost."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dovetail.arch import presets
from dovetail.errors import OutputError
from dovetail.flow import MappedNetwork, map_network, read_report, timings
from dovetail.networks.registry import load_network
from dovetail.sim.cycle import Timing
from dovetail.sim.trace import TRACKS, chrome_trace, write_trace

CLOCK_MHZ = 500.0
QUEUES = TRACKS[1:]


@pytest.fixture(scope="module")
def mapped() -> MappedNetwork:
    return map_network(load_network("resnet8"), presets.load("edge"))


@pytest.fixture(scope="module")
def names(mapped: MappedNetwork) -> list[str]:
    return [placement.operator.name for placement in mapped.plan.placements]


@pytest.fixture(scope="module")
def traced(mapped: MappedNetwork) -> list[Timing | None]:
    return list(timings(mapped, trace=True))


@pytest.fixture(scope="module")
def trace(names: list[str], traced: list[Timing | None]) -> dict[str, Any]:
    return chrome_trace(names, traced, CLOCK_MHZ)


def slices(trace: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Complete events by the name of their track, in the order of the file."""
    events = trace["traceEvents"]
    tracks = {
        event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"
    }
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in tracks.values()}
    for event in events:
        if event["ph"] == "X":
            found[tracks[event["tid"]]].append(event)
    return found


def nanoseconds(event: dict[str, Any]) -> tuple[int, int]:
    """Start and end, rounded as Perfetto does."""
    start = round(event["ts"] * 1000)
    return start, start + round(event["dur"] * 1000)


def test_every_event_has_what_the_format_requires(trace: dict[str, Any]) -> None:
    assert trace["displayTimeUnit"] in ("ms", "ns")
    for event in trace["traceEvents"]:
        assert event["ph"] in ("X", "M")
        assert isinstance(event["name"], str)
        assert event["name"]
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert isinstance(event["args"], dict)
        if event["ph"] == "X":
            assert math.isfinite(event["ts"])
            assert math.isfinite(event["dur"])
            assert event["ts"] >= 0
            assert event["dur"] >= 0


def test_tracks_are_named_once_before_they_are_used(trace: dict[str, Any]) -> None:
    events = trace["traceEvents"]
    kinds = [event["ph"] for event in events]
    assert kinds == sorted(kinds)  # M before X
    named = Counter(e["args"]["name"] for e in events if e["name"] == "thread_name")
    assert named == Counter(TRACKS)
    assert sum(event["name"] == "process_name" for event in events) == 1
    order = [e["args"]["sort_index"] for e in events if e["name"] == "thread_sort_index"]
    assert order == sorted(set(order))


@settings(max_examples=20)
@given(clock=st.floats(1, 10000))
def test_slices_of_a_track_follow_each_other(
    names: list[str], traced: list[Timing | None], clock: float
) -> None:
    for track in slices(chrome_trace(names, traced, clock)).values():
        spans = [nanoseconds(event) for event in track]
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


def test_operators_fill_their_track_and_last_as_long_as_the_report_says(
    mapped: MappedNetwork, trace: dict[str, Any]
) -> None:
    report = read_report(mapped, "cycle")
    operators = slices(trace)["operator"]
    expected = {op.name: op.cycles for op in report.operators if op.cycles}
    assert {e["name"]: e["args"]["cycles"] for e in operators if e["dur"]} == expected
    spans = [nanoseconds(event) for event in operators]
    assert spans[0][0] == 0
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(spans))
    assert spans[-1][1] == round(report.cycles * 1000 / CLOCK_MHZ)
    assert trace["otherData"]["cycles"] == report.cycles


def test_every_instruction_is_shown_inside_its_operator(
    traced: list[Timing | None], trace: dict[str, Any]
) -> None:
    tracks = slices(trace)
    inside = {e["name"]: nanoseconds(e) for e in tracks["operator"]}
    shown: Counter[str] = Counter()
    for event in (event for queue in QUEUES for event in tracks[queue]):
        first, last = inside[event["args"]["operator"]]
        start, end = nanoseconds(event)
        assert first <= start <= end <= last
        assert end - start == round(event["args"]["cycles"] * 1000 / CLOCK_MHZ)
        shown[event["args"]["operator"]] += 1
    total = sum(count for timing in traced if timing for _, count in timing.runs)
    assert sum(shown.values()) == total == trace["otherData"]["instructions"]
    assert shown == Counter({e["name"]: e["args"]["instructions"] for e in tracks["operator"]})
    assert "note" not in trace["otherData"]


def test_traffic_of_the_events_is_the_traffic_of_the_report(
    mapped: MappedNetwork, trace: dict[str, Any]
) -> None:
    tracks = slices(trace)
    traffic = {
        "input": sum(event["args"]["input_bytes"] for event in tracks["load"]),
        "weight": sum(event["args"]["weight_bytes"] for event in tracks["load"]),
        "output": sum(event["args"]["output_bytes"] for event in tracks["store"]),
    }
    assert traffic == read_report(mapped, "cycle").total["dram_bytes"]


def test_one_transfer_at_a_time_holds_the_channel(trace: dict[str, Any]) -> None:
    tracks = slices(trace)
    # A store whose epilogue takes longer than its bytes holds the channel all the same.
    spans = sorted(nanoseconds(e) for queue in ("load", "store") for e in tracks[queue] if e["dur"])
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("limit", [0, 1, 37])
def test_a_truncated_trace_says_so_and_keeps_all_operators(
    names: list[str], traced: list[Timing | None], trace: dict[str, Any], limit: int
) -> None:
    short = chrome_trace(names, traced, CLOCK_MHZ, max_events=limit)
    assert slices(short)["operator"] == slices(trace)["operator"]
    assert sum(len(slices(short)[queue]) for queue in QUEUES) == limit
    facts = short["otherData"]
    assert facts["instructions_shown"] == limit
    assert facts["instructions"] == trace["otherData"]["instructions"]
    assert f"{limit} of {facts['instructions']}" in facts["note"]


def test_the_file_holds_the_same_trace(
    tmp_path: Path, names: list[str], traced: list[Timing | None], trace: dict[str, Any]
) -> None:
    path = tmp_path / "new" / "trace.json"
    write_trace(path, names, iter(traced), CLOCK_MHZ)
    assert json.loads(path.read_text()) == trace
    assert [file.name for file in path.parent.iterdir()] == ["trace.json"]


def test_names_are_written_whatever_they_hold(tmp_path: Path, traced: list[Timing | None]) -> None:
    path = tmp_path / "trace.json"
    strange = '"conv",\n\\ \u2603 \ud800'
    first = next(timing for timing in traced if timing)
    write_trace(path, [strange], [first], CLOCK_MHZ)
    assert slices(json.loads(path.read_text()))["operator"][0]["name"] == strange


def test_a_network_of_views_is_an_empty_trace() -> None:
    trace = chrome_trace(["reshape"], [None], CLOCK_MHZ)
    assert not any(slices(trace).values())
    assert trace["otherData"]["cycles"] == 0


def test_a_path_that_cannot_be_written_is_one_clear_line(
    tmp_path: Path, names: list[str], traced: list[Timing | None]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/trace.json") as error:
        write_trace(tmp_path / "file" / "trace.json", names, traced, CLOCK_MHZ)
    assert "\n" not in str(error.value)


def test_a_failed_simulation_leaves_the_old_file(tmp_path: Path, names: list[str]) -> None:
    def failing() -> Iterator[Timing | None]:
        yield None
        raise RuntimeError

    path = tmp_path / "trace.json"
    path.write_text("old")
    with pytest.raises(RuntimeError):
        write_trace(path, names, failing(), CLOCK_MHZ)
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["trace.json"]
