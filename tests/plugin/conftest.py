from pathlib import Path

import numpy as np
import pytest

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.store import HOME_VARIABLE


@pytest.fixture
def card() -> ModelCard:
    classes = (ClassInfo(name="background", color="#000000"), ClassInfo(name="vessel", color="#ff2fd1"))
    return ModelCard(id="some", title="Some", sentence="For tests.", network=NetworkConfig(), classes=classes)


@pytest.fixture
def home(tiny_models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(HOME_VARIABLE, str(tiny_models))
    return tiny_models


@pytest.fixture
def photograph() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (150, 200, 3), np.uint8)
