"""Devices: names, refusals, and that nothing is left on the CPU where another device computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dovetail.devices import check_device, place, torch_device
from dovetail.errors import ProblemError

torch = pytest.importorskip("torch")


def test_names_of_devices() -> None:
    for name in ("auto", "cpu", "cuda", "cuda:0", "cuda:12"):
        check_device(name)
    for name in ("", "gpu", "cuda:", "cuda:-1", "cuda:01", "CPU", "cpu:0", "meta", "cuda:1x"):
        with pytest.raises(ProblemError, match="must be auto, cpu, cuda or cuda:N"):
            check_device(name)


def test_devices_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert (torch_device("auto").type, torch_device("cpu").type) == ("cpu", "cpu")
    for name in ("cuda", "cuda:0"):
        with pytest.raises(ProblemError, match=f"'{name}': this machine has no CUDA device"):
            torch_device(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert str(torch_device("auto")) == "cuda"
    assert str(torch_device("cuda:1")) == "cuda:1"
    with pytest.raises(ProblemError, match="'cuda:2': this machine has cuda:0 to cuda:1; use"):
        torch_device("cuda:2")


def test_place_keeps_values() -> None:
    values = np.array([[1.5, 2.0], [3.0, -1.0]])
    found = place(values, torch.device("cpu"), torch.float32)
    assert (found.dtype, found.tolist()) == (torch.float32, values.tolist())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A device other than the CPU that every machine has: torch's `meta`.

    Its tensors have shapes but no values, so what is copied to or from it is made up; operations
    on tensors of both devices are refused, as on a real one.
    """
    from dovetail.agents import distribution, reinforce_lstm

    def pretend(values: Any, device: Any, dtype: Any = None) -> Any:
        kind = dtype or getattr(values, "dtype", torch.float32)
        return torch.empty(tuple(np.shape(values)), dtype=kind, device=device)

    for module in (distribution, reinforce_lstm):
        monkeypatch.setattr(module, "place", pretend)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor)
    return torch.device("meta")


def test_the_lstm_computes_where_its_weights_are(elsewhere: Any) -> None:
    from dovetail.agents.reinforce_lstm import _policy

    policy = _policy(np.ones((3, 4), dtype=bool), 2, 8).to(elsewhere)
    weights = torch.empty(5, 2, device=elsewhere)
    found = policy(weights)
    assert [(tensor.device.type, tuple(tensor.shape)) for tensor in found] == [("meta", (5, 3))] * 3
    again = policy(weights, found[0])
    assert {tensor.device.type for tensor in again} == {"meta"}


def test_the_distribution_computes_where_its_logits_are(elsewhere: Any) -> None:
    pytest.importorskip("stable_baselines3")
    from dovetail.agents.distribution import PaddedCategorical

    odds = PaddedCategorical([3, 2])
    odds.proba_distribution(torch.empty(5, 6, device=elsewhere))
    for masks in (None, np.ones((5, 5), dtype=bool)):
        odds.apply_masking(masks)
        drawn = odds.sample()
        for tensor in (drawn, odds.log_prob(drawn), odds.entropy(), odds.mode()):
            assert tensor.device.type == "meta"
