"""Runs a cocotb bench in Icarus Verilog, each run in a folder of its own."""

import importlib.util
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


def require_icarus() -> None:
    """Skips the test where Icarus, cocotb or a shared libpython is missing."""
    if shutil.which("iverilog") is None:
        pytest.skip("iverilog is not installed (apt-get install iverilog)")
    if importlib.util.find_spec("cocotb_tools") is None:
        pytest.skip("cocotb is not installed (pip install 'dovetail[rtl]')")
    import find_libpython

    if find_libpython.find_libpython() is None:
        pytest.skip("cocotb needs a shared libpython, which this Python lacks")


def simulate(
    folder: Path,
    *,
    sources: Sequence[Path],
    top: str,
    bench: str,
    case: object,
    parameters: Mapping[str, int] | None = None,
) -> None:
    """Builds `top`, runs every cocotb test of module `bench` on it, and fails if one fails.

    Args:
        folder: where all files go; absolute and empty.
        sources: Verilog files.
        top: name of the module under test.
        bench: name of an importable module with cocotb tests.
        case: JSON-able; the bench reads it by `case()`.
        parameters: of the module under test.
    """
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    runner = get_runner("icarus")
    runner.build(
        sources=list(sources),
        hdl_toplevel=top,
        parameters=dict(parameters or {}),
        always=True,
        build_dir=folder,
        log_file=folder / "build.log",
    )
    log, results = folder / "run.log", folder / "results.xml"
    (folder / "case.json").write_text(json.dumps(case))
    try:
        runner.test(
            test_module=bench,
            hdl_toplevel=top,
            build_dir=folder,
            test_dir=folder,
            results_xml=str(results),
            log_file=log,
            extra_env={"COCOTB_ANSI_OUTPUT": "0"},
        )
        tests, failed = get_results(results)
    except SystemExit:
        pytest.fail(log.read_text()[-4000:], pytrace=False)
    assert tests > 0
    assert failed == 0


def case() -> dict:
    """The case of the bench that runs now: simulators run in the folder of their build."""
    return json.loads(Path("case.json").read_text())
