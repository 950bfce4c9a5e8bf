"""What a segmentation may begin from: a mask, an earlier prediction, and pixels that stay as they are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.images.image_input import ImageError
from napari_runet.images.prediction import Prediction
from napari_runet.inference.tiling import Tile
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork, Pins

_LEAST = 1e-4

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Start:
    """Where the recurrence begins, checked against image and model.

    Parameters
    ----------
    labels
        (Y, X) uint8 class ids, `UNKNOWN` where nothing is known; None for a mask of which nothing is known.
    foreground
        (K, Y, X) probabilities of the foreground classes, float32 or uint8, 255 times that: an iteration of an
        earlier prediction. It stands instead of `labels`.
    pinned
        (Y, X) uint8 class ids of the pixels that no iteration may change, `UNKNOWN` elsewhere; None for no such
        pixel.
    """

    labels: Labels | None = None
    foreground: npt.NDArray[Any] | None = None
    pinned: Labels | None = None

    def segmentation(self, tile: Tile, network: IterativeNetwork, pixels: Tensor) -> Tensor:
        """s_0 of a tile, (1, classes, Y, X), padded like its `pixels`; pinned pixels are not in it yet."""
        classes, initial = network.config.classes, network.config.initial_segmentation
        if self.foreground is not None:
            s = as_fed_back(with_background(self.foreground[:, tile.rows, tile.columns]), network)
        else:
            assert self.labels is not None, "nothing to start from"
            s = one_hot(self.labels[tile.rows, tile.columns], classes, initial)
        padded = functional.pad(s, _padding(s, pixels), mode="replicate").to(pixels)
        return padded.contiguous(memory_format=torch.channels_last)

    def pins(self, tile: Tile, network: IterativeNetwork, pixels: Tensor) -> Pins | None:
        """The pinned pixels of a tile, padded like its `pixels`; None where there are none."""
        if self.pinned is None:
            return None
        labels = self.pinned[tile.rows, tile.columns]
        known = torch.from_numpy(labels != UNKNOWN)[None, None]
        if not known.any():
            return None
        s = as_fed_back(one_hot(labels, network.config.classes, 0.0), network)
        padding = _padding(s, pixels)
        return Pins(functional.pad(known, padding).to(pixels.device), functional.pad(s, padding).to(pixels))


def set_pinned(foreground: npt.NDArray[Any], pinned: Labels) -> None:
    """Write the pinned pixels into probabilities of the foreground classes, (K, Y, X) float32 or uint8: certain."""
    certain = 255 if foreground.dtype == np.uint8 else 1
    where = pinned != UNKNOWN
    for number, plane in enumerate(foreground, 1):
        plane[where] = certain * (pinned[where] == number)


def with_background(foreground: npt.NDArray[Any]) -> Tensor:
    """Probabilities of all classes, (1, C, Y, X) float32, from those of the foreground classes, (K, Y, X)."""
    scale = 255 if foreground.dtype == np.uint8 else 1
    part = torch.from_numpy(np.ascontiguousarray(foreground).astype(np.float32)).unsqueeze(0) / scale
    return torch.cat([(1 - part.sum(dim=1, keepdim=True)).clamp(0, 1), part], dim=1)


def one_hot(labels: Labels, classes: int, unknown: float) -> Tensor:
    """Labels (Y, X) as (1, classes, Y, X) float32, `unknown` in every channel where they are unknown."""
    known = torch.from_numpy(labels != UNKNOWN)
    ids = torch.from_numpy(np.where(labels == UNKNOWN, 0, labels)).long()
    s = functional.one_hot(ids, classes).permute(2, 0, 1).unsqueeze(0).float()
    return torch.where(known, s, torch.tensor(unknown))


def as_fed_back(probabilities: Tensor, network: IterativeNetwork) -> Tensor:
    """What a network would feed back where it came to these probabilities."""
    return torch.log(probabilities.clamp(min=_LEAST)) if network.config.feedback == "logits" else probabilities


def _padding(s: Tensor, pixels: Tensor) -> tuple[int, int, int, int]:
    return 0, pixels.shape[-1] - s.shape[-1], 0, pixels.shape[-2] - s.shape[-2]


def read_start(
    start: Any | None, pinned: Any | None, shape: tuple[int, int], card: ModelCard, name: str = "image"
) -> Start | None:
    """Check what somebody wants a segmentation to begin from; None where it is nothing.

    Parameters
    ----------
    start
        (Y, X) labels, `UNKNOWN` where unknown, or yes/no; or a `Prediction`, whose last iteration is meant.
    pinned
        (Y, X) bool: the pixels of `start` that stay; or labels, `UNKNOWN` where nothing stays.
    shape
        (Y, X) of the image.
    card
        Of the model.
    name
        Of the image, for errors.

    Raises
    ------
    ImageError
        When sizes differ, a label is no class of the model, no pixel is known, or pixels are pinned that are not
        known.
    """
    foreground = labels = None
    if isinstance(start, Prediction):
        foreground = _foreground(start, shape, card, name)
    elif start is not None:
        labels = _labels("start mask", np.asarray(start), shape, card, name)
    pins = None if pinned is None else _pins(np.asarray(pinned), start, labels, shape, card, name)
    if labels is not None and pins is None and not (labels != UNKNOWN).any():
        raise ImageError(f"The start mask of {name} knows no pixel (all are 255); leave it out, or mark some pixels.")
    if foreground is None and labels is None and pins is None:
        return None
    return Start(labels, foreground, pins)


def _foreground(start: Prediction, shape: tuple[int, int], card: ModelCard, name: str) -> npt.NDArray[Any]:
    last: npt.NDArray[Any] = start.foreground[-1]
    _check_size("prediction to start from", last.shape[-2:], shape, name)
    if len(last) != len(card.classes) - 1:
        raise ImageError(
            f"The prediction to start from has {len(last)} foreground classes, {card.title} has "
            f"{len(card.classes) - 1}; start from one of the same model, or from a mask."
        )
    return last


def _pins(
    pinned: npt.NDArray[Any], start: Any, labels: Labels | None, shape: tuple[int, int], card: ModelCard, name: str
) -> Labels | None:
    """The labels of the pinned pixels, `UNKNOWN` elsewhere; None where none is pinned."""
    if pinned.dtype != np.bool_:
        pins = _labels("image of pinned pixels", pinned, shape, card, name)
        return pins if (pins != UNKNOWN).any() else None
    _check_size("image of pinned pixels", pinned.shape, shape, name)
    if not pinned.any():
        return None
    shown = start.labels_at(len(start.foreground)) if isinstance(start, Prediction) else labels
    if shown is None:
        raise ImageError("Pixels are pinned, and no start mask says what they are; give one, or pin labels.")
    unknown = int((shown[pinned] == UNKNOWN).sum())
    if unknown:
        raise ImageError(
            f"{unknown} pinned pixels of {name} are unknown (255) in its start mask; set them, or pin others."
        )
    return np.where(pinned, shown, UNKNOWN).astype(np.uint8)


def _labels(what: str, values: npt.NDArray[Any], shape: tuple[int, int], card: ModelCard, name: str) -> Labels:
    """A label image as uint8, checked."""
    _check_size(what, values.shape, shape, name)
    if values.dtype.kind not in "bui":
        raise ImageError(f"The {what} of {name} holds {values.dtype} values; labels are whole numbers.")
    odd = [int(label) for label in np.unique(values) if not (0 <= label < len(card.classes) or label == UNKNOWN)]
    if odd:
        known = ", ".join(f"{number} {info.name}" for number, info in enumerate(card.classes))
        raise ImageError(f"The {what} of {name} has label {odd[0]}; {card.title} knows {known}, and 255 is unknown.")
    return values.astype(np.uint8)


def _check_size(what: str, found: tuple[int, ...], shape: tuple[int, int], name: str) -> None:
    if tuple(found) != tuple(shape):
        sizes = " x ".join(map(str, found)), " x ".join(map(str, shape))
        raise ImageError(f"The {what} of {name} is {sizes[0]} pixels, the image is {sizes[1]}; give one of its size.")
