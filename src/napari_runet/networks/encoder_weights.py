"""ImageNet weights for the encoders, from a file that the user has: torchvision's names, safetensors or ``.pth``."""

import pickle
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from napari_runet.models.card import NetworkConfig
from napari_runet.networks.backbones import VGG16, ResNet50
from napari_runet.networks.build import build
from napari_runet.networks.iterative import IterativeNetwork


class EncoderWeightsError(ValueError):
    """A file of encoder weights cannot be used; the message says why."""


def encoder_of(network: IterativeNetwork) -> VGG16 | ResNet50 | None:
    """The part of a network that can start from ImageNet weights, None where there is none."""
    return next((module for module in network.modules() if isinstance(module, (VGG16, ResNet50))), None)


def has_encoder(config: NetworkConfig) -> bool:
    """Whether the network of a config has such a part."""
    with torch.device("meta"):
        return encoder_of(build(config)) is not None


def load_encoder_weights(network: IterativeNetwork, path: Path) -> None:
    """Load ImageNet weights into a network's encoder.

    The file's classifier is left out, and the convolution that reads the mask keeps its random start. ImageNet's
    networks expect images in RGB with mean 0 and standard deviation 1; the card's normalisation, to about
    [-1, 1], comes close.

    Parameters
    ----------
    path
        A state dict as torchvision saves it, ``.safetensors`` or ``.pth``; of the latter only tensors are read,
        no other object is ever made.

    Raises
    ------
    EncoderWeightsError
        When the network has no such encoder, or the file cannot be read, or lacks a tensor, or has one of another
        shape; the network is unchanged then.
    """
    encoder = encoder_of(network)
    if encoder is None:
        raise EncoderWeightsError(
            f"{network.config.name} has no VGG16 or ResNet50 encoder that could start from {path.name}."
        )
    found = _read(path)
    wanted = {name: tensor for name, tensor in encoder.state_dict().items() if not name.startswith("mask.")}
    for name, tensor in wanted.items():
        # older files lack this counter, which no computation reads
        if name.endswith("num_batches_tracked"):
            found.setdefault(name, torch.zeros_like(tensor))
        if name not in found:
            raise EncoderWeightsError(f"The encoder weights {path} do not fit: they have no tensor {name!r}.")
        if found[name].shape != tensor.shape:
            shapes = [" x ".join(map(str, each.shape)) for each in (found[name], tensor)]
            raise EncoderWeightsError(
                f"The encoder weights {path} do not fit: {name!r} is {shapes[0]}, the network needs {shapes[1]}."
            )
    encoder.load_state_dict({name: found[name] for name in wanted}, strict=False)


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name."""
    try:
        content: Any
        if path.suffix == ".safetensors":
            content = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise EncoderWeightsError(f"There is no file {path} with encoder weights.") from error
    except pickle.UnpicklingError as error:
        raise EncoderWeightsError(
            f"The encoder weights {path} cannot be read: they are no plain state dict."
        ) from error
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, SafetensorError) as error:
        raise EncoderWeightsError(f"The encoder weights {path} cannot be read: the file is damaged.") from error
    if not isinstance(content, dict):
        raise EncoderWeightsError(f"The encoder weights {path} are no state dict.")
    return {str(name): tensor for name, tensor in content.items() if isinstance(tensor, Tensor)}
