"""ImageNet weights: torchvision's names and files load, and what does not fit changes nothing."""

import os
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from napari_runet.networks import build
from napari_runet.networks.encoder_weights import EncoderWeightsError, encoder_of, load_encoder_weights


@pytest.fixture(scope="module")
def vgg():
    return build("dru-vgg16")


def torchvision_file(network, path, *, without=()):
    """What torchvision's file for a network's encoder would hold: other values, and a classifier."""
    state = encoder_of(network).state_dict()
    state = OrderedDict(
        (name, torch.full_like(value, 0.25))
        for name, value in state.items()
        if not name.startswith("mask.") and not name.endswith(tuple(without))
    )
    state["classifier.0.weight"] = torch.zeros(3)
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_vgg_files_load_and_leave_the_rest_alone(vgg, tmp_path, suffix):
    mask, decoder = encoder_of(vgg).mask.weight.clone(), vgg.unet.head.weight.clone()
    load_encoder_weights(vgg, torchvision_file(vgg, tmp_path / f"vgg16{suffix}"))
    assert (encoder_of(vgg).features[0].weight == 0.25).all()
    assert (encoder_of(vgg).features[28].bias == 0.25).all()
    torch.testing.assert_close(encoder_of(vgg).mask.weight, mask)
    torch.testing.assert_close(vgg.unet.head.weight, decoder)


def test_older_resnet_files_without_counters_load(tmp_path):
    network = build("unet-resnet50")
    load_encoder_weights(network, torchvision_file(network, tmp_path / "r.pth", without=["num_batches_tracked"]))
    assert (encoder_of(network).layer4[2].conv3.weight == 0.25).all()
    assert (encoder_of(network).layer1[0].bn1.running_var == 0.25).all()


def test_files_that_do_not_fit_change_nothing(vgg, tmp_path):
    before = {name: value.clone() for name, value in vgg.state_dict().items()}
    lacking = torchvision_file(vgg, tmp_path / "lacking.pth", without=["28.bias"])
    with pytest.raises(EncoderWeightsError, match=r"no tensor 'features\.28\.bias'"):
        load_encoder_weights(vgg, lacking)
    grey = torch.load(torchvision_file(vgg, tmp_path / "grey.pth"), weights_only=True)
    grey["features.0.weight"] = torch.zeros(64, 1, 3, 3)
    torch.save(grey, tmp_path / "grey.pth")
    with pytest.raises(EncoderWeightsError, match="is 64 x 1 x 3 x 3, the network needs 64 x 3 x 3 x 3"):
        load_encoder_weights(vgg, tmp_path / "grey.pth")
    for name, value in vgg.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"no weights at all", b"PK\x03\x04 cut"])
def test_damaged_files_are_one_sentence(vgg, tmp_path, suffix, content):
    path = tmp_path / f"noise{suffix}"
    path.write_bytes(content)
    with pytest.raises(EncoderWeightsError, match="cannot be read") as told:
        load_encoder_weights(vgg, path)
    assert "\n" not in str(told.value)


def test_missing_files_and_networks_without_encoder(vgg, tmp_path):
    with pytest.raises(EncoderWeightsError, match="There is no file"):
        load_encoder_weights(vgg, tmp_path / "nowhere.pth")
    with pytest.raises(EncoderWeightsError, match="dru-4 has no VGG16 or ResNet50 encoder"):
        load_encoder_weights(build("dru-4"), tmp_path / "nowhere.pth")


def test_no_object_but_tensors_is_made(vgg, tmp_path):
    touched = tmp_path / "touched"

    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(touched),)

    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(EncoderWeightsError, match="no plain state dict"):
        load_encoder_weights(vgg, tmp_path / "trap.pth")
    assert not touched.exists()
