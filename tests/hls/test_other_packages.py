"""A kernel of another package, as docs/hls.md writes it, by entry points."""

import re
import tomllib
from importlib.metadata import EntryPoint

import pytest

from dovetail.errors import AcceleratorError, UnknownNameError
from dovetail.hls import find_kernel, interpret, names, registry
from dovetail.verify import hls_cases
from dovetail.verify.hls_cases import find_check
from tests.cli.driver import succeed
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
