"""Laws of the source tree: which room may import which, what no module may do, and its form."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "dovetail"
MODULES = sorted(PACKAGE.rglob("*.py"))
LINKS = ("arch", "sim", "mappers", "envs", "rtl", "hls")

ORDER = (
    {"errors", "workers"},
    {"devices"},
    {"ir"},
    {"networks", "arch"},
    {"sim"},
    {"mappers"},
    {"flows"},
    {"flow"},
    {"verify", "building"},
    {"envs"},
    {"agents"},
    {"studies"},
    {"demo"},
    {"cli"},
    {"__main__"},
)
"""A room imports itself and rooms on lines above its own; rooms on one line ignore each other."""

ASIDE = {"rtl": {"errors", "ir", "sim.values"}, "hls": {"errors", "ir", "sim.values"}}
"""Rooms of package data, and all that they may import."""

HEAVY = (
    "torch",
    "stable_baselines3",
    "sb3_contrib",
    "botorch",
    "gpytorch",
    "plotly",
    "matplotlib",
    "sklearn",
    "pymoo",
    "pyarrow",
    "onnx",
    "ray",
    "optuna",
    "mo_gymnasium",
    "tensorboard",
)
LIGHT = ("dovetail.cli", "dovetail.flow", "dovetail.envs")

FORBIDDEN = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
OWN_PICKLES = {"dovetail.studies.executor"}
"""Sends a problem to its own worker processes, as multiprocessing does; reads no file."""

MACHINE_PATH = re.compile(r"(?<![\w.:/])/(?:home|root|work|workspace|mnt|Users|tmp|opt)/\w")


def name_of(path: Path) -> str:
    """`dovetail/sim/cycle.py` -> `dovetail.sim.cycle`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, at its top or inside functions."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def rank(room: str) -> int:
    """Position of a room in the order of imports; -1 if it has none."""
    return next((i for i, rooms in enumerate(ORDER) if room in rooms), -1)


def may_import(room: str, target: str) -> bool:
    """Whether a room may import `target`, a dotted name below `dovetail`."""
    other = target.split(".", maxsplit=1)[0]
    if other == room:
        return True
    if room in ASIDE:
        return any(f"{target}.".startswith(f"{allowed}.") for allowed in ASIDE[room])
    if other in ASIDE:
        return rank(room) >= rank("sim")
    return 0 <= rank(other) < rank(room)


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_room_has_a_place_in_the_order_of_imports() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES}
    assert "ir" in rooms
    unknown = {room for room in rooms - {"__init__"} if rank(room) < 0 and room not in ASIDE}
    assert not unknown


def test_imports_go_one_way() -> None:
    broken = []
    for path in MODULES:
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for line, target in imports(path):
            inside = target.removeprefix("dovetail.")
            if inside == target or inside == "__version__":
                continue
            if room == "__init__" or not may_import(room, inside):
                broken.append(f"{where(path, line)}: {room} imports {inside}")
    assert not broken


@pytest.mark.parametrize(
    ("room", "target", "legal"),
    [
        ("sim", "ir.program", True),
        ("sim", "mappers.systolic.tiling", False),
        ("networks", "arch.systolic", False),
        ("arch", "networks.registry", False),
        ("errors", "ir", False),
        ("rtl", "sim.values", True),
        ("rtl", "sim.values_of_others", False),
        ("hls", "sim.cycle", False),
        ("cli", "rtl", True),
        ("sim", "rtl", True),
        ("ir", "rtl", False),
        ("flow", "nonsense", False),
    ],
)
def test_the_order_itself(room: str, target: str, legal: bool) -> None:
    assert may_import(room, target) is legal


def test_the_package_imports_nothing_around_it() -> None:
    around = {path.name for path in ROOT.iterdir() if path.is_dir()} | {"tests", "experiments"}
    around -= {"dovetail"}
    broken = [
        f"{where(path, line)}: {target}"
        for path in MODULES
        for line, target in imports(path)
        if target.split(".", maxsplit=1)[0] in around
    ]
    assert not broken


def test_imports_are_absolute() -> None:
    broken = [
        where(path, node.lineno)
        for path in MODULES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert not broken


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_import_no_heavy_library(module: str) -> None:
    code = f"import sys, {module}; print(*({set(HEAVY)!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split()


def test_every_module_says_what_it_is_about() -> None:
    broken = [
        name_of(path)
        for path in MODULES
        if not (ast.get_docstring(tree_of(path)) or "").partition("\n")[0].endswith((".", ":"))
    ]
    assert not broken


def test_no_module_is_over_500_lines() -> None:
    lengths = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: length for name, length in lengths.items() if length > 500}


@pytest.mark.parametrize("link", LINKS)
def test_root_links_lead_into_the_package(link: str) -> None:
    path = ROOT / link
    assert path.is_symlink()
    assert os.readlink(path) == f"dovetail/{link}"
    assert (path / "__init__.py").is_file()


def is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def fault(call: ast.Call) -> str | None:
    """What makes a call unsafe, or None: code from data, or a shell."""
    name = ast.unparse(call.func)
    last = name.rsplit(".", maxsplit=1)[-1]
    options = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    if name in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}:
        return name
    if name == "torch.load" and not is_true(options.get("weights_only")):
        return "torch.load without weights_only=True"
    if last == "load" and name.startswith("yaml.") and not is_safe_loader(call, options):
        return "yaml.load without a safe loader"
    if last in {"unsafe_load", "full_load"}:
        return name
    if "allow_pickle" in options and not is_false(options["allow_pickle"]):
        return "allow_pickle"
    if "shell" in options and not is_false(options["shell"]):
        return "shell=True"
    return None


def is_false(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is False


def is_safe_loader(call: ast.Call, options: dict[str, ast.expr]) -> bool:
    """Whether yaml.load names a loader that is safe, by its name or by what it derives from."""
    loader = options.get("Loader") or (call.args[1] if len(call.args) > 1 else None)
    return loader is not None and ast.unparse(loader).rsplit(".", maxsplit=1)[-1] in SAFE_LOADERS


def safe_loaders() -> set[str]:
    """SafeLoader, and every class of the package that derives from it alone."""
    found = {"SafeLoader", "CSafeLoader"}
    for path in MODULES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.ClassDef) and len(node.bases) == 1:
                base = ast.unparse(node.bases[0]).rsplit(".", maxsplit=1)[-1]
                if base in {"SafeLoader", "CSafeLoader"}:
                    found.add(node.name)
    return found


SAFE_LOADERS = safe_loaders()


def test_no_module_runs_code_from_data() -> None:
    broken = []
    for path in MODULES:
        for line, target in imports(path):
            if target.split(".", maxsplit=1)[0] in FORBIDDEN and name_of(path) not in OWN_PICKLES:
                broken.append(f"{where(path, line)}: import of {target}")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Call) and (reason := fault(node)):
                broken.append(f"{where(path, node.lineno)}: {reason}")
    assert not broken


@pytest.mark.parametrize(
    ("source", "unsafe"),
    [
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=False)", True),
        ("torch.load(f, weights_only=True)", False),
        ("yaml.load(text)", True),
        ("yaml.load(text, Loader=yaml.Loader)", True),
        ("yaml.load(text, yaml.SafeLoader)", False),
        ("yaml.safe_load(text)", False),
        ("np.load(f, allow_pickle=True)", True),
        ("np.load(f)", False),
        ("subprocess.run(c, shell=True)", True),
        ("subprocess.run(c, shell=flag)", True),
        ("subprocess.run(c)", False),
        ("eval(text)", True),
        ("model.eval()", False),
        ("re.compile(text)", False),
    ],
)
def test_what_counts_as_unsafe(source: str, unsafe: bool) -> None:
    call = ast.parse(source, mode="eval").body
    assert isinstance(call, ast.Call)
    assert bool(fault(call)) is unsafe


def test_no_file_names_a_path_of_one_machine() -> None:
    folders = ("dovetail", "tests", "benchmarks", "experiments", "scripts", "docs")
    suffixes = {".py", ".sv", ".x", ".yaml", ".sh", ".js", ".md"}
    broken = [
        where(path, number)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in suffixes and path != Path(__file__).resolve()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not broken


def test_every_folder_of_tests_is_a_package() -> None:
    """Else two test files of one name collide, and helpers are importable by two names."""
    folders = {path.parent for path in (ROOT / "tests").rglob("*.py")}
    assert not [folder.name for folder in folders if not (folder / "__init__.py").is_file()]


def test_tests_mirror_the_package() -> None:
    folders = {path.parent.name for path in (ROOT / "tests").glob("*/*.py")}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders <= rooms | {"benchmarks", "experiments"}
