"""Verilator's coverage files are read, merged and shown per module."""

import json
from collections import Counter

from dovetail.rtl import sources
from dovetail.verify.coverage import read_counts, summary, write_folder

MODULE = "dovetail_pe"


def line(module, kind, number, what, count, instance="TOP.a"):
    fields = {"f": f"/x/{module}.sv", "l": number, "n": 3, "t": kind, "o": what, "h": instance}
    key = "".join(f"\x01{name}\x02{value}" for name, value in fields.items())
    return f"C '{key}' {count}\n"


def test_points_of_all_instances_are_added_up(tmp_path):
    path = tmp_path / "coverage.dat"
    path.write_text(
        "# SystemC::Coverage-3\n"
        + line(MODULE, "line", 10, "block", 2)
        + line(MODULE, "line", 10, "block", 3, "TOP.b")
        + line(MODULE, "toggle", 12, "valid_q:0->1", 0)
        + line(MODULE, "branch", 20, "if", 0)
        + line("axi_memory", "line", 5, "block", 7)
    )
    counts = read_counts(path)
    assert sorted(counts.values()) == [0, 0, 5]
    shares = summary(counts)
    assert list(shares) == [MODULE]
    assert (shares[MODULE]["line"].hit, shares[MODULE]["line"].of) == (1, 2)
    assert shares[MODULE]["toggle"].percent == 0
    merged: Counter = Counter()
    merged.update(counts)
    merged.update(counts)
    assert len(merged) == 3
    write_folder(tmp_path, merged)
    data = json.loads((tmp_path / "coverage.json").read_text())
    assert data["modules"][MODULE]["line"] == {"hit": 1, "of": 2}
    assert f"{MODULE}.sv:12: toggle valid_q:0->1" in data["missed"]
    source = next(path for path in sources() if path.stem == MODULE)
    annotated = (tmp_path / f"{MODULE}.sv.txt").read_text().splitlines()
    assert len(annotated) == len(source.read_text().splitlines())
    assert annotated[9].startswith("        10 ")
    assert annotated[19].startswith("         0%")
