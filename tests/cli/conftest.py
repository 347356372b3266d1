from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.driver import succeed


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of supernets that the tests share."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _home(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs in a folder of its own and leaves the user's cache alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 300 designs, not to be written to."""
    path = tmp_path_factory.mktemp("study") / "finished.db"
    succeed(
        *("search", "--env", "accelerator", "--network", "resnet8"),
        *("--budget", 300, "--seed", 7, "--study", path),
    )
    return path
