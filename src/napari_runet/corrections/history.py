"""The strokes of a plane, so that an undo gives back what was known before them."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

Act = Literal["stroke", "undo", "redo"]


@dataclass(frozen=True, slots=True)
class Stroke:
    """The pixels that one stroke changed.

    Parameters
    ----------
    box
        Smallest box around them, an index into the plane.
    mask
        (h, w) bool within the box.
    before, after
        (n,) uint8: what the layer held, in the order of ``plane[box][mask]``.
    painted_before
        (n,) bool: which of them had been painted already.
    """

    box: tuple[slice, slice]
    mask: npt.NDArray[np.bool_]
    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    painted_before: npt.NDArray[np.bool_]

    def covers(self, box: tuple[slice, slice], mask: npt.NDArray[np.bool_]) -> bool:
        """Whether these are the same pixels."""
        return self.box == box and np.array_equal(self.mask, mask)


class StrokeHistory:
    """What can be undone and what can be redone, the latest last.

    Parameters
    ----------
    most
        Older strokes than this many are forgotten, as in napari's layers.
    """

    def __init__(self, most: int = 100) -> None:
        self.most = most
        self._done: list[Stroke] = []
        self._undone: list[Stroke] = []

    def add(self, stroke: Stroke) -> None:
        """Remember a new stroke; what was undone can no longer be redone."""
        self._done = [*self._done[-self.most + 1 :], stroke]
        self._undone.clear()

    def undo(self, box: tuple[slice, slice], mask: npt.NDArray[np.bool_], now: npt.NDArray[np.uint8]) -> Stroke | None:
        """The last stroke, when `now` at these pixels is exactly what it found."""
        if not self._done or not self._done[-1].covers(box, mask) or not np.array_equal(self._done[-1].before, now):
            return None
        self._undone.append(self._done.pop())
        return self._undone[-1]

    def redo(self, box: tuple[slice, slice], mask: npt.NDArray[np.bool_], now: npt.NDArray[np.uint8]) -> Stroke | None:
        """The stroke last undone, when `now` at these pixels is exactly what it left."""
        if not self._undone or not self._undone[-1].covers(box, mask):
            return None
        if not np.array_equal(self._undone[-1].after, now):
            return None
        self._done.append(self._undone.pop())
        return self._done[-1]

    def taken_back(
        self, box: tuple[slice, slice], mask: npt.NDArray[np.bool_], now: npt.NDArray[np.uint8], act: Act | None
    ) -> npt.NDArray[np.bool_] | None:
        """Which pixels are painted after a whole undo or redo; None when it is neither."""
        if act in (None, "undo"):
            stroke = self.undo(box, mask, now)
            if stroke is not None:
                return stroke.painted_before
        if act in (None, "redo") and self.redo(box, mask, now) is not None:
            return np.ones(len(now), bool)
        return None

    def before_earlier(
        self,
        shape: tuple[int, int],
        box: tuple[slice, slice],
        mask: npt.NDArray[np.bool_],
        now: npt.NDArray[np.uint8],
    ) -> npt.NDArray[np.bool_]:
        """Which pixels are painted after an undo of more than one stroke, which was added as the latest one.

        Each pixel is as it was before the latest of the earlier strokes that had found `now` there.

        Parameters
        ----------
        shape
            (Y, X) of the plane.
        """
        wanted = np.zeros(shape, np.uint8)
        wanted[box][mask] = now
        painted, open_ = np.ones(shape, bool), np.zeros(shape, bool)
        open_[box][mask] = True
        for stroke in reversed(self._done[:-1]):
            found = np.zeros(shape, bool)
            found[stroke.box][stroke.mask] = stroke.before == wanted[stroke.box][stroke.mask]
            found &= open_
            was = np.zeros(shape, bool)
            was[stroke.box][stroke.mask] = stroke.painted_before
            painted[found] = was[found]
            open_ &= ~found
            if not open_.any():
                break
        return painted[box][mask]

    def forget(self) -> None:
        """Nothing had been painted before any stroke: an undo of one makes its pixels unknown."""
        nowhere = [replace(stroke, painted_before=np.zeros_like(stroke.painted_before)) for stroke in self._done]
        self._done = nowhere
