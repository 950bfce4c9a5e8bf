"""Each layer of the base backend against the network's own, in float64."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from napari_runet.inference.backends.layers import FoldedUp, Normalisation, channels_last, max_pool
from napari_runet.networks.blocks import UpBlock
from napari_runet.networks.normalisation import GroupNorm


def shuffled(module):
    """With biases and weights that nothing cancels."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0.3)
    return module


@pytest.mark.parametrize(("groups", "channels"), [(4, 4), (8, 8), (8, 16), (8, 64), (1, 6), (3, 12)])
@pytest.mark.parametrize("size", [(2, 2), (3, 5), (17, 16), (48, 64)])
@pytest.mark.parametrize("offset", [0.0, 10.0])
def test_normalisation_keeps_its_digits_far_from_zero(groups, channels, size, offset):
    torch.manual_seed(0)
    norm = shuffled(GroupNorm(groups, channels)).requires_grad_(False)
    features = torch.randn(1, channels, *size) + offset * torch.randn(1, channels, 1, 1)
    parameters = norm.weight.double(), norm.bias.double()
    expected = functional.group_norm(features.double(), groups, *parameters, norm.eps)
    ours = Normalisation(norm)
    for _ in range(2):  # also as it is remembered
        torch.testing.assert_close(ours(channels_last(features.clone())).double(), expected, rtol=0, atol=1e-4)
    assert torch.equal(ours(channels_last(features.clone()), relu=True) > 0, ours(channels_last(features.clone())) > 0)


@pytest.mark.parametrize("channels", [2, 8, 32])
@pytest.mark.parametrize("size", [(2, 2), (2, 7), (9, 4), (24, 32)])
def test_the_folded_up_block_is_the_block(channels, size):
    torch.manual_seed(0)
    block = shuffled(UpBlock(2 * channels, channels, "group")).requires_grad_(False)
    height, width = size
    below, skip = torch.randn(1, 2 * channels, height, width), torch.randn(1, channels, 2 * height, 2 * width)
    found = FoldedUp(block, torch.float32)(channels_last(below), channels_last(skip))
    torch.testing.assert_close(found.double(), block.double()(below.double(), skip.double()), rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_pooling_takes_the_largest(dtype):
    features = channels_last(torch.rand(1, 6, 10, 14).to(dtype))
    assert torch.equal(max_pool(features), nn.MaxPool2d(2)(features))
