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
    pixels = spaced_pixels(image, index).reshape(-1, min(image.channels, 3) if image.channels == 4 else image.channels)
    pixels = pixels.astype(np.float32)
    if not per_channel:
        pixels = np.repeat(pixels.reshape(-1, 1), pixels.shape[1], axis=1)
    lows, highs = [], []
    for channel in pixels.T:
        finite = channel[np.isfinite(channel)]
        if finite.size == 0:
            raise ImageError(f"{image.name} holds no finite number in this plane, so there is nothing to segment.")
        bottom, top = np.percentile(finite, [low, high])
        lows.append(bottom)
        highs.append(top)
    return IntensityRange(np.array(lows, np.float32), np.array(highs, np.float32))


def spaced_pixels(image: ImageInput, index: tuple[int, ...]) -> npt.NDArray[Any]:
    """(Y, X, C) pixels of a plane, evenly spaced, about `MEASURED_PIXELS`: all that its intensities depend on."""
    height, width = image.plane_shape
    stride = max(1, int(np.ceil(np.sqrt(height * width / MEASURED_PIXELS))))
    return image.plane(index, step=stride)


def normalise(pixels: npt.NDArray[Any], intensities: IntensityRange) -> npt.NDArray[np.float32]:
    """(Y, X, C) of any real dtype to float32 in [-2, 2], by ``2 (raw - low) / (high - low) - 1``.

    A channel without contrast becomes 0 and a pixel that is not finite becomes -1.
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
