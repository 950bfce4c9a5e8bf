"""Fitting an image's channels to those a network reads."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import ImageError


def match_channels(pixels: npt.NDArray[np.floating[Any]], wanted: int, name: str) -> npt.NDArray[np.floating[Any]]:
    """Repeat a grey channel, or average three colours to grey, so that (Y, X, C) has `wanted` channels.

    Raises
    ------
    ImageError
        When neither makes sense.
    """
    channels = pixels.shape[-1]
    if channels == wanted:
        return pixels
    if channels == 1:
        return np.broadcast_to(pixels, (*pixels.shape[:-1], wanted))
    if wanted == 1 and channels == 3:
        grey: npt.NDArray[np.floating[Any]] = pixels.mean(axis=-1, keepdims=True)
        return grey
    raise ImageError(f"{name} has {channels} channels, the model reads {wanted}; choose the channels it was made for.")
