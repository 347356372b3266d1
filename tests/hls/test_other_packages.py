"""A kernel of another package, as docs/hls.md writes it, by entry points."""

import re
import tomllib
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import numpy as np
import pytest

from dovetail.errors import AcceleratorError, UnknownNameError
from dovetail.hls import (
    KERNELS,
    Kernel,
    Parameter,
    Ram,
    build,
    find_kernel,
    interpret,
    names,
    registry,
)
from dovetail.verify import hls_cases
from dovetail.verify.hls_cases import find_check
from dovetail.verify.hls_checks import Check, StreamCheck
from dovetail.verify.hls_run import verify_kernel
from tests.cli.driver import run, succeed
from tests.rtl.icarus import require_icarus


@pytest.fixture
def plug(monkeypatch):
    """Makes entry points of the groups of kernels and of their checks."""

    def plugged(points):
        def entry_points(*, group, name=None):
            return [p for p in points if p.group == group and name in (None, p.name)]

        monkeypatch.setattr(registry, "entry_points", entry_points)
        monkeypatch.setattr(hls_cases, "entry_points", entry_points)

    return plugged


@pytest.fixture
def package(root, tmp_path, monkeypatch, plug):
    """The blocks of the page as files, found like an installed package."""
    page = (root / "docs" / "hls.md").read_text()
    blocks = dict(re.findall(r"^```(rust|python|toml)\n(.*?)^```$", page.partition("## Add")[2],
                             re.M | re.S))  # fmt: skip
    (tmp_path / "absolute.x").write_text(blocks["rust"])
    (tmp_path / "my_kernels.py").write_text(blocks["python"])
    monkeypatch.syspath_prepend(tmp_path)
    groups = tomllib.loads(blocks["toml"])["project"]["entry-points"]
    plug([EntryPoint(n, v, group) for group, named in groups.items() for n, v in named.items()])


@pytest.mark.usefixtures("package")
def test_the_kernel_of_the_page_is_listed_built_and_verified():
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    require_icarus()
    assert names()[-1] == "absolute"
    assert "distance of two numbers" in succeed("hls", "list")
    pairs = [(-128, 127), (127, -128), (3, 5), (-7, -7)]
    assert interpret("absolute", pairs) == [255, 255, 2, 0]
    built = succeed("hls", "build", "absolute", "--set", "width=12", "--no-synth")
    assert "dovetail_absolute_width12: latency 2 cycles" in built
    done = succeed("verify", "hls", "--kernel", "absolute", "--transactions", 100)
    assert "2 runs, 200 vectors: 0 differ" in done


def test_what_another_package_gets_wrong_is_named(plug):
    ours = "dovetail.hls.registry:KERNELS"
    plug([
        EntryPoint("gone", "nowhere.at.all:KERNEL", registry.GROUP),
        EntryPoint("other", ours, registry.GROUP),
        EntryPoint("gone", "nowhere.at.all:CHECK", hls_cases.GROUP),
        EntryPoint("other", ours, hls_cases.GROUP),
    ])  # fmt: skip
    with pytest.raises(AcceleratorError, match=r"'gone' from nowhere\.at\.all:KERNEL fails"):
        find_kernel("gone")
    with pytest.raises(AcceleratorError, match="is not a Kernel of that name"):
        find_kernel("other")
    with pytest.raises(UnknownNameError, match="unknown kernel 'oter'; did you mean other"):
        find_kernel("oter")
    with pytest.raises(AcceleratorError, match=r"'gone' from nowhere\.at\.all:CHECK fails"):
        find_check("gone")
    with pytest.raises(AcceleratorError, match=r"'other' has no check: .*dovetail\.kernel_checks"):
        find_check("other")


def test_a_broken_kernel_leaves_the_others_listed(plug):
    plug([EntryPoint("gone", "nowhere.at.all:KERNEL", registry.GROUP)])
    done = run("hls", "list")
    assert done.code == 0
    assert "kernel 'gone' from nowhere.at.all:KERNEL fails" in done.err
    assert "online softmax" in done.out


@pytest.mark.parametrize(
    "check",
    [
        Check((), lambda v, rng, n: np.zeros((n, 1), int), lambda v, x: x[:, 0]),
        StreamCheck(({},), lambda v, rng, n: [], lambda v, x: [], lambda v, x: ([], [])),
    ],
)
def test_a_check_without_forms_or_of_the_other_kind_is_none(check, monkeypatch):
    point = SimpleNamespace(value="theirs:CHECK", load=lambda: check)
    monkeypatch.setattr(hls_cases, "entry_points", lambda group, name: [point])
    monkeypatch.setattr(hls_cases, "CHECKS", {})
    with pytest.raises(AcceleratorError, match="'lmul' has no check: name a Check, or of a stream"):
        find_check("lmul")


@pytest.mark.parametrize(
    ("columns", "reference", "words"),
    [
        (2, lambda v, x: 1 // 0, "check of kernel 'lmul' fails: ZeroDivisionError"),
        (3, lambda v, x: x[:, 0], "check of kernel 'lmul' fails: ValueError"),
    ],
)
def test_a_check_that_fails_is_named(columns, reference, words, monkeypatch):
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    check = Check(({},), lambda v, rng, n: rng.integers(0, 9, (n, columns)), reference)
    monkeypatch.setitem(hls_cases.CHECKS, "lmul", check)
    with pytest.raises(AcceleratorError, match=words):
        verify_kernel("lmul", transactions=10)


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        ("pub fn toy<WIDTH: u32>(x: sN[OTHER]) -> sN[WIDTH] {", {}, "uses OTHER, which is no para"),
        (None, {}, "cannot read '.*toy.x': No such file"),
        ("fn other() {}", {}, "toy.x must hold 'pub fn toy<"),
        ("proc main {}", {"stream": True}, "declare 'const WIDTH = u32:N;' once, not 0 times"),
        (
            "const WIDTH = u32:8;\n"
            "proc main { i: chan<u8> in; o: chan<u8> out;\n"
            "config(i: chan<u8> in, o: chan<u8> out) { (i, o) } init { () }\n"
            "next(state: ()) { let (tok, x) = recv(join(), i); send(tok, o, x); } }\n",
            {"stream": True, "rams": (Ram("line", "width"),)},
            "0 channels of memory 'line': its process needs line_rd_req, line_rd, line_wr",
        ),
    ],
)
def test_a_file_that_does_not_fit_its_kernel_is_refused(text, form, words, tmp_path, monkeypatch):
    pytest.importorskip("xls", reason="XLS is not installed (pip install 'dovetail[hls]')")
    if text is not None:
        (tmp_path / "toy.x").write_text(text)
    width = Parameter("width", 8, 2, 32, "bits")
    toy = Kernel("toy", "a toy", (width,), folder=tmp_path, **form)
    monkeypatch.setitem(KERNELS, "toy", toy)
    with pytest.raises(AcceleratorError, match=words):
        build("toy")
