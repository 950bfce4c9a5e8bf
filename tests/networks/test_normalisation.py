"""Group normalisation in channels_last is torch's, and so is its gradient."""

import pytest
import torch
from torch import nn

from napari_runet.networks import build
from napari_runet.networks.normalisation import GroupNorm


def pair(groups, channels, dtype=torch.float32):
    torch.manual_seed(0)
    ours, theirs = GroupNorm(groups, channels, dtype=dtype), nn.GroupNorm(groups, channels, dtype=dtype)
    nn.init.normal_(ours.weight, 1.0)
    nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize(("groups", "channels"), [(8, 8), (8, 32), (2, 6), (1, 3), (4, 4)])
@pytest.mark.parametrize("size", [(16, 24), (5, 7), (1, 2)])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_values_and_gradients_are_those_of_torch(groups, channels, size, layout):
    # in float64: with two pixels a group's gradient is a small difference of large numbers, also in torch
    found = []
    for norm in pair(groups, channels, torch.float64):
        torch.manual_seed(1)
        features = 3 + 2 * torch.randn(3, channels, *size, dtype=torch.float64)
        features = features.contiguous(memory_format=layout).requires_grad_()
        normalised = norm(features)
        normalised.backward(torch.randn(3, channels, *size, dtype=torch.float64))
        found.append((normalised, features.grad, norm.weight.grad, norm.bias.grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


def test_the_gradient_is_that_of_finite_differences():
    norm, _ = pair(2, 6, torch.float64)
    features = torch.randn(2, 6, 4, 3, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    features.requires_grad_()
    applied = norm(features)
    assert "_ChannelsLast" in type(applied.grad_fn).__name__

    def apply(features, weight, bias):
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, features)

    assert torch.autograd.gradcheck(apply, (features, norm.weight, norm.bias))


def test_a_whole_network_has_the_gradients_of_torch(monkeypatch):
    network = build("dru-4").to(memory_format=torch.channels_last)
    images = torch.randn(2, 3, 64, 48).contiguous(memory_format=torch.channels_last)
    gradients = []
    for _ in range(2):
        network.zero_grad()
        sum(logits.square().mean() for logits in network(images, iterations=3)).backward()
        gradients.append({name: each.grad.clone() for name, each in network.named_parameters()})
        monkeypatch.setattr(GroupNorm, "forward", nn.GroupNorm.forward)
    largest = max(float(each.abs().max()) for each in gradients[1].values())
    for name, expected in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], expected, rtol=1e-4, atol=1e-5 * largest)


def test_a_large_bright_map_keeps_its_digits():
    torch.manual_seed(0)
    features = (5 + torch.randn(1, 8, 512, 512)).contiguous(memory_format=torch.channels_last)
    ours, theirs = pair(8, 8)
    expected = theirs.double()(features.double().contiguous())
    with torch.no_grad():
        torch.testing.assert_close(ours(features).double(), expected, rtol=0, atol=1e-5)
