"""Models that nobody has trained yet: untrained, or with the layers of another model."""

import time
from pathlib import Path

import torch
from torch import Tensor

from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.models.weights import load_network, save_new
from napari_runet.networks import build


def new_model(
    folder: Path,
    model_id: str,
    classes: tuple[ClassInfo, ...],
    *,
    channels: int | None = None,
    parent: Path | None = None,
    seed: int = 0,
    title: str = "",
) -> ModelCard:
    """Write an untrained model, ready to be fine-tuned; returns its card.

    Parameters
    ----------
    folder
        Of the new model.
    classes
        The background first.
    channels
        Channels of the images it reads; 3, or those of `parent`, when None.
    parent
        Folder of a model whose layers it starts with; those that depend on classes or channels start anew.
    title
        What people call it; by default made of the id.

    Raises
    ------
    ModelError
        When the parent cannot be loaded, or the model cannot be written.
    """
    title = title or model_id.replace("-", " ").capitalize()
    names = ", ".join(info.name for info in classes[1:])
    training = {"training_steps": 0, "seed": seed}
    torch.manual_seed(seed)
    if parent is None:
        network = build(NetworkConfig(in_channels=3 if channels is None else channels, classes=len(classes)))
        card = ModelCard(
            id=model_id,
            title=title,
            sentence=f"Untrained: correct an image and fine-tune to teach it {names}."[:300],
            network=network.config,
            classes=classes,
            training=training,
        )
        state = network.state_dict()
    else:
        old_card, old = load_network(parent)
        in_channels = old_card.network.in_channels if channels is None else channels
        network = build(old_card.network, classes=len(classes), in_channels=in_channels)
        state = transplanted(
            old.state_dict(), network.state_dict(), old_card.network.in_channels, network.config.in_channels
        )
        card = old_card.model_copy(
            update={
                "id": model_id,
                "title": title,
                "sentence": f"With the layers of {old_card.title}: correct and fine-tune to teach it {names}."[:300],
                "network": network.config,
                "classes": classes,
                "training": {**training, "parent_id": old_card.id},
                "metrics": {},
                "limits": "",
                "structure_width": None,  # of other structures
                "parent": old_card.sha256,
                "sha256": "",
            }
        )
    card = card.model_copy(update={"created": time.strftime("%Y-%m-%dT%H:%M:%S%z")})
    return save_new(folder, ModelCard.model_validate(card.model_dump()), state)


def transplanted(old: dict[str, Tensor], new: dict[str, Tensor], old_channels: int, channels: int) -> dict[str, Tensor]:
    """The new tensors with the old values wherever a tensor has the same shape, or reads more or fewer channels.

    A network first reads the `channels` of the image, and then its own mask, which is read as before; one channel
    counts as much as all of the parent's together.
    """
    result = {}
    for name, tensor in new.items():
        tensor = tensor.clone()
        source = old.get(name)
        if source is not None and source.shape == tensor.shape:
            tensor = source.clone()
        elif source is not None and source.ndim == 4 and source.shape[0] == tensor.shape[0]:
            for before, now in zip(_inputs(source, old_channels), _inputs(tensor, channels), strict=True):
                shared = min(before.shape[1], now.shape[1])
                now[:, :shared] = before[:, :shared]
            if channels == 1:
                tensor[:, :1] = source[:, :old_channels].sum(1, keepdim=True)
        result[name] = tensor
    return result


def _inputs(weights: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Views of the part that reads the image, and of the part that reads the mask."""
    return weights[:, :channels], weights[:, channels:]
