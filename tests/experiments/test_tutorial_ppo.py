import pytest


def test_the_tutorial_learns_in_small(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    from experiments.tutorial_ppo import main

    before, after = main(designs=6000, batch=200, epochs=1)
    assert after > before + 0.2
    assert "mean reward" in capsys.readouterr().out
