"""Small pictures of images with their masks, for the table of a batch."""

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from napari_runet.batch.output import PRIVATE_FOLDER
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.io.atomic import write_atomically
from napari_runet.models.card import ModelCard

SIDE = 96
OPACITY = 0.6


def thumbnail_path(folder: Path, name: str) -> Path:
    """Where the thumbnail of an image is kept in an output folder."""
    return folder / PRIVATE_FOLDER / "thumbnails" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.png"


def write_thumbnail(path: Path, image: ImageInput, labels: npt.NDArray[np.uint8], card: ModelCard) -> None:
    """Write a picture of at most `SIDE` x `SIDE` pixels as PNG.

    Parameters
    ----------
    path
        Its folder is made where it is missing.
    image
        Its first plane is drawn; a few rows of it are read.
    labels
        (Y, X) uint8, drawn over it in the colours of `card`.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    height, width = labels.shape
    stride = max(1, -(-max(height, width) // SIDE))
    rows = [image.plane(region=Region(y, 0, 1, width))[:, ::stride] for y in range(0, height, stride)]
    colours = _grey_or_colour(np.concatenate(rows))
    marked = _any_in_square(labels, stride)
    for number, info in enumerate(card.classes[1:], 1):
        colour = np.array([int(info.color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
        where = (marked == number)[..., np.newaxis]
        colours = np.where(where, (1 - OPACITY) * colours + OPACITY * colour, colours)
    stream = io.BytesIO()
    Image.fromarray(colours.astype(np.uint8)).save(stream, format="PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())


def _any_in_square(labels: npt.NDArray[np.uint8], stride: int) -> npt.NDArray[np.uint8]:
    """The highest label of each square, so that thin structures are not lost."""
    height, width = (-(-side // stride) for side in labels.shape)
    padded = np.zeros((height * stride, width * stride), np.uint8)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    return np.asarray(padded.reshape(height, stride, width, stride).max(axis=(1, 3)))


def _grey_or_colour(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """(Y, X, 3) float32 in [0, 255], stretched where the values are not those of a picture already."""
    values = np.nan_to_num(np.asarray(pixels, np.float32))
    if pixels.dtype != np.uint8:
        low, high = np.percentile(values, [1, 99])
        values = np.clip((values - low) / (high - low if high > low else 1), 0, 1) * 255
    three = values[..., :3] if values.shape[-1] >= 3 else np.repeat(values[..., :1], 3, axis=-1)
    return np.asarray(three, np.float32)
