"""`dovetail diff`: two reports side by side."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cli.driver import run, succeed


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(succeed("simulate", "resnet8", "--json", "-"))
    return result


def test_what_differs_is_shown_and_nothing_else() -> None:
    succeed("simulate", "resnet8", "--json", "a.json")
    succeed("simulate", "resnet8", "--set", "rows=16", "--json", "b.json")
    out = succeed("diff", "a.json", "b.json", "--top", 2)
    assert out.startswith("A = a.json, B = b.json\n")
    differing = out.partition("what differs")[2].partition("operators changed")[0]
    assert "rows          32  16" in differing
    assert "cols" not in differing
    assert "operators changed; the 2 that changed most" in out
    assert "…" not in out
    for row in ("cycles", "latency_ms", "energy_pj", "macs", "utilization", "area_mm2"):
        assert f"\n{row} " in out


def test_a_report_equals_itself() -> None:
    succeed("simulate", "resnet8", "--json", "a.json")
    out = succeed("diff", "a.json", "a.json")
    assert "what differs" not in out
    assert "changed" not in out


def test_operators_that_one_of_them_lacks() -> None:
    succeed("simulate", "resnet8", "--json", "a.json")
    succeed("simulate", "autoencoder", "--json", "b.json")
    out = succeed("diff", "a.json", "b.json", "--top", 0)
    assert "stem.conv" in out
    assert "-" in out
    assert "network" in out


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=40)
@given(data=st.data())
def test_any_change_to_a_report_is_shown_or_refused(
    data: st.DataObject, report: dict[str, Any], cache: Path
) -> None:
    changed = copy.deepcopy(report)
    place: Any = changed
    while True:
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = data.draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        place = inner
    place[key] = data.draw(JSON)
    for name, content in (("a", report), ("b", changed)):
        (cache / f"{name}.json").write_text(json.dumps(content))
    done = run("diff", cache / "a.json", cache / "b.json")
    assert done.code == 0 or done.complaint


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"total": 1}', "[" * 100_000, '"\\ud800"', "9" * 5000]
)
def test_files_that_are_no_reports(content: str) -> None:
    Path("a.json").write_text(content)
    assert "a.json: is no" in run("diff", "a.json", "a.json").complaint


def test_bytes_that_are_no_text() -> None:
    Path("a.json").write_bytes(b"\xff\xfe")
    assert "a.json: is not JSON" in run("diff", "a.json", "a.json").complaint
    assert "cannot be read" in run("diff", ".", ".").complaint
