"""A user's own models folder."""

from pathlib import Path

import pytest


@pytest.fixture
def models_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder of a user; returns its models folder."""
    monkeypatch.setenv("NAPARI_RUNET_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "models"
