"""Fixtures for all tests."""

from pathlib import Path

import pytest
import torch

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.weights import save_network
from napari_runet.networks import build


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's data folder with one tiny, untrained model, "tiny", in its models folder."""
    home = tmp_path_factory.mktemp("home")
    torch.manual_seed(0)
    network = NetworkConfig(base_channels=2, hidden_channels=4)
    classes = (ClassInfo(name="background", color="#000000"), ClassInfo(name="vessel", color="#ff2fd0"))
    card = ModelCard(id="tiny", title="Tiny", sentence="For tests.", network=network, classes=classes)
    save_network(home / "models" / "tiny", card, build(network))
    return home
