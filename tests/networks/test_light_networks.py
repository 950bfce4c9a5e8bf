"""Every light network, whole, against a second implementation in numpy, and its gradients by finite differences."""

import numpy as np
import pytest
import torch
from numpy_networks import NumpyNetwork

from napari_runet.networks import NETWORK_NAMES, build

LIGHT = [name for name in NETWORK_NAMES if "16" not in name and "50" not in name]


def randomised(name, **options):
    """A network in float64 whose normalisations, biases and starts would give a wrong formula away."""
    torch.manual_seed(0)
    network = build(name, base_channels=2, hidden_channels=4, initial_hidden=0.3, initial_segmentation=0.6, **options)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.copy_(0.3 * torch.randn_like(parameter) + 0.7)
        for key, buffer in network.named_buffers():
            if "running" in key:
                buffer.copy_(torch.rand_like(buffer) + 0.5)
    return network.double().eval()


@pytest.mark.parametrize("name", LIGHT)
def test_three_iterations_are_those_of_the_paper_in_numpy(name):
    network = randomised(name, classes=3)
    image = np.random.default_rng(1).normal(size=(3, 32, 48))
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    expected = NumpyNetwork(network.config, state).iterate(image, 3)
    with torch.inference_mode():
        for found, wanted in zip(network(torch.from_numpy(image)[None], 3), expected, strict=True):
            np.testing.assert_allclose(found[0].numpy(), wanted, atol=1e-9)


@pytest.mark.parametrize("name", LIGHT)
def test_gradients_through_two_iterations_by_finite_differences(name):
    network = randomised(name)
    image = torch.randn(1, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: network(x, 2)[-1], image, eps=1e-6, atol=1e-4, fast_mode=True)
