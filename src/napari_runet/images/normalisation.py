"""Raw intensities to network input, as a model's card says; numpy only."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import ImageError, ImageInput

MEASURED_PIXELS = 1 << 20
"""Intensities are measured on at most about this many pixels of a plane, evenly spaced."""


@dataclass(frozen=True, slots=True)
class IntensityRange:
    """`low` and `high`, each (C,) float32: what -1 and +1 of the network's input mean."""

    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]


def measure_range(
    image: ImageInput, index: tuple[int, ...], low: float, high: float, *, per_channel: bool
) -> IntensityRange:
    """Percentiles of a plane's finite pixels.

    Parameters
    ----------
    image, index
        The plane. It is read whole unless it is larger than `MEASURED_PIXELS`, where evenly spaced rows and
        columns are taken.
    low, high
        Percentiles, 0 to 100.
    per_channel
        Measure each channel on its own.

    Raises
    ------
    ImageError
        When no pixel is finite.
    """
    pixels = spaced_pixels(image, index)
    count = pixels.shape[-1]
    channels = pixels.reshape(-1, count).T if per_channel else pixels.reshape(1, -1)
    ranges = np.array([_percentiles(channel, (low, high), image.name) for channel in channels], np.float32)
    lows, highs = np.broadcast_to(ranges, (count, 2)).T.copy()
    return IntensityRange(lows, highs)


def _percentiles(values: npt.NDArray[Any], wanted: tuple[float, float], name: str) -> npt.NDArray[np.float64]:
    """Percentiles of the finite ones of (n,) values, interpolated linearly."""
    if values.dtype in (np.uint8, np.uint16):  # few different ones: counted, which is much faster than put in order
        up_to = np.bincount(values).cumsum()
        place = np.array(wanted) / 100 * (values.size - 1)
        lower, upper = (np.searchsorted(up_to, rank, side="right") for rank in (np.floor(place), np.ceil(place)))
        return np.asarray(lower + (upper - lower) * (place - np.floor(place)))
    finite = values.astype(np.float32)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        raise ImageError(f"{name} holds no finite number in this plane, so there is nothing to segment.")
    return np.asarray(np.percentile(finite, wanted), np.float64)


def spaced_pixels(image: ImageInput, index: tuple[int, ...]) -> npt.NDArray[Any]:
    """(Y, X, C) pixels of a plane, evenly spaced, about `MEASURED_PIXELS`: all that its intensities depend on."""
    height, width = image.plane_shape
    stride = max(1, int(np.ceil(np.sqrt(height * width / MEASURED_PIXELS))))
    return image.plane(index, step=stride)


def normalise(pixels: npt.NDArray[Any], intensities: IntensityRange) -> npt.NDArray[np.float32]:
    """(Y, X, C) of any real dtype to float32 in [-2, 2], by ``2 (raw - low) / (high - low) - 1``.

    A channel without contrast becomes 0; a pixel that is no number becomes -1, an infinite one the nearest bound.
    """
    span = intensities.high - intensities.low
    scale = np.where(span > 0, 2 / np.where(span > 0, span, 1), 0).astype(np.float32)
    offset = np.where(span > 0, -1 - scale * intensities.low, 0).astype(np.float32)
    values = np.array(pixels, np.float32, order="C")
    height, width, channels = values.shape
    rows = values.reshape(height, width * channels)  # as long as vector instructions like it
    rows *= np.tile(scale, width)
    rows += np.tile(offset, width)
    if pixels.dtype.kind == "f":
        np.copyto(rows, -1, where=np.isnan(rows))
    np.clip(rows, -2, 2, out=rows)
    return values
