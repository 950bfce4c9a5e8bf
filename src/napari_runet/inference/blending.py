"""Putting a plane together from its tiles, in memory that grows with its width and not with its area."""

from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.thresholding import quantise
from napari_runet.inference.starting import Labels, set_pinned
from napari_runet.inference.tiling import Tile
from napari_runet.io.scratch import RowStore

_ROWS = 128


class BlendedPlane:
    """Weighted tiles, added up in float32 in the strip of rows that still changes, and kept as uint8 above it.

    ::

        done     rows above the current row of tiles: round(255 p)
        strip    the rows of the current row of tiles: float32, added to
        to come

    Parameters
    ----------
    shape
        (K, Y, X) of the whole: the foreground classes, rows and columns.
    strip_rows
        Rows of a tile.
    quantised
        Keep uint8 round(255 p); else float32.
    pinned
        (Y, X) uint8 labels of the pixels that are certain, `UNKNOWN` elsewhere.
    """

    def __init__(
        self, shape: tuple[int, int, int], strip_rows: int, *, quantised: bool, pinned: Labels | None = None
    ) -> None:
        self._shape, self._quantised, self._pinned = shape, quantised, pinned
        self._store = RowStore(shape, np.uint8 if quantised else np.float32)
        self._strip = np.zeros((shape[0], strip_rows, shape[2]), np.float32)
        self._top = 0

    def add(self, tile: Tile, probabilities: npt.NDArray[np.float32]) -> None:
        """Add a tile's probabilities (K, height, width); tiles come row by row from the top."""
        if probabilities.shape == self._shape:  # all of it: nothing to blend
            self._keep(0, probabilities)
            self._top = tile.height
            return
        self._complete(tile.rows.start)
        rows = slice(tile.rows.start - self._top, tile.rows.stop - self._top)
        self._strip[:, rows, tile.columns] += probabilities * tile.weight

    def finish(self) -> npt.NDArray[Any]:
        """The whole plane (K, Y, X), read-only."""
        self._complete(self._shape[1])
        return self._store.finish()

    def _complete(self, row: int) -> None:
        """Hand the rows above `row` to the store, and move the rest of the strip up."""
        count = row - self._top
        if count <= 0:
            return
        self._keep(self._top, self._strip[:, :count])
        kept = self._strip.shape[1] - count
        self._strip[:, :kept] = self._strip[:, count:].copy()
        self._strip[:, kept:] = 0
        self._top = row

    def _keep(self, top: int, rows: npt.NDArray[np.float32]) -> None:
        """Hand finished rows (K, n, X), from row `top` on, to the store."""
        for start in range(0, rows.shape[1], _ROWS):
            part, first = rows[:, start : start + _ROWS], top + start
            found: npt.NDArray[Any] = quantise(part) if self._quantised else part
            if self._pinned is not None:
                found = found.copy()
                set_pinned(found, self._pinned[first : first + found.shape[1]])
            self._store.write(first, found)
