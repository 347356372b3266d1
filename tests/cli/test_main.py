"""Help, start-up, and streams that are closed, full or broken."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

import dovetail
from tests.cli.driver import COMMAND, run, spawn, succeed

COMMANDS = (
    "simulate", "sweep", "diff", "search", "demo", "report", "export", "build", "list",
)  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_help_teaches(command: str) -> None:
    text = succeed(command, "--help")
    assert f"dovetail {command}" in text.partition("Examples:")[2]
    assert succeed(command, "-h") == text


def test_help_shows_defaults_and_where_to_look() -> None:
    text = " ".join(succeed("simulate", "--help").split())
    for words in ("[default: edge]", "[default: estimate]", "dovetail list networks", "cycle"):
        assert words in text
    text = " ".join(succeed("search", "--help").split())
    for words in ("[default: (nsga2)]", "[default: (2000)]", "latency_ms", "area_mm2<=2"):
        assert words in text


def test_without_arguments_the_commands_are_shown() -> None:
    text = succeed()
    assert all(command in text for command in COMMANDS)
    assert succeed("--help") == text


def test_version() -> None:
    assert succeed("--version") == f"{dovetail.__version__}\n"


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr("dovetail.networks.registry.load_network", broken)
    with pytest.raises(ZeroDivisionError):
        run("simulate", "resnet8")


def test_no_memory_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dovetail.networks.registry.load_network", hungry)
    assert run("simulate", "resnet8").complaint.startswith("out of memory")


def test_a_reader_that_leaves_early_hears_no_complaint() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = spawn("list", "networks", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [("list", "networks"), ("simulate", "resnet8", "--json", "-"), ("--help",)]
)
def test_a_full_output_is_one_line(arguments: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = spawn(*arguments, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert done.stderr == "dovetail: cannot use 'standard output': No space left on device\n"


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_streams(closed: int) -> None:
    command = [*COMMAND, "simulate", "resnet8", "--csv", "out.csv"]
    shell = ["sh", "-c", f'exec "$0" "$@" {closed}>&-', *command]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stderr == ""
    with open("out.csv") as file:
        assert file.readline().startswith("name,kind,engine,fused_into,")


def test_output_that_knows_no_unicode() -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    for arguments in (("simulate", "resnet8", "--top", "0"), ("list", "parameters")):
        command = [*COMMAND, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0
        assert done.stdout.isascii()


def test_help_starts_at_once() -> None:
    """CPU seconds, which other processes do not change much; a quarter of it is measured."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*COMMAND, "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys\nfrom dovetail.cli import main\nsys.argv[1:] = ['simulate', 'resnet8']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'onnx', 'torch', 'pymoo', 'gymnasium', 'matplotlib', 'plotly', 'sqlite3'}\n"
        "print(sorted(heavy & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "[]\n"
