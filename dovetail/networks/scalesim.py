"""Import of SCALE-Sim topology files: tables of independent convolutions or matrix products.

A convolution row is name, input rows, input columns, filter rows, filter columns, channels,
filters, stride; a GEMM row is name, M, N, K. Optional columns follow: the second stride, "N:M"
sparsity, batch size. They are told by the header, or else by their form.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from dovetail.errors import NetworkError
from dovetail.ir.network import Network
from dovetail.networks.builder import NetworkBuilder

CONV_COLUMNS = (
    "name", "IFMAP height", "IFMAP width", "filter height", "filter width", "channels",
    "num filter", "stride",
)  # fmt: skip
GEMM_COLUMNS = ("name", "M", "N", "K")
MAX_VALUE = 2**31
MAX_FILE_BYTES = 2**24
NUMBER = re.compile(r"\+?([0-9]{1,12})(\.0*)?")
RATIO = re.compile(r"([0-9]{1,9})\s*:\s*([0-9]{1,9})")
HEADER_WORDS = re.compile(r"layer|name|ifmap|filter|channel|strid|height|width|[mnk]$")
EXTRA_WORDS = (("spars", "sparsity"), ("batch", "batch size"), ("stride", "stride width"))


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a topology: its cells, and where it stands."""

    path: Path
    line: int
    cells: tuple[str, ...]

    def fail(self, column: int, label: str, law: str) -> NetworkError:
        """The error of one cell."""
        value = _shorten(self.cells[column] if column < len(self.cells) else "")
        place = f"{self.path}: line {self.line}, column {column + 1} ({label})"
        return NetworkError(f"{place}: '{value}': {law}")

    def number(self, column: int, label: str) -> int:
        """The integer in `column`, from 1 to 2^31."""
        found = NUMBER.fullmatch(self.cells[column])
        value = int(found.group(1)) if found else 0
        if not 1 <= value <= MAX_VALUE:
            raise self.fail(column, label, f"must be an integer from 1 to {MAX_VALUE}")
        return value

    def ratio(self, column: int) -> tuple[int, int]:
        """The N:M sparsity in `column`; 1 means dense."""
        text = self.cells[column]
        found = RATIO.fullmatch("1:1" if text == "1" else text)
        kept, group = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
        if not 1 <= kept <= group:
            raise self.fail(column, "sparsity", "must be N:M with 1 <= N <= M")
        return kept, group


@dataclass(frozen=True, slots=True)
class Extras:
    """Optional columns of a row; `sparsity` keeps N of M filter elements."""

    stride_width: int | None = None
    sparsity: tuple[int, int] = (1, 1)
    batch: int = 1

    def kept(self, extent: int) -> int:
        """Elements of a contraction of `extent` that the sparsity leaves."""
        kept, group = self.sparsity
        return -(-extent * kept // group)


@dataclass(slots=True)
class Layout:
    """How the rows of one file are read: required columns, and the header if there is one."""

    columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()

    def title(self, column: int) -> str:
        """What the header calls `column`, in lower case; empty if nothing."""
        return self.header[column].lower() if column < len(self.header) else ""


def load_scalesim(path: str | Path, name: str | None = None, *, batch: int = 1) -> Network:
    """Reads a SCALE-Sim topology; each of its layers gets an input and a weight of its own.

    The output of a convolution has ceil((H - R + stride) / stride) rows: where the stride does
    not divide, zeros at the bottom and right complete the last window. With N:M sparsity the
    layer is the compressed one that the array computes: N/M of its channels, rounded up.

    Args:
        path: the file, UTF-8; a comma, a tab or a semicolon separates the columns.
        name: name of the network; the file's stem by default.
        batch: multiplies the batch size of all layers.

    Raises:
        NetworkError: if the file cannot be read, or a cell breaks its law.

    References:
        Samajdar et al., SCALE-Sim, arXiv 1811.02883; sparsity: SCALE-Sim v3, arXiv 2504.15377.
    """
    path = Path(path)
    net = NetworkBuilder(name or path.stem)
    layout = Layout()
    outputs: list[str] = []
    for row in _rows(path):
        if not outputs and not layout.header and _is_header(row):
            layout.header = row.cells
            continue
        layout.columns = layout.columns or _columns(row, layout)
        outputs.append(_layer(net, row, layout, batch))
    if not outputs:
        raise NetworkError(
            f"{path}: holds no layer: expected rows of {', '.join(CONV_COLUMNS)} or of "
            f"{', '.join(GEMM_COLUMNS)}"
        )
    return net.build(outputs)


def _rows(path: Path) -> Iterator[Row]:
    lines = _text(path).splitlines()
    first = next((line for line in lines if line.strip() and not _is_comment(line.strip())), "")
    separator = next((mark for mark in ",\t;" if mark in first), ",")
    for number, line in enumerate(lines, start=1):
        cells: list[str] = []
        for cell in _split(path, number, line, separator):
            if _is_comment(cell):
                break
            cells.append(cell)
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            yield Row(path, number, tuple(cells))


def _split(path: Path, number: int, line: str, separator: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error as error:
        raise NetworkError(f"{path}: line {number}: {error}") from None
    return [cell.strip().strip("\"'").strip() for cell in cells]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise NetworkError(f"{path}: larger than {MAX_FILE_BYTES} bytes: not a topology")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise NetworkError(f"{path}: cannot be read: {reason}") from None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NetworkError(
            f"{path}: byte {data[error.start]:#04x} at offset {error.start} is not UTF-8: save "
            "the file as UTF-8 text"
        ) from None
    if bad := re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
        line = text.count("\n", 0, bad.start()) + 1
        raise NetworkError(
            f"{path}: line {line}: control character {bad.group()!r}: not a text file"
        )
    return text


def _is_comment(text: str) -> bool:
    return text.startswith(("#", "//"))


def _is_header(row: Row) -> bool:
    if any(cell[:1] in tuple("0123456789+-.") for cell in row.cells[1:] if cell):
        return False
    return any(HEADER_WORDS.match(cell.lower()) for cell in row.cells)


def _columns(row: Row, layout: Layout) -> tuple[str, ...]:
    named = len(layout.header) >= len(CONV_COLUMNS) - 1
    filled = row.cells.index("", 1) if "" in row.cells[1:] else len(row.cells)
    return CONV_COLUMNS if named or filled > len(GEMM_COLUMNS) + 1 else GEMM_COLUMNS


def _layer(net: NetworkBuilder, row: Row, layout: Layout, batch: int) -> str:
    columns = layout.columns
    if len(row.cells) < len(columns):
        raise NetworkError(
            f"{row.path}: line {row.line}: has {len(row.cells)} columns, needs {len(columns)}: "
            f"{', '.join(columns)}"
        )
    values = [row.number(index, columns[index]) for index in range(1, len(columns))]
    extras = _extras(row, layout)
    name = row.cells[0] or f"layer{row.line}"
    if not name.isprintable() or len(name) > 200:
        raise row.fail(0, "name", "must be at most 200 printable characters")
    try:
        build = _gemm if columns == GEMM_COLUMNS else _conv
        return build(net, row, name, values, extras, batch * extras.batch)
    except NetworkError as error:
        message = str(error)
        place = f"{row.path}: line {row.line}"
        raise NetworkError(
            message if message.startswith(place) else f"{place}: {message}"
        ) from None


def _extras(row: Row, layout: Layout) -> Extras:
    """Reads what follows the required columns; cells after an empty one are remarks."""
    extras = Extras()
    for index in range(len(layout.columns), len(row.cells)):
        kind = _extra_kind(row.cells[index], index, layout)
        if kind == "gap":
            break
        if kind == "sparsity":
            extras = replace(extras, sparsity=row.ratio(index))
        elif kind == "batch size":
            extras = replace(extras, batch=row.number(index, kind))
        elif kind == "stride width":
            extras = replace(extras, stride_width=row.number(index, kind))
        elif kind == "unknown":
            law = f"unexpected: the columns are {', '.join(layout.columns)}, stride width, sparsity"
            raise row.fail(index, "no title", law)
    return extras


def _extra_kind(cell: str, index: int, layout: Layout) -> str:
    title, start = layout.title(index), len(layout.columns)
    if not cell:
        return "remark" if title else "gap"
    for word, kind in EXTRA_WORDS:
        if word in title:
            return kind
    if title:
        return "remark"
    if RATIO.fullmatch(cell) or (index == start and layout.columns == GEMM_COLUMNS):
        return "sparsity"
    return "stride width" if index == start else "unknown"


def _conv(
    net: NetworkBuilder, row: Row, name: str, values: list[int], extras: Extras, batch: int
) -> str:
    height, width, rows, columns, channels, filters, stride = values
    strides = (stride, extras.stride_width or stride)
    tail = []
    for axis, (size, taps) in enumerate(((height, rows), (width, columns))):
        steps = -(-(size - taps) // strides[axis])
        if steps < 0:
            raise row.fail(3 + axis, CONV_COLUMNS[3 + axis], f"filter exceeds its input of {size}")
        tail.append(steps * strides[axis] + taps - size)
    channels = extras.kept(channels)
    x = net.input(f"{name}.input", (batch, channels, height, width))
    return net.conv2d(
        x, filters, (rows, columns), stride=strides, padding=(0, 0, tail[0], tail[1]), name=name
    )


def _gemm(
    net: NetworkBuilder, row: Row, name: str, values: list[int], extras: Extras, batch: int
) -> str:
    m, n, k = values
    k = extras.kept(k)
    x = net.input(f"{name}.input", (batch, m, k) if batch > 1 else (m, k))
    return net.linear(x, n, bias=False, name=name)


def _shorten(text: str) -> str:
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= 40 else f"{text[:37]}..."
