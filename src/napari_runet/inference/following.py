"""Following time: a frame of a movie begins from the mask of the frame before, unless the scene has cut."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.pixel_size import PixelSize
from napari_runet.images.thresholding import quantise
from napari_runet.inference.iterations import Iteration
from napari_runet.inference.starting import Start
from napari_runet.models.card import ModelCard
from napari_runet.settings import SegmentationSettings

_BLOCKS = 16
CUT = 0.15
"""One less the correlation of two frames' coarse pictures, from which on they are of two scenes.

On drawn movies it is at most 0.08 within scenes that move three times as fast as a hand does, and 0.28 and more where
they cut.
"""


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a frame begins from.

    Parameters
    ----------
    iterations
        How many it gets.
    start
        The mask of the frame before; None where it begins anew.
    pixel_size
        By how much the frame before was rescaled for the network; None where that is to be estimated.
    """

    iterations: int
    start: Start | None = None
    pixel_size: PixelSize | None = None


class TimeFollower:
    """Says what each frame begins from; frames come one after the other.

    Within a scene all frames are seen at the pixel size of its first, which is estimated once.

    Only the mask is carried on, not the hidden state: with the state of the frame before, masks are a little worse.

    Parameters
    ----------
    card
        The model.
    settings
        How many iterations a frame gets that begins anew, and one that goes on.
    """

    def __init__(self, card: ModelCard, settings: SegmentationSettings) -> None:
        self._anew = settings.iterations or card.iterations
        self._going_on = min(settings.follow_iterations, self._anew)
        self._picture: npt.NDArray[np.float64] | None = None
        self._box: object = None
        self._mask: npt.NDArray[Any] | None = None
        self._pixel_size: PixelSize | None = None

    def begin(self, image: ImageInput, index: tuple[int, ...] = (), region: Region | None = None) -> Beginning:
        """What a frame begins from."""
        picture = coarse_picture(image.plane(index))
        box = (image.plane_shape, region.slices if region is not None else None)
        before, mask = self._picture, self._mask
        goes_on = mask is not None and before is not None and box == self._box and not is_cut(before, picture)
        self._picture, self._box, self._mask = picture, box, None
        if not goes_on:
            return Beginning(self._anew)
        return Beginning(self._going_on, Start(foreground=mask), self._pixel_size)

    def end(self, last: Iteration) -> None:
        """The frame's last iteration; where it is not told, the next frame begins anew."""
        # always as uint8, so that a frame does not depend on what the caller wants the masks as
        self._mask = last.foreground if last.foreground.dtype == np.uint8 else quantise(last.foreground)
        self._pixel_size = last.pixel_size


class Movies:
    """The followers of movies, by name: of one at a time, which is begun anew when another comes."""

    def __init__(self) -> None:
        self._name = ""
        self._follower: TimeFollower | None = None

    def follower(self, name: str, card: ModelCard, settings: SegmentationSettings) -> TimeFollower | None:
        """That of a movie; None for a plane that belongs to none, whose name is empty."""
        if not name:
            return None
        if self._follower is None or name != self._name:
            self._name, self._follower = name, TimeFollower(card, settings)
        return self._follower


def coarse_picture(plane: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """A plane (Y, X, C) as means over 16 x 16 blocks (fewer where it is smaller), values that are not finite as 0."""
    cuts = [np.linspace(0, length, min(_BLOCKS, length) + 1).astype(int) for length in plane.shape[:2]]
    values = np.nan_to_num(plane.astype(np.float32), nan=0, posinf=0, neginf=0)
    sums = np.add.reduceat(np.add.reduceat(values, cuts[0][:-1], axis=0), cuts[1][:-1], axis=1)
    sizes = np.outer(np.diff(cuts[0]), np.diff(cuts[1]))
    means: npt.NDArray[np.float64] = sums.astype(np.float64) / sizes[..., np.newaxis]
    return means


def is_cut(before: npt.NDArray[np.float64], now: npt.NDArray[np.float64]) -> bool:
    """Whether two coarse pictures are of two scenes."""
    first, second = (picture.ravel() - picture.mean() for picture in (before, now))
    strength = float(np.sqrt((first @ first) * (second @ second)))
    if strength == 0:  # a picture without contrast
        return not np.array_equal(before, now)
    return 1 - float(first @ second) / strength > CUT
