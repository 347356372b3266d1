"""dovetail serve: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.driver import run, succeed


def test_all_servers_are_compared() -> None:
    text = succeed("serve", "--requests", 300)
    assert all(name in text for name in ("sn40l", "dgx_a100", "dgx_h100", "p99", "switch"))
    assert succeed("serve", "--requests", 300) == text


def test_json_and_figure(tmp_path: Path) -> None:
    figure = tmp_path / "cdf.png"
    text = succeed(
        "serve", "-s", "sn40l", "--requests", 400, "--rate", 15, "--batch", 4, "--ahead", 2,
        "--tokens", "10-40", "--skew", 1.0, "--plot", figure, "--json", "-",
    )  # fmt: skip
    (found,) = json.loads(text)["servers"]
    percentiles = found["latency_percentiles"]
    assert len(percentiles) == 101
    assert percentiles == sorted(percentiles)
    assert sum(found["mean_parts"].values()) == pytest.approx(found["mean_latency"])
    assert json.loads(text)["workload"]["output_tokens"] == [10, 40]
    assert figure.stat().st_size > 1000


def test_a_server_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("name: mine\nsockets: 2\nhbm_gib: 80\n")
    text = succeed("serve", "-s", file, "--set", "switch_gb_per_s=500", "--requests", 50)
    assert "mine" in text


def test_smaller_models_are_faster_and_more_of_them_fit() -> None:
    text = succeed("serve", "-s", "sn40l", "--requests", 50, "--weights", 1.0, "--json", "-")
    (small,) = json.loads(text)["servers"]
    (large,) = json.loads(succeed("serve", "-s", "sn40l", "--requests", 50, "--json", "-"))[
        "servers"
    ]
    assert small["experts_held"] == 150 > large["experts_held"]
    assert small["mean_latency"] < large["mean_latency"] / 3


def test_too_many_requests_are_noticed() -> None:
    text = succeed("serve", "-s", "dgx_a100", "--rate", 500, "--requests", 300)
    assert "cannot serve 500 requests/s" in text


def test_servers_are_listed() -> None:
    text = succeed("list", "servers")
    assert "switch_gb_per_s" in text
    assert "dgx_h100" in text


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--server", "sn40"), "sn40l"),
        (("--rate", 1, "--clients", 2), "--rate and --clients exclude each other"),
        (("--tokens", "20-"), "--tokens '20-'"),
        (("--tokens", "9-3"), "9 to 3 output tokens"),
        (("--tokens", "x"), "--tokens 'x'"),
        (("--set", "sockets=0"), "sockets = 0"),
        (("--set", "pace=1"), "unknown key 'pace'"),
        (("--experts", 5000), "exceed its store_gib"),
        (("--requests", 0), "--requests"),
        (("--plot", "cdf.txt"), "must end in"),
        (("--ahead", 200), "copying 200 ahead"),
        (("--server", "missing.yaml"), "cannot be read"),
    ],
)
def test_bad_input(arguments: tuple[object, ...], line: str) -> None:
    assert line in run("serve", *arguments).complaint
