"""The tensor half of a model: safetensors in and out, checked against the card before a tensor is made."""

import hashlib
import json
import os
import struct
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_runet.models.card import ModelCard
from napari_runet.models.store import CARD_FILE, WEIGHTS_FILE, ModelError, read_card, write_atomically
from napari_runet.networks import IterativeNetwork, build


def load_network(folder: Path) -> tuple[ModelCard, IterativeNetwork]:
    """Load a model's card and network, the latter on the CPU and in evaluation mode.

    Raises
    ------
    ModelError
        When card and tensors are missing, damaged, or do not belong together.
    """
    card = read_card(folder)
    path = folder / WEIGHTS_FILE
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights of model {card.id!r} cannot be read: {error.strerror or error}.") from error
    if hashlib.sha256(raw).hexdigest() != card.sha256:
        raise ModelError(
            f"The weights of model {card.id!r} are damaged or not those its card names "
            f"(sha256 differs). Copy or install the model again: {path}"
        )
    with torch.device("meta"):
        network = build(card.network)
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    _check_header(raw, expected, card.id)
    network = build(card.network)
    network.load_state_dict(load_tensors(raw))
    return card, network.eval()


def _check_header(raw: bytes, expected: dict[str, tuple[int, ...]], model_id: str) -> None:
    """Compare names, shapes and dtypes in the file's header with those of the network in the card."""
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__", None)
    found = {name: tuple(entry["shape"]) for name, entry in header.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise ModelError(f"The weights of model {model_id!r} do not fit its card; the first difference is {wrong[0]!r}.")
    odd = {entry["dtype"] for entry in header.values()} - {"F32", "F16", "BF16", "I64"}
    if odd:
        raise ModelError(f"The weights of model {model_id!r} hold {', '.join(sorted(odd))} numbers, which none of ours does.")


def save_network(folder: Path, card: ModelCard, network: IterativeNetwork) -> ModelCard:
    """Write card and weights into `folder`, each whole or not at all; returns the card with its sha256."""
    return save_state(folder, card, network.state_dict())


def save_state(folder: Path, card: ModelCard, state: dict[str, Tensor]) -> ModelCard:
    """Write a card and a network's ``state_dict``; the tensors are stored contiguous and on the CPU."""
    folder.mkdir(parents=True, exist_ok=True)
    raw = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    card = card.model_copy(update={"sha256": hashlib.sha256(raw).hexdigest()})
    write_atomically(folder / WEIGHTS_FILE, raw)
    write_atomically(folder / CARD_FILE, (card.model_dump_json(indent=2) + os.linesep).encode())
    return card
