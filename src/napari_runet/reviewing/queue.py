"""Which places of a plane are still to be seen."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from napari_runet.reviewing.doubt import Doubt
from napari_runet.reviewing.places import Place, rank

SETTLED = 0.5
"""A place is settled when a person has set pixels that hold this share of its doubt."""


class ReviewQueue:
    """The places of one plane, in order; one that was seen, or that a person corrected or reviewed, is over.

    Parameters
    ----------
    found
        How doubtful each pixel is.
    seen
        Middles (row, column) of places that were seen before, perhaps in an earlier prediction of the same plane.
    """

    def __init__(self, found: Doubt, seen: Sequence[tuple[float, float]] = ()) -> None:
        self.doubt = found
        self.places = rank(found)
        self.seen: list[tuple[float, float]] = list(seen)

    def left(self, known: npt.NDArray[np.bool_] | None = None) -> list[Place]:
        """The places still to be seen, the most doubtful first.

        Parameters
        ----------
        known
            (Y, X) bool: the pixels that a person painted or reviewed by now.
        """
        return [place for place in self.places if not self._is_over(place, known)]

    def mark_seen(self, place: Place) -> None:
        """Never come back to a place."""
        self.seen.append(place.centre)

    def _is_over(self, place: Place, known: npt.NDArray[np.bool_] | None) -> bool:
        if any(_holds(place, *middle) for middle in self.seen):
            return True
        if known is None:
            return False
        set_by_person = known[place.box]
        if not set_by_person.any():
            return False
        if set_by_person[_middle(place)].any():
            return True
        doubt = self.doubt.score[place.box].astype(float)
        return float(doubt[set_by_person].sum()) >= SETTLED * float(doubt.sum())


def _holds(place: Place, y: float, x: float) -> bool:
    return place.y <= y < place.y + place.height and place.x <= x < place.x + place.width


def _middle(place: Place) -> tuple[slice, slice]:
    """The inner half of a place's box, along both directions."""
    return (
        slice(place.height // 4, place.height - place.height // 4),
        slice(place.width // 4, place.width - place.width // 4),
    )
