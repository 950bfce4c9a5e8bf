"""The most doubtful places of a plane, in the order in which a person should look at them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from napari_runet.images.prediction import Prediction
from napari_runet.reviewing.doubt import TITLES, Doubt, doubt

MOST_PLACES = 50
SHARE_OF_PLANE = 0.05
"""Side of a place, as a share of the square root of the plane's pixels."""
SIDES = 24, 128
"""The smallest and the largest side of a place, in pixels."""
_BLOCKS = 4
_FIRST = 10


@dataclass(frozen=True, slots=True)
class Place:
    """A box to look at.

    Parameters
    ----------
    y, x, height, width
        In pixels of the plane.
    score
        Mean doubt of its pixels, in [0, 1].
    parts
        What each part of `napari_runet.reviewing.doubt` contributes to the score.
    """

    y: int
    x: int
    height: int
    width: int
    score: float
    parts: Mapping[str, float]

    @property
    def box(self) -> tuple[slice, slice]:
        """The box as an index into the plane."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column of its middle."""
        return self.y + (self.height - 1) / 2, self.x + (self.width - 1) / 2

    @property
    def reason(self) -> str:
        """Why to look here, for people: the parts that count, the heaviest first, with their share of the score."""
        total = sum(self.parts.values())
        shares = sorted(((value / total, name) for name, value in self.parts.items() if value > 0), reverse=True)
        told = [f"{TITLES[name]} {share:.0%}" for share, name in shares if share >= 0.05]
        return ", ".join(told) or "nothing stands out"


def doubtful_places(
    prediction: Prediction, settled: npt.NDArray[np.bool_] | None = None, most: int = MOST_PLACES
) -> list[Place]:
    """Where a person should look first, the most doubtful place first.

    Parameters
    ----------
    prediction
        From `napari_runet.segment`.
    settled
        (Y, X) bool: pixels that need no look, such as those that somebody corrected.
    most
        At most this many places.

    Raises
    ------
    ValueError
        When `settled` has another shape than the prediction's planes.
    """
    foreground = prediction.foreground
    if settled is not None and settled.shape != foreground.shape[-2:]:
        raise ValueError(f"The settled pixels are {settled.shape}, the prediction is {foreground.shape[-2:]}.")
    before = foreground[-2] if len(foreground) > 1 else None
    return rank(doubt(foreground[-1], before, prediction.threshold, settled), most)


def side_of_places(shape: tuple[int, int]) -> int:
    """How large the places of a plane are, in pixels; a multiple of 4."""
    wanted = SHARE_OF_PLANE * float(np.sqrt(shape[0] * shape[1]))
    return _BLOCKS * round(float(np.clip(wanted, *SIDES)) / _BLOCKS)


def rank(found: Doubt, most: int = MOST_PLACES, least: float = 0.0) -> list[Place]:
    """The most doubtful places, which do not overlap; the most doubtful first.

    Parameters
    ----------
    found
        How doubtful each pixel is.
    most
        At most this many.
    least
        Mean doubt that a place has at least, in [0, 1].
    """
    side = side_of_places(found.score.shape)
    block = side // _BLOCKS
    left = _window_sums(_block_sums(found.score, block))
    places: list[Place] = []
    while len(places) < most:
        row, column = (int(i) for i in np.unravel_index(int(left.argmax()), left.shape))
        y, x = row * block, column * block
        height, width = min(side, found.score.shape[0] - y), min(side, found.score.shape[1] - x)
        score = float(left[row, column]) / (255 * side * side)
        if score <= least:
            break
        places.append(Place(y, x, height, width, score, found.parts(slice(y, y + height), slice(x, x + width))))
        near = slice(max(0, row - _BLOCKS + 1), row + _BLOCKS), slice(max(0, column - _BLOCKS + 1), column + _BLOCKS)
        left[near] = 0
    return places


def doubt_of_plane(places: Sequence[Place]) -> float:
    """How much a plane needs a look, to tell which of several comes first: the mean score of its first ten places."""
    return sum(place.score for place in places[:_FIRST]) / _FIRST


def _block_sums(score: npt.NDArray[np.uint8], block: int) -> npt.NDArray[np.int64]:
    """Sums over squares of `block` pixels, those at the lower and right border smaller."""
    rows, columns = np.arange(0, score.shape[0], block), np.arange(0, score.shape[1], block)
    across = np.stack([score[row : row + block].sum(axis=0, dtype=np.int64) for row in rows])
    return np.add.reduceat(across, columns, axis=1)


def _window_sums(blocks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sums over every window of 4 x 4 blocks (fewer where there are fewer), by its first block."""
    sums = np.pad(np.cumsum(np.cumsum(blocks, axis=0), axis=1), ((1, 0), (1, 0)))
    height, width = (min(_BLOCKS, length) for length in blocks.shape)
    whole = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    return np.asarray(whole)
