"""The distribution: a wheel built from the sdist holds the whole package, and all of it imports."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
DATA = {
    ".cpp",
    ".csv",
    ".einsum",
    ".sh",
    ".yaml",
    ".sv",
    ".v",
    ".x",
    ".html",
    ".css",
    ".js",
    ".typed",
}
UNSHIPPED = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "build", "dist", "out", "tests", "experiments", "benchmarks"
)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS_TORCH = ("torch", "stable-baselines3", "sb3-contrib", "botorch", "gpytorch", "pytorch")

IMPORT_ALL = """
import importlib, pathlib, pkgutil, sys
import dovetail
here = pathlib.Path(dovetail.__file__).resolve().parent
assert here == pathlib.Path(sys.argv[1]).resolve() / "dovetail", here
def stop(name):
    raise ImportError(name)
for module in pkgutil.walk_packages([str(here)], "dovetail.", onerror=stop):
    if not module.name.endswith(".__main__"):
        print(importlib.import_module(module.name).__name__)
"""


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    """Runs a command and returns its output; fails the test with all that it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an sdist and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("packaging")
    # A copy, links and all, so that no earlier build in the checkout has a say.
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=UNSHIPPED)
    assert (folder / "source" / "arch").is_symlink()
    run(
        *(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"),
        cwd=folder / "source",
    )
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel, unpacked."""
    (archive,) = dist.glob("*.whl")
    with zipfile.ZipFile(archive) as file:
        file.extractall(dist / "site")
    return dist / "site"


def source_files() -> set[str]:
    """Modules and data of the source tree, as `dovetail/…`."""
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "dovetail").rglob("*")
        if path.is_file() and path.suffix in DATA | {".py"} and "__pycache__" not in path.parts
    }


def test_sdist_holds_the_package_once(dist: Path) -> None:
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        members = file.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    names = {
        "/".join(PurePosixPath(member.name).parts[1:]) for member in members if member.isfile()
    }
    assert {name for name in names if name.endswith(tuple(DATA | {".py"}))} == source_files()
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= names


def test_wheel_holds_every_module_and_all_data(wheel: Path) -> None:
    shipped = {path.relative_to(wheel).as_posix() for path in wheel.rglob("*") if path.is_file()}
    inside = {name for name in shipped if name.startswith("dovetail/")}
    assert inside == source_files()
    assert {PurePosixPath(name).suffix for name in inside} >= DATA
    assert {name.split("/")[0] for name in shipped} == {
        "dovetail",
        f"dovetail-{PROJECT['version']}.dist-info",
    }


def test_every_module_of_the_wheel_imports(wheel: Path) -> None:
    out = run(
        *(sys.executable, "-W", "error::SyntaxWarning", "-c", IMPORT_ALL, wheel),
        cwd=wheel.parent,
        PYTHONPATH=str(wheel),
    )
    modules = {PurePosixPath(name) for name in source_files() if name.endswith(".py")}
    modules -= {PurePosixPath("dovetail/__init__.py"), PurePosixPath("dovetail/__main__.py")}
    paths = {path.parent if path.stem == "__init__" else path.with_suffix("") for path in modules}
    wanted = {str(path).replace("/", ".") for path in paths}
    assert wanted <= set(out.split())


def test_the_licence_is_shipped_and_named(wheel: Path) -> None:
    (info,) = wheel.glob("*.dist-info")
    assert "License-Expression: Apache-2.0" in (info / "METADATA").read_text(encoding="utf-8")
    assert (info / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_changelog_knows_the_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    assert PROJECT["version"] in headings


def test_the_version_is_the_package_s() -> None:
    from dovetail import __version__

    assert __version__ == PROJECT["version"]


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"]))
def test_an_extra_that_needs_torch_pins_it(extra: str) -> None:
    requirements = PROJECT["optional-dependencies"][extra]
    names = [re.split(r"[\s<>=!~\[;]", requirement)[0] for requirement in requirements]
    if any(name in NEEDS_TORCH for name in names):
        assert "torch==2.13.0" in requirements


def test_missing_extras_are_ones_that_can_be_installed() -> None:
    named = {
        node.args[1].value
        for path in (ROOT / "dovetail").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "MissingExtraError"
        if len(node.args) > 1 and isinstance(node.args[1], ast.Constant)
    }
    assert named
    assert named <= set(PROJECT["optional-dependencies"])


def test_the_core_needs_no_torch() -> None:
    assert not [
        requirement
        for requirement in PROJECT["dependencies"]
        if requirement.startswith(NEEDS_TORCH)
    ]
