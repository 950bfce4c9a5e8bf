"""Every network: its size, its shapes, and how the recurrence is wired."""

import pytest
import torch
from torch.nn import functional

from napari_runet.models.card import NetworkConfig
from napari_runet.networks import NETWORK_NAMES, State, build

LIGHT = [name for name in NETWORK_NAMES if "16" not in name and "50" not in name]
HEAVY = [name for name in NETWORK_NAMES if name not in LIGHT]
RECURRENT = [name for name in LIGHT if not name.startswith("unet")]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("dru-4", 361_970),
        ("sru-4", 324_914),
        ("dru-0", 1_461_624),
        ("sru-0", 974_658),
        ("unet-g", 486_818),
        ("rec-last", 490_994),
        ("rec-middle", 602_786),
        ("rec-simple", 486_966),
        ("unet-vgg16", 32_202_370),
        ("dru-vgg16", 41_382_082),
        ("unet-resnet50", 59_400_000),
        ("dru-resnet50", 145_500_000),
    ],
)
def test_parameter_counts_are_those_of_the_paper(name, published):
    with torch.device("meta"):
        assert parameters(build(name)) == pytest.approx(published, rel=0.05)


def test_the_shipped_size():
    assert 300_000 < parameters(build("dru-4", in_channels=3, classes=2)) < 400_000


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("size", [(1, 1), (16, 16), (37, 50)])
def test_any_size_channels_and_classes(name, size):
    network = build(name, in_channels=2, classes=5, base_channels=4, hidden_channels=8).eval()
    with torch.inference_mode():
        logits = network(torch.randn(2, 2, *size), iterations=2)
    assert [step.shape for step in logits] == [(2, 5, *size)] * 2


@pytest.mark.parametrize("name", HEAVY)
def test_heavy_networks_give_logits_of_the_images_size(name):
    network = build(name, classes=3).eval()
    with torch.inference_mode():
        logits = network(torch.randn(1, 3, 40, 50), iterations=2)
    assert [step.shape for step in logits] == [(1, 3, 40, 50)] * 2


@pytest.mark.parametrize("name", RECURRENT)
def test_the_second_iteration_differs_from_the_first(name):
    torch.manual_seed(0)
    network = build(name, base_channels=4, hidden_channels=8).eval()
    with torch.inference_mode():
        first, second = network(torch.randn(1, 3, 32, 32), iterations=2)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("name", ["unet-g", "unet-b"])
def test_a_plain_unet_repeats_itself(name):
    network = build(name, base_channels=4).eval()
    with torch.inference_mode():
        first, second = network(torch.randn(1, 3, 32, 32), iterations=2)
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("feedback", ["probabilities", "logits"])
def test_what_is_fed_back(feedback):
    network = build("dru-4", base_channels=2, hidden_channels=4, feedback=feedback).eval()
    images = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        logits, state = network.step(images, network.initial_state(images))
    expected = functional.softmax(logits, dim=1) if feedback == "probabilities" else logits
    torch.testing.assert_close(state.segmentation, expected)


def test_the_mask_of_the_state_is_read():
    torch.manual_seed(0)
    network = build("dru-4", base_channels=2, hidden_channels=4).eval()
    images = torch.randn(1, 3, 32, 32)
    state = network.initial_state(images)
    with torch.inference_mode():
        plain, _ = network.step(images, state)
        told, _ = network.step(images, State(torch.rand_like(state.segmentation), state.hidden))
    assert not torch.allclose(plain, told)


def test_initial_values_come_from_the_config():
    network = build("dru-4", base_channels=2, hidden_channels=4, initial_segmentation=1.0, initial_hidden=0.5)
    state = network.initial_state(torch.zeros(2, 3, 32, 48))
    assert state.segmentation.shape == (2, 2, 32, 48)
    assert state.hidden.shape == (2, 4, 2, 3)
    assert (state.segmentation == 1).all() and (state.hidden == 0.5).all()


def test_one_iteration_after_the_other_is_the_same_as_all_at_once():
    network = build("sru-2", base_channels=2, hidden_channels=4).eval()
    images = torch.randn(1, 3, 30, 20)
    with torch.inference_mode():
        for one, other in zip(network.iterate(images, 3), network(images, 3), strict=True):
            torch.testing.assert_close(one, other)


def test_unknown_names_and_options_are_refused():
    with pytest.raises(ValueError, match="no network called 'dru-9'; there are dru-0"):
        build("dru-9")
    with pytest.raises(ValueError, match="classes"):
        build("dru-4", classes=1)
    with pytest.raises(ValueError, match="wings"):
        build("dru-4", wings=2)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("unet-b", "norm", "batch"), ("unet-g", "norm", "group"), ("rec-middle", "hidden_channels", 128),
     ("rec-last", "hidden_channels", 32), ("dru-resnet50", "hidden_channels", 512)],
)  # fmt: skip
def test_the_papers_sizes_are_defaults_that_a_config_may_change(name, field, value):
    assert getattr(NetworkConfig(name=name), field) == value
    config = NetworkConfig(name="unet-b", norm="group")
    assert config.norm == NetworkConfig.model_validate_json(config.model_dump_json()).norm == "group"


def test_the_hidden_width_of_heavy_networks_is_config():
    with torch.device("meta"):
        network = build("dru-vgg16", hidden_channels=16)
    assert network.unit.f_s.in_channels == 16
    assert network.initial_state(torch.zeros(1, 3, 64, 64)).hidden.shape == (1, 16, 2, 2)


def test_a_config_builds_what_its_name_does():
    config = NetworkConfig(name="sru-3", in_channels=1, classes=4)
    assert build(config).config == build("sru-3", in_channels=1, classes=4).config


def test_resnet_has_torchvisions_names_and_size():
    with torch.device("meta"):
        names = build("unet-resnet50").body.encoder.state_dict()
    assert {"conv1.weight", "layer1.0.downsample.0.weight", "layer4.2.bn3.running_var"} <= names.keys()
    trainable = sum(v.numel() for k, v in names.items() if "running" not in k and "num_batches" not in k)
    assert trainable == 25_557_032 - 2048 * 1000 - 1000  # torchvision's ResNet50 without its classifier
