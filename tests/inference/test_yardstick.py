"""The plain implementation that speed is compared with is the same network."""

import importlib.util
from pathlib import Path

import pytest
import torch

import napari_runet


@pytest.fixture(scope="module")
def yardstick():
    path = Path(__file__).parents[2] / "benchmarks" / "yardstick.py"
    spec = importlib.util.spec_from_file_location("yardstick", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Yardstick().eval()


@pytest.mark.parametrize("name", ["retina", "roads", "hands"])
def test_it_gives_the_logits_of_the_shipped_network(yardstick, name):
    network = napari_runet.load_model(name, "cpu", "reference").network.to(memory_format=torch.contiguous_format)
    yardstick.load_state_dict(network.state_dict())
    torch.manual_seed(0)
    pixels = torch.nn.functional.interpolate(torch.rand(2, 3, 12, 10) * 2 - 1, size=(96, 80), mode="bicubic")
    with torch.inference_mode():
        for found, expected in zip(yardstick(pixels, 3), network(pixels, 3), strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
