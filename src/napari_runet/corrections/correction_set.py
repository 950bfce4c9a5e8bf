"""All that a person said about one image plane, kept up stroke by stroke.

The rule, pixel by pixel:

- A stroke makes the pixels whose label it changed *painted*.
- An undo gives back what was known before the stroke: a pixel that nobody had painted before is unknown again, one
  that had been painted stays so, with its earlier label. A redo paints again.
- A pixel inside a reviewed region is known, whatever is painted or undone in it, until the region is taken back.
- A known pixel always has the label that the layer shows there.

Painting a pixel back by hand to what it was is not an undo: it says that the pixel is right as it was.
"""

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.correction import (
    PAINTED,
    REVIEWED,
    UNKNOWN,
    Change,
    Correction,
    Counts,
    bounding_box,
    inside,
)
from napari_runet.corrections.history import Act, Stroke, StrokeHistory
from napari_runet.images.image_input import Region


class CorrectionSet:
    """What is known about the pixels of one plane.

    Parameters
    ----------
    shape
        (Y, X) of the plane.
    index
        The plane's position in its stack; empty for a single image.

    Attributes
    ----------
    labels
        (Y, X) uint8 class ids, `UNKNOWN` where nobody said anything.
    flags
        (Y, X) uint8: `PAINTED` and `REVIEWED`, or both added, or 0.
    regions
        The reviewed regions.
    classes
        What the class ids mean, by name, the background first; empty where nobody said.
    """

    def __init__(self, shape: tuple[int, int], index: tuple[int, ...] = ()) -> None:
        self.shape = shape
        self.index = index
        self.labels = np.full(shape, UNKNOWN, np.uint8)
        self.flags = np.zeros(shape, np.uint8)
        self.regions: tuple[Region, ...] = ()
        self.classes: tuple[str, ...] = ()
        self._history = StrokeHistory()
        self._tally: npt.NDArray[np.int64] | None = None  # see `_tally_of`; kept up, for planes may be large

    @property
    def correction(self) -> Correction:
        """A copy of what is known now."""
        return Correction(self.labels.copy(), self.index)

    @property
    def digest(self) -> str:
        """sha256 of what is known now."""
        return Correction(self.labels, self.index).digest

    @property
    def counts(self) -> Counts:
        """How many pixels were painted as foreground and as background, and how many regions reviewed."""
        if self._tally is None:
            self._tally = _tally_of(self.labels, self.flags)
        painted, removed, known = self._tally.tolist()
        return Counts(painted - removed, removed, len(self.regions), known)

    def pin(self, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """A copy of `labels`, (..., Y, X), with every known pixel as the person set it."""
        return Correction(self.labels, self.index).pin(labels)

    def update_from_difference(
        self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], act: Act | None = None
    ) -> Change | None:
        """Take over what a stroke, an undo or a redo changed in the layer.

        Parameters
        ----------
        before, after
            (Y, X) labels that the layer held before and holds now.
        act
            What it was. None: it is an undo (redo) where it exactly takes back the last stroke (repeats the
            one last undone), else a stroke.

        Returns
        -------
        What changed, for the journal; None where the layer holds the same as before.

        Raises
        ------
        ValueError
            When the shapes differ from the plane's, or a label is negative or above 254.
        """
        self._check(before)
        self._check(after)
        different = before != after
        box = bounding_box(different)
        if box is None:
            return None
        mask = different[box].copy()
        now = _labels(after[box][mask])
        painted = self._history.taken_back(box, mask, now, act)
        if painted is None:
            was = (self.flags[box][mask] & PAINTED) != 0
            self._history.add(Stroke(box, mask, _labels(before[box][mask]), now, was))
            painted = np.ones(len(now), bool)
            if act == "undo":
                painted = self._history.before_earlier(self.shape, box, mask, now)
        flags = ((self.flags[box][mask] & REVIEWED) | np.where(painted, PAINTED, 0)).astype(np.uint8)
        return self._set(box, mask, np.where(flags != 0, now, UNKNOWN).astype(np.uint8), flags)

    def review(self, region: Region, shown: npt.NDArray[np.uint8]) -> Change:
        """Take everything inside a region as right.

        Parameters
        ----------
        region
            A box, perhaps masked, within the plane.
        shown
            (Y, X): what the layer holds.

        Raises
        ------
        ValueError
            When the region has no pixel within the plane, or shapes do not fit.
        """
        self._check(shown)
        box, mask = inside(region, self.shape)
        self.regions = (*self.regions, region)
        flags = (self.flags[box][mask] | REVIEWED).astype(np.uint8)
        return self._set(box, mask, _labels(shown[box][mask]), flags, regions=True)

    def take_back_review(self, number: int) -> Change:
        """Remove the reviewed region at position `number`; what was painted in it, or lies in another one, stays."""
        box, mask = inside(self.regions[number], self.shape)
        self.regions = self.regions[:number] + self.regions[number + 1 :]
        still = np.zeros(self.shape, bool)
        for region in self.regions:
            part, within = inside(region, self.shape)
            still[part] |= within
        flags = ((self.flags[box][mask] & PAINTED) | np.where(still[box][mask], REVIEWED, 0)).astype(np.uint8)
        labels = np.where(flags != 0, self.labels[box][mask], UNKNOWN).astype(np.uint8)
        return self._set(box, mask, labels, flags, regions=True)

    def forget(self) -> Change:
        """Make every pixel unknown and take back every review."""
        self.regions = ()
        self._history.forget()
        everything = np.ones(self.shape, bool)
        nothing = np.zeros(everything.size, np.uint8)
        unknown = np.full(everything.size, UNKNOWN, np.uint8)
        box = slice(0, self.shape[0]), slice(0, self.shape[1])
        return self._set(box, everything, unknown, nothing, regions=True)

    def apply(self, change: Change) -> None:
        """Repeat a change that was made to another copy, such as one from the journal; it cannot be undone.

        Raises
        ------
        ValueError
            When it was made on a plane of another shape or position.
        """
        if change.shape != self.shape or change.index != self.index:
            place = f"{change.shape} at {change.index}"
            raise ValueError(f"The change belongs to a plane {place}, this one is {self.shape} at {self.index}.")
        self._write(change.box, change.mask, change.labels, change.flags)
        if change.regions is not None:
            self.regions = change.regions
        self.classes = change.classes or self.classes

    def snapshot(self) -> Change:
        """One change that makes an empty set equal to this one."""
        box = bounding_box(self.flags != 0) or (slice(0, 0), slice(0, 0))
        mask = self.flags[box] != 0
        return self._change(box, mask, self.regions)

    def _set(
        self,
        box: tuple[slice, slice],
        mask: npt.NDArray[np.bool_],
        labels: npt.NDArray[np.uint8],
        flags: npt.NDArray[np.uint8],
        *,
        regions: bool = False,
    ) -> Change:
        self._write(box, mask, labels, flags)
        return self._change(box, mask, self.regions if regions else None)

    def _write(
        self,
        box: tuple[slice, slice],
        mask: npt.NDArray[np.bool_],
        labels: npt.NDArray[np.uint8],
        flags: npt.NDArray[np.uint8],
    ) -> None:
        if self._tally is not None:
            gone = _tally_of(self.labels[box][mask], self.flags[box][mask])
            self._tally = self._tally - gone + _tally_of(labels, flags)
        self.labels[box][mask] = labels
        self.flags[box][mask] = flags

    def _change(
        self, box: tuple[slice, slice], mask: npt.NDArray[np.bool_], regions: tuple[Region, ...] | None
    ) -> Change:
        labels, flags = self.labels[box][mask], self.flags[box][mask]
        corner = box[0].start, box[1].start
        return Change(self.index, self.shape, *corner, mask, labels, flags, regions, self.classes)

    def _check(self, labels: npt.NDArray[np.uint8]) -> None:
        if labels.shape != self.shape:
            raise ValueError(f"The labels are {labels.shape}, the plane that is corrected is {self.shape}.")


def _tally_of(labels: npt.NDArray[np.uint8], flags: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """How many pixels are painted, painted as background, and known."""
    painted = (flags & PAINTED) != 0
    return np.array([painted.sum(), (painted & (labels == 0)).sum(), np.count_nonzero(flags)], np.int64)


def _labels(values: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Labels as uint8.

    Raises
    ------
    ValueError
        When one is negative or above 254.
    """
    if values.size and (int(values.min()) < 0 or int(values.max()) >= UNKNOWN):
        raise ValueError(f"A label is {int(values.max())}; classes are numbered from 0 to {UNKNOWN - 1}.")
    return values.astype(np.uint8)
