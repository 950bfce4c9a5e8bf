"""The recurrent units against the paper's equations in plain numpy, and their gradients by finite differences."""

import numpy as np
import pytest
import torch

from napari_runet.networks.baselines import ConvGRU
from napari_runet.networks.heavy import WideGatedUnit
from napari_runet.networks.recurrent_units import DualGatedUnit, SingleGatedUnit


def convolve(x, weight, bias):
    """Naive cross-correlation that keeps the size; x (I, Y, X), weight (O, I, k, k)."""
    outputs, _, size, _ = weight.shape
    pad = size // 2
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    result = np.zeros((outputs, *x.shape[1:]))
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            window = padded[:, row : row + size, column : column + size]
            result[:, row, column] = np.tensordot(weight, window, axes=3) + bias
    return result


def group_norm(x, groups, weight, bias):
    grouped = x.reshape(groups, -1)
    normal = (grouped - grouped.mean(1, keepdims=True)) / np.sqrt(grouped.var(1, keepdims=True) + 1e-5)
    return normal.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


class Numbers:
    """A module's parameters by name, as numpy."""

    def __init__(self, module):
        self.values = {name: value.detach().double().numpy() for name, value in module.state_dict().items()}

    def conv_norm(self, x, name, *, relu):
        x = convolve(x, self.values[f"{name}.0.weight"], self.values[f"{name}.0.bias"])
        x = group_norm(x, np.gcd(8, len(x)), self.values[f"{name}.1.weight"], self.values[f"{name}.1.bias"])
        return np.maximum(x, 0) if relu else x

    def body(self, x, name):
        return self.conv_norm(self.conv_norm(x, f"{name}.0", relu=True), f"{name}.1", relu=False)


def randomised(module):
    """Give normalisations and biases values that a wrong formula would not survive."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter) + (parameter.ndim == 1))
    return module.double().eval()


@pytest.fixture
def activations():
    torch.manual_seed(1)
    return torch.randn(1, 6, 5, 4, dtype=torch.float64), torch.randn(1, 4, 5, 4, dtype=torch.float64)


@pytest.mark.parametrize("kind", [DualGatedUnit, SingleGatedUnit])
def test_unit_computes_the_equations_of_the_paper(kind, activations):
    torch.manual_seed(0)
    unit = randomised(kind(6, 4, 8, [8], "group"))
    e, h = activations
    out, new_h = unit(e, h)

    numbers = Numbers(unit)
    e_np, h_np = e[0].numpy(), h[0].numpy()
    z = sigmoid(numbers.body(e_np, "f_z"))
    masked = e_np
    if kind is DualGatedUnit:
        masked = sigmoid(numbers.conv_norm(e_np, "f_r", relu=False)) * e_np
    expected_h = z * h_np + (1 - z) * np.tanh(numbers.body(masked, "f_h"))
    expected = convolve(expected_h, numbers.values["f_s.weight"], numbers.values["f_s.bias"])
    np.testing.assert_allclose(new_h[0].detach().numpy(), expected_h, atol=1e-10)
    np.testing.assert_allclose(out[0].detach().numpy(), expected, atol=1e-10)


def test_gru_of_the_baselines(activations):
    gru = randomised(ConvGRU(6, 4, "group"))
    e, h = activations
    numbers = Numbers(gru)
    both = np.concatenate([e[0].numpy(), h[0].numpy()])
    z = sigmoid(numbers.conv_norm(both, "w_z", relu=False))
    r = sigmoid(numbers.conv_norm(both, "w_r", relu=False))
    candidate = np.tanh(numbers.conv_norm(np.concatenate([e[0].numpy(), r * h[0].numpy()]), "w_h", relu=False))
    np.testing.assert_allclose(gru(e, h)[0].detach().numpy(), z * h[0].numpy() + (1 - z) * candidate, atol=1e-10)


def test_unit_of_the_heavy_encoders(activations):
    unit = randomised(WideGatedUnit(6, 8, 4, 6, reset_convolutions=2))
    e, h = activations
    out, new_h = unit(e, h)
    numbers = Numbers(unit)
    e_np, h_np = e[0].numpy(), h[0].numpy()
    z, r = sigmoid(numbers.body(e_np, "f_z")), sigmoid(numbers.body(e_np, "f_r"))
    expected = z * h_np + (1 - z) * np.tanh(numbers.body(r * e_np, "f_h"))
    np.testing.assert_allclose(new_h[0].detach().numpy(), expected, atol=1e-10)
    written = convolve(expected, numbers.values["f_s.weight"], numbers.values["f_s.bias"])
    np.testing.assert_allclose(out[0].detach().numpy(), written, atol=1e-10)


@pytest.mark.parametrize("kind", [DualGatedUnit, SingleGatedUnit])
@pytest.mark.parametrize("widths", [[8], [4, 8]])
def test_gradients_by_finite_differences(kind, widths):
    torch.manual_seed(0)
    unit = randomised(kind(3, 2, 4, widths, "group"))
    e = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    h = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(unit, (e, h), eps=1e-6, atol=1e-5)


def test_update_gate_shut_keeps_the_hidden_state(activations):
    """z = 1 keeps h, z = 0 replaces it."""
    unit = randomised(DualGatedUnit(6, 4, 8, [8], "group"))
    e, h = activations
    with torch.no_grad():
        unit.f_z[1][1].weight.zero_()
        unit.f_z[1][1].bias.fill_(40.0)
        torch.testing.assert_close(unit(e, h)[1], h)
        unit.f_z[1][1].bias.fill_(-40.0)
        assert not torch.allclose(unit(e, h)[1], h)
