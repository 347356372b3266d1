"""Cascades written as text, one Einsum per line, in Python's syntax for indices and functions."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NoReturn

from dovetail.errors import NetworkError, UnknownNameError
from dovetail.ir.cascade import (
    MAPS,
    REDUCTIONS,
    Apply,
    Cascade,
    CascadeEinsum,
    Expression,
    Extent,
    Index,
    Number,
    Read,
    reads_of,
)

SUFFIX = ".einsum"
MAX_LINE = 500
MAX_FILE_BYTES = 1 << 18
MAX_DEPTH = 30

OPERATORS: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
}  # fmt: skip
RANK = re.compile(r"[a-z][a-z0-9_]*")
TENSOR = re.compile(r"[A-Z][A-Za-z0-9_]*")


def names() -> list[str]:
    """Cascades that come with Dovetail."""
    files = (resources.files("dovetail.networks") / "cascades").iterdir()
    return sorted(f.name.removesuffix(SUFFIX) for f in files if f.name.endswith(SUFFIX))


def load_cascade(spec: str) -> Cascade:
    """A cascade by name, or from a file that ends in `.einsum`.

    Raises:
        UnknownNameError: if it is neither.
        NetworkError: naming file and line if the text is wrong.
    """
    if spec.endswith(SUFFIX):
        return parse(_read(Path(spec)), Path(spec).name.removesuffix(SUFFIX))
    if spec not in names():
        raise UnknownNameError("cascade", spec, [*names(), f"a path ending in {SUFFIX}"])
    file = resources.files("dovetail.networks") / "cascades" / f"{spec}{SUFFIX}"
    return parse(file.read_text(encoding="utf-8"), spec)


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise NetworkError(f"{path}: more than {MAX_FILE_BYTES} bytes")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NetworkError(f"{path}: cannot be read: {error}") from None


def parse(text: str, name: str = "cascade") -> Cascade:
    """Reads a cascade.

    Lines are `OUTPUT[ranks] = expression`; `#` begins a comment. Tensors begin with a capital,
    ranks with a small letter; `M1` is the extent of rank `m1`. Ranks that the output lacks are
    summed, or reduced as `max[m](...)` says. `m = m1 * M0 + m0` partitions a rank. `inf`, numbers,
    `+ - * /`, `max`, `min`, `exp` and `sqrt` are known. Nothing is ever evaluated as Python.

    Raises:
        NetworkError: naming the line, and what is legal.
    """
    lines = list(_statements(text, name))
    partitions: dict[str, tuple[str, str]] = {}
    for where, target, value in lines:
        if isinstance(target, ast.Name) and RANK.fullmatch(target.id):
            partitions[target.id] = _partition(where, target.id, value)
    known = {r for _, *nodes in lines for node in nodes for r in _ranks(node)} - set(partitions)
    reader = _Reader(known, partitions)
    einsums = [
        reader.einsum(where, target, value)
        for where, target, value in lines
        if not (isinstance(target, ast.Name) and target.id in partitions)
    ]
    return Cascade(name, tuple(einsums), partitions)


def _statements(text: str, name: str) -> Iterator[tuple[str, ast.expr, ast.expr]]:
    for number, line in enumerate(text.splitlines(), 1):
        code, where = line.partition("#")[0].strip(), f"{name}: line {number}"
        if not code:
            continue
        if len(code) > MAX_LINE:
            raise NetworkError(f"{where}: more than {MAX_LINE} characters")
        try:
            body = ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            _fail(where, code)
        match body:
            case [ast.Assign([target], value)]:
                yield where, target, value
            case _:
                _fail(where, code)


def _fail(where: str, code: str) -> NoReturn:
    raise NetworkError(
        f"{where}: '{code[:60]}' is no Einsum: write e.g. QK[m,p] = Q[e,p] * K[e,m], or "
        "m = m1 * M0 + m0"
    )


def _partition(where: str, rank: str, value: ast.expr) -> tuple[str, str]:
    match value:
        case ast.BinOp(
            ast.BinOp(ast.Name(outer), ast.Mult(), ast.Name(size)), ast.Add(), ast.Name(inner)
        ) if size == inner.upper() and len({rank, outer, inner}) == 3:
            return outer, inner
    _fail(where, ast.unparse(value))


def _ranks(node: ast.AST) -> Iterator[str]:
    """Small names within the indices of a line."""
    for part in ast.walk(node):
        if isinstance(part, ast.Subscript):
            for inner in ast.walk(part.slice):
                if isinstance(inner, ast.Name) and RANK.fullmatch(inner.id):
                    yield inner.id


@dataclass
class _Reader:
    """Turns the syntax of one text into Einsums.

    Attributes:
        ranks: known from indices.
        partitions: of ranks.
    """

    ranks: set[str]
    partitions: dict[str, tuple[str, str]]
    written: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        for outer, inner in self.partitions.values():
            self.ranks |= {outer, inner}

    def einsum(self, where: str, target: ast.expr, value: ast.expr) -> CascadeEinsum:
        output = self._tensor(where, target)
        repeated = len(set(output.ranks)) != len(output.ranks)
        if repeated or any(index.last or index.shift not in (0, 1) for index in output.indices):
            _fail(where, ast.unparse(target))
        match value:
            case ast.Call(ast.Subscript(ast.Name(reduction), ranks), [inner], []) if (
                reduction in REDUCTIONS
            ):
                reduced = tuple(i.variable for i in self._indices(where, ranks))
            case _:
                reduction, inner, reduced = "", value, ()
        expression = self._expression(where, inner, 0)
        missing = self._missing(output, expression)
        if not reduction and missing:
            reduction, reduced = "sum", missing
        if sorted(missing) != sorted(reduced):
            raise NetworkError(
                f"{where}: reduces {', '.join(reduced)}, but what only the right side has is "
                f"{', '.join(missing) or 'no rank'}"
            )
        self.written.add(output.tensor)
        return CascadeEinsum(output, expression, reduction, missing)

    @staticmethod
    def _missing(output: Read, expression: Expression) -> tuple[str, ...]:
        ranks = (rank for read in reads_of(expression) for rank in read.ranks)
        return tuple(dict.fromkeys(rank for rank in ranks if rank not in output.ranks))

    def _tensor(self, where: str, node: ast.expr) -> Read:
        match node:
            case ast.Subscript(ast.Name(name), ranks) if TENSOR.fullmatch(name):
                return Read(name, tuple(self._indices(where, ranks)))
            case ast.Name(name) if TENSOR.fullmatch(name):
                return Read(name, ())
        _fail(where, ast.unparse(node))

    def _indices(self, where: str, node: ast.expr) -> Iterator[Index]:
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            match part:
                case ast.Name(rank) if rank in self.partitions:
                    for inner in self.partitions[rank]:
                        yield Index(inner)
                case ast.Name(rank) if RANK.fullmatch(rank):
                    yield Index(rank)
                case ast.Name(extent) if extent.lower() in self.ranks:
                    yield Index(extent.lower(), last=True)
                case ast.Constant(int(value)) if value == 0 and value is not False:
                    yield Index("")
                case ast.BinOp(ast.Name(rank), ast.Add(), ast.Constant(1)) if rank in self.ranks:
                    yield Index(rank, 1)
                case _:
                    _fail(where, ast.unparse(part))

    def _expression(self, where: str, node: ast.expr, depth: int) -> Expression:
        if depth > MAX_DEPTH:
            raise NetworkError(f"{where}: nested deeper than {MAX_DEPTH}: write several Einsums")
        match node:
            case ast.Constant(int(value) | float(value)) if value is not True:
                return Number(float(value))
            case ast.Name("inf"):
                return Number(math.inf)
            case ast.Name(extent) if extent not in self.written and extent.lower() in self.ranks:
                return Extent(extent.lower())
            case ast.UnaryOp(ast.USub(), inner):
                return self._apply(where, "neg", [inner], depth)
            case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
                return self._apply(where, OPERATORS[type(operator)], [left, right], depth)
            case ast.Call(ast.Name(function), arguments, []) if function in MAPS:
                return self._apply(where, function, arguments, depth)
        return self._tensor(where, node)

    def _apply(self, where: str, function: str, arguments: Iterable[ast.expr], depth: int) -> Apply:
        found = tuple(self._expression(where, node, depth + 1) for node in arguments)
        if len(found) != MAPS[function]:
            raise NetworkError(
                f"{where}: {function} takes {MAPS[function]} arguments, not {len(found)}"
            )
        return Apply(function, found)
