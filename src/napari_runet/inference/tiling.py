r"""Cutting a plane into overlapping tiles, and blending what comes back without a seam.

::

    |<-------- tile 0 -------->|
                     |<-------- tile 1 -------->|
    weight 0: 1 1 1 1 1 \ \ 0
    weight 0: 1 1 1 1 1 \\ \\ 0
    weight 1:         0 / / 1 1 1 1 1            the weights of all tiles add up to 1 at every pixel
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_STEP = 16
"""Networks pad to a multiple of this."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One box of the plane, and how much each of its pixels counts.

    `rows` and `columns` index the plane; `row_weights` (height,) and `column_weights` (width,) are float32.
    """

    rows: slice
    columns: slice
    row_weights: npt.NDArray[np.float32]
    column_weights: npt.NDArray[np.float32]

    @property
    def height(self) -> int:
        """Number of rows."""
        return len(self.row_weights)

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.column_weights)

    @property
    def weight(self) -> npt.NDArray[np.float32]:
        """(height, width) float32, the product of the two directions."""
        return np.outer(self.row_weights, self.column_weights)


def spans(length: int, tile: int, overlap: int) -> list[tuple[int, int]]:
    """Start and stop of the tiles along one direction, all of the same length, evenly spread.

    As few as `tile` allows, and then as short as `overlap` allows (in steps of `_STEP`), so that no pixel is
    computed more often than needed. Neighbours overlap by at least `overlap`; a `length` of at most `tile` is
    one span.
    """
    if length <= tile:
        return [(0, length)]
    if overlap >= tile:
        raise ValueError(f"tiles of {tile} pixels cannot overlap by {overlap}")
    count = int(np.ceil((length - overlap) / (tile - overlap)))
    least = int(np.ceil((length + (count - 1) * overlap) / count))
    size = min(tile, -(-least // _STEP) * _STEP)
    starts = np.rint(np.linspace(0, length - size, count)).astype(int)
    return [(int(start), int(start) + size) for start in starts]


def blending_weights(length: int, parts: list[tuple[int, int]]) -> list[npt.NDArray[np.float32]]:
    """A weight for each pixel of each span, falling off linearly where spans overlap; they add up to 1."""
    ramps = []
    total = np.zeros(length, np.float64)
    for index, (start, stop) in enumerate(parts):
        size = stop - start
        ramp = np.ones(size, np.float64)
        if index > 0:
            shared = parts[index - 1][1] - start
            ramp[:shared] = np.minimum(ramp[:shared], (np.arange(shared) + 0.5) / shared)
        if index < len(parts) - 1:
            shared = stop - parts[index + 1][0]
            ramp[size - shared :] = np.minimum(ramp[size - shared :], (np.arange(shared)[::-1] + 0.5) / shared)
        ramps.append(ramp)
        total[start:stop] += ramp
    return [(ramp / total[start:stop]).astype(np.float32) for ramp, (start, stop) in zip(ramps, parts, strict=True)]


def tiles(height: int, width: int, size: int, overlap: int) -> Iterator[Tile]:
    """Cover a plane row by row with tiles of at most `size`."""
    row_spans, column_spans = spans(height, size, overlap), spans(width, size, overlap)
    row_weights, column_weights = blending_weights(height, row_spans), blending_weights(width, column_spans)
    for rows, row_weight in zip(row_spans, row_weights, strict=True):
        for columns, column_weight in zip(column_spans, column_weights, strict=True):
            yield Tile(slice(*rows), slice(*columns), row_weight, column_weight)
