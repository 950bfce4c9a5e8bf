"""Values: what is known about the pixels of a plane, and one change of it."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import Region

UNKNOWN = 255
"""Label of a pixel that no person gave a class."""
PAINTED = 1
"""Flag of a pixel that a stroke changed."""
REVIEWED = 2
"""Flag of a pixel inside a reviewed region."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Labels that a person gave, and where: everything else is unknown, not background.

    Parameters
    ----------
    labels
        (Y, X) uint8 class ids, `UNKNOWN` where no person said anything.
    index
        The plane's position on each axis that is stepped through; empty for a single image.
    """

    labels: npt.NDArray[np.uint8]
    index: tuple[int, ...] = ()

    @property
    def where(self) -> npt.NDArray[np.bool_]:
        """(Y, X) bool: the pixels that are known."""
        return np.asarray(self.labels != UNKNOWN)

    @property
    def digest(self) -> str:
        """sha256 of shape, plane and labels."""
        header = repr((self.labels.shape, self.index)).encode()
        return hashlib.sha256(header + np.ascontiguousarray(self.labels).tobytes()).hexdigest()

    def pin(self, labels: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """A copy of `labels`, (..., Y, X), with every known pixel as the person set it.

        Raises
        ------
        ValueError
            When its planes have another shape.
        """
        if labels.shape[-2:] != self.labels.shape:
            raise ValueError(f"The correction is {self.labels.shape}, the labels are {labels.shape[-2:]}.")
        return np.where(self.where, self.labels.astype(labels.dtype), labels)


@dataclass(frozen=True, slots=True)
class Change:
    """What became known, or unknown again, by one act: enough to repeat it on a copy.

    Parameters
    ----------
    index
        Of the plane.
    shape
        (Y, X) of the plane.
    y, x
        First row and column of the box that `mask` covers.
    mask
        (h, w) bool: the pixels that changed.
    labels, flags
        (n,) uint8: their new labels and flags, in the order of ``plane[box][mask]``.
    regions
        The plane's reviewed regions after the change, None where they stay as they are.
    """

    index: tuple[int, ...]
    shape: tuple[int, int]
    y: int
    x: int
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    regions: tuple[Region, ...] | None = None

    @property
    def box(self) -> tuple[slice, slice]:
        """The box as an index into the plane."""
        height, width = self.mask.shape
        return slice(self.y, self.y + height), slice(self.x, self.x + width)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was corrected: painted pixels by what they became, and reviewed regions."""

    added: int
    removed: int
    reviewed_regions: int
    known: int

    def __str__(self) -> str:
        regions = f"{self.reviewed_regions} region{'' if self.reviewed_regions == 1 else 's'} reviewed"
        return f"{self.added} px added, {self.removed} removed, {regions}"


def bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The smallest box that holds all True pixels of a plane; None where there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    part = mask[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(part.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
