"""The group `verify` names what it holds, and what it does not know."""

import pytest

from tests.cli.driver import run, succeed
from tests.rtl.icarus import require_icarus


@pytest.mark.parametrize("command", ["rtl", "network", "mutations", "formal", "hls"])
def test_every_command_explains_itself(command):
    assert command in succeed("verify", "--help")
    assert f"dovetail verify {command}" in succeed("verify", command, "--help")


def test_an_unknown_proof_is_named():
    assert "unknown proof 'fifa'; did you mean fifo?" in run("verify", "formal", "fifa").complaint


def test_a_fault_of_no_module_is_refused():
    assert "no fault's name contains" in run("verify", "mutations", "--only", "nowhere").complaint


def test_only_digits_has_sub_networks():
    require_icarus()
    complaint = run(
        "verify", "network", "resnet8", "--simulator", "icarus", "--choice", "1"
    ).complaint
    assert "'resnet8' has no sub-networks" in complaint
