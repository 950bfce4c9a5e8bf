"""A folder of small pictures, and a model that is quick."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_runet.models.store import HOME_VARIABLE


@pytest.fixture
def home(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    return tiny_models


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with picture-1.png, picture-2.png and picture-10.png."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in (1, 2, 10):
        pixels = rng.integers(0, 255, (40, 48 + number, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"picture-{number}.png")
    return folder
