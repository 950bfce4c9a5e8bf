"""Values: what is known about the pixels of a plane, and one change of it."""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.images.image_input import Region
from napari_runet.wording import counted

UNKNOWN = 255
"""Label of a pixel that no person gave a class."""
PAINTED = 1
"""Flag of a pixel that a stroke changed."""
REVIEWED = 2
"""Flag of a pixel inside a reviewed region."""
SQUARE = 2048
"""Rows and columns of the squares in which planes are corrected that are too large to be held.

The index of a square is that of its plane, followed by 0 (the finest level), its row and its column of squares.
"""


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
    classes
        What the class ids mean, by name, the background first; empty where nobody said.
    """

    index: tuple[int, ...]
    shape: tuple[int, int]
    y: int
    x: int
    mask: npt.NDArray[np.bool_]
    labels: npt.NDArray[np.uint8]
    flags: npt.NDArray[np.uint8]
    regions: tuple[Region, ...] | None = None
    classes: tuple[str, ...] = ()

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
        regions = f"{counted(self.reviewed_regions, 'region')} reviewed"
        return f"{self.added} px added, {self.removed} removed, {regions}"


def bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice] | None:
    """The smallest box that holds all True pixels of a plane; None where there are none."""
    rows = np.flatnonzero(mask.any(axis=1))
    if rows.size == 0:
        return None
    part = mask[rows[0] : rows[-1] + 1]
    columns = np.flatnonzero(part.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def inside(region: Region, shape: tuple[int, int]) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """The part of a region that lies within a plane of a shape (Y, X): its box, and its mask in it.

    Raises
    ------
    ValueError
        When there is no such part.
    """
    y0, x0 = max(0, region.y), max(0, region.x)
    y1, x1 = min(shape[0], region.y + region.height), min(shape[1], region.x + region.width)
    if y1 <= y0 or x1 <= x0:
        raise ValueError("The region lies outside the image; draw it on the image.")
    mask = np.ones((y1 - y0, x1 - x0), bool)
    if region.mask is not None:
        mask = region.mask[y0 - region.y : y1 - region.y, x0 - region.x : x1 - region.x].copy()
    if not mask.any():
        raise ValueError("The region holds no pixel of the image; draw a larger one.")
    return (slice(y0, y1), slice(x0, x1)), mask
