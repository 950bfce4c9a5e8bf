"""The tensor half of a model: safetensors in and out, checked against the card before a tensor is made."""

import hashlib
import json
import math
import os
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from napari_runet.io.atomic import write_atomically, written_atomically
from napari_runet.io.masks import why_not_written
from napari_runet.models.card import ModelCard
from napari_runet.models.store import CARD_FILE, WEIGHTS_FILE, ModelError, read_card
from napari_runet.networks import IterativeNetwork, build

HEADER_LIMIT = 1 << 20
"""Bytes that the header of a weights file may take; those of all networks here take far less."""
DTYPES = {"F32": 4, "F16": 2, "BF16": 2, "I64": 8}


def load_network(folder: Path) -> tuple[ModelCard, IterativeNetwork]:
    """Load a model's card and network, the latter on the CPU and in evaluation mode.

    Raises
    ------
    ModelError
        When card and tensors are missing, damaged, or do not belong together.
    """
    card = read_card(folder)
    try:
        with torch.device("meta"):
            network = build(card.network)
    except ValueError as error:
        raise ModelError(f"The network of model {card.id!r} cannot be built: {error}") from error
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    raw = _read_weights(folder / WEIGHTS_FILE, expected, card.id)
    if hashlib.sha256(raw).hexdigest() != card.sha256:
        raise ModelError(
            f"The weights of model {card.id!r} are damaged or not those its card names "
            f"(sha256 differs). Copy or install the model again: {folder / WEIGHTS_FILE}"
        )
    _check_header(raw, expected, card.id)
    try:
        tensors = load_tensors(raw)
    except SafetensorError as error:
        raise ModelError(f"The weights of model {card.id!r} are damaged: {error}.") from error
    network = build(card.network)
    network.load_state_dict(tensors)
    return card, network.eval()


def _read_weights(path: Path, expected: dict[str, tuple[int, ...]], model_id: str) -> bytes:
    """The file's content, once its size is known to be one that such a network can have."""
    limit = HEADER_LIMIT + 8 * sum(math.prod(shape) for shape in expected.values())
    try:
        if not path.is_file():
            raise ModelError(f"The weights of model {model_id!r} are missing: there is no file {path}.")
        if path.stat().st_size > limit:
            raise ModelError(f"The weights of model {model_id!r} do not fit its card: the file is too large.")
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"The weights of model {model_id!r} cannot be read: {error.strerror or error}.") from error


def _check_header(raw: bytes, expected: dict[str, tuple[int, ...]], model_id: str) -> None:
    """Compare names, shapes and dtypes in the file's header with those of the network in the card."""
    entries = _header(raw, model_id)
    found = {name: shape for name, (_, shape) in entries.items()}
    if found != expected:
        wrong = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise ModelError(
            f"The weights of model {model_id!r} do not fit its card; the first difference is {wrong[0]!r}."
        )
    odd = sorted({dtype for dtype, _ in entries.values()} - DTYPES.keys())
    if odd:
        raise ModelError(f"The weights of model {model_id!r} hold {', '.join(odd)} numbers, which none of ours does.")


def _header(raw: bytes, model_id: str) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Name to dtype and shape of each tensor, as the file claims."""
    length = int.from_bytes(raw[:8], "little")
    try:
        if len(raw) < 8 or length > min(HEADER_LIMIT, len(raw) - 8):
            raise ValueError("its header does not fit into it")
        header = json.loads(raw[8 : 8 + length])
        header.pop("__metadata__", None)
        return {name: (str(entry["dtype"]), tuple(entry["shape"])) for name, entry in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ModelError(f"The weights of model {model_id!r} are no safetensors file, or a damaged one.") from error


def save_network(folder: Path, card: ModelCard, network: IterativeNetwork) -> ModelCard:
    """Write card and weights into `folder`, each whole or not at all; returns the card with its sha256."""
    return save_state(folder, card, network.state_dict())


def save_new(folder: Path, card: ModelCard, state: dict[str, Tensor]) -> ModelCard:
    """Write a model into a folder that is not there yet; else as `save_state`.

    Raises
    ------
    ModelError
        When it cannot be written; then there is no such folder.
    """
    try:
        return save_state(folder, card, state)
    except OSError as error:
        with suppress(OSError):  # it was never made
            folder.rmdir()
        raise ModelError(why_not_written(folder, error)) from error


def save_state(folder: Path, card: ModelCard, state: dict[str, Tensor]) -> ModelCard:
    """Write a card and a network's ``state_dict``; the tensors are stored contiguous and on the CPU.

    Raises
    ------
    OSError
        When one of the files cannot be written; a model that was there before stays whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    raw = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in state.items()})
    card = card.model_copy(update={"sha256": hashlib.sha256(raw).hexdigest()})
    # the weights are on disk before the card that names them takes its place, and take theirs right after it
    with written_atomically(folder / WEIGHTS_FILE) as stream:
        stream.write(raw)
        stream.flush()
        os.fsync(stream.fileno())
        write_atomically(folder / CARD_FILE, (card.model_dump_json(indent=2) + os.linesep).encode())
    return card
