"""Line and toggle coverage of the RTL, merged over cases and elaborations.

Verilator writes one line per point and instance: `C '<key>' <count>`, the key being fields of
0x01, name, 0x02, value. Points of all instances and elaborations of a module are added up.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from dovetail.rtl import sources

KINDS = ("line", "toggle")
_LINE = re.compile(r"^C '(.*)' (\d+)$")


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """What is counted.

    Attributes:
        module: SystemVerilog file without suffix.
        kind: "line" or "toggle".
        line: in the file.
        column: in the line.
        what: the block, or the bit and its direction.
    """

    module: str
    kind: str
    line: int
    column: int
    what: str


def read_counts(path: Path) -> Counter[Point]:
    """Counts of a coverage file, of the accelerator's modules only."""
    known = {source.stem for source in sources()}
    counts: Counter[Point] = Counter()
    for text in path.read_text().splitlines():
        match = _LINE.match(text)
        if match is None:
            continue
        fields = dict(part.split("\x02", 1) for part in match[1].split("\x01") if part)
        module = Path(fields["f"]).stem
        kind = "toggle" if fields["t"] == "toggle" else "line"
        if module in known:
            at = (int(fields["l"]), int(fields["n"]))
            counts[Point(module, kind, *at, fields["o"])] += int(match[2])
    return counts


@dataclass(frozen=True, slots=True)
class Share:
    """Points hit of one module and kind."""

    hit: int
    of: int

    @property
    def percent(self) -> float:
        """100 if there is nothing to hit."""
        return 100.0 * self.hit / self.of if self.of else 100.0


def summary(counts: Counter[Point]) -> dict[str, dict[str, Share]]:
    """Shares by module and kind."""
    totals: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for point, count in counts.items():
        totals[point.module, point.kind][0] += count > 0
        totals[point.module, point.kind][1] += 1
    modules = sorted({module for module, _ in totals})
    return {m: {kind: Share(*totals[m, kind]) for kind in KINDS} for m in modules}


def write_folder(folder: Path, counts: Counter[Point]) -> None:
    """Writes coverage.json and each module's source with the least count before each line.

    Args:
        folder: exists.
        counts: merged.
    """
    shares = summary(counts)
    table = {
        module: {kind: {"hit": s.hit, "of": s.of} for kind, s in kinds.items()}
        for module, kinds in shares.items()
    }
    missed = [
        f"{p.module}.sv:{p.line}: {p.kind} {p.what}" for p in sorted(counts) if counts[p] == 0
    ]
    data = {"modules": table, "missed": missed}
    (folder / "coverage.json").write_text(json.dumps(data, indent=1) + "\n")
    for path in sources():
        if path.stem in shares:
            points = [(p, n) for p, n in counts.items() if p.module == path.stem]
            (folder / f"{path.name}.txt").write_text(_annotated(path, points))


def _annotated(path: Path, points: Iterable[tuple[Point, int]]) -> str:
    least: dict[int, int] = {}
    for point, count in points:
        least[point.line] = min(least.get(point.line, count), count)
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), start=1):
        mark = f"{least[number]:>10}" if number in least else " " * 10
        lines.append(f"{mark}{'%' if least.get(number) == 0 else ' '} {text}\n")
    return "".join(lines)
