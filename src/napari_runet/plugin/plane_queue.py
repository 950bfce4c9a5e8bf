"""What waits to be segmented after one press of the button: planes of images, in a sensible order."""

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Literal

from napari_runet.images.axes import name_plane, name_planes

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_runet.images.axes import Axes
    from napari_runet.images.image_input import Region
    from napari_runet.plugin.reading import Source

PlaneScope = Literal["shown", "range", "all"]
Index = tuple[int, ...]
_TOLD = 3
"""Problems that are told one by one."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneJob:
    """One plane to be segmented.

    Parameters
    ----------
    image
        Its layer.
    source
        The plane, and how the image is read.
    region
        Gives the part that is meant, when its turn comes.
    chain
        Names the frames that follow one another in time, in the order of the queue; empty for a plane by itself.
    """

    image: "Image"
    source: "Source"
    region: "Callable[[], Region | None]"
    chain: str = ""

    @property
    def pixels(self) -> int:
        """Size of the plane."""
        height, width = self.source.input.plane_shape
        return height * width

    @property
    def name(self) -> str:
        """What people call the plane."""
        plane = name_plane(self.source.input.axes, self.source.index)
        return f"{self.source.input.name}, {plane}" if plane else self.source.input.name


@dataclass(eq=False)
class PlaneQueue:
    """The planes of one press of the button: what waits, what is done, and what went wrong.

    Parameters
    ----------
    waiting
        What is to be done.
    problems
        Sentences about what cannot be, told at the end.
    live
        Whether this follows what is in view: what is no longer on show is not wanted any more.
    """

    waiting: list[PlaneJob]
    problems: list[str] = field(default_factory=list)
    live: bool = False
    name: str = field(default_factory=lambda: uuid.uuid4().hex)
    total: int = 0
    begun: int = 0
    done: int = 0
    begin: float = field(default_factory=time.monotonic)
    _images: list["Image"] = field(default_factory=list)
    _axes: "Axes | None" = None
    _pixels: int = 0
    _pixels_done: int = 0

    def __post_init__(self) -> None:
        self.total = len(self.waiting)
        self._images = list(dict.fromkeys(job.image for job in self.waiting))
        self._pixels = sum(job.pixels for job in self.waiting)
        self._axes = self.waiting[0].source.input.axes if self.waiting else None

    def take(self, on_show: "Callable[[Image], Index | None]") -> PlaneJob | None:
        """The next job, None when there is none: of the first image the plane nearest to that on show."""
        if not self.waiting:
            return None
        job = self.waiting[0]
        centre = on_show(job.image)
        if centre is not None and not job.chain:
            same = (other for other in self.waiting if other.image is job.image)
            job = min(same, key=lambda other: distance(other.source.index, centre))
        self.waiting.remove(job)
        self.begun += 1
        return job

    def finish(self, job: PlaneJob, *, complete: bool) -> None:
        """A job has ended."""
        self.done += complete
        self._pixels_done += job.pixels

    def drop(self, image: object) -> bool:
        """Leave out an image; whether anything of it was waiting."""
        kept = [job for job in self.waiting if job.image is not image]
        dropped, self.waiting = len(kept) < len(self.waiting), kept
        return dropped

    def fraction(self, job: PlaneJob, share: float) -> float:
        """How much of all is done, in [0, 1], when `share` of a job is."""
        return (self._pixels_done + share * job.pixels) / max(1, self._pixels)

    def seconds_left(self, job: PlaneJob, share: float, of_job: float | None) -> float | None:
        """How long it may still take; `of_job` is that of the job, None when nothing can be told yet."""
        if self.total == 1 or self._pixels_done == 0:
            rest = self._pixels - self._pixels_done - job.pixels
            return None if of_job is None or not share else of_job * (1 + rest / (job.pixels * (1 - share) or 1))
        done = self.fraction(job, share)
        return (time.monotonic() - self.begin) / done * (1 - done)

    def place(self, number: int) -> str:
        """Where the job that was begun as number `number` stands: "2 of 12: ", or nothing where it is the only one."""
        return f"{number} of {self.total}: " if self.total > 1 else ""

    def summary(self) -> str:
        """What was done, where there were several; empty when nothing was."""
        if self.total <= 1 or not self.done or self._axes is None:
            return ""
        if len(self._images) > 1:
            what = "images" if self.total == len(self._images) else "planes"
            return f"{self.done} of {self.total} {what} segmented."
        seconds = time.monotonic() - self.begin
        planes = name_planes(self._axes, self.total)
        return f"{self._images[0].name}: {self.done} of {planes} segmented in {seconds:.1f} s."

    def told_problems(self) -> list[str]:
        """The problems as people shall read them: not hundreds."""
        unique = list(dict.fromkeys(self.problems))
        more = len(unique) - _TOLD
        return unique if more <= 1 else [*unique[:_TOLD], f"The same or the like of {more} more."]


def planes_meant(
    scope: PlaneScope,
    shown: Index,
    letters: Sequence[str],
    lengths: Sequence[int],
    ranges: Mapping[str, tuple[int, int]],
) -> list[Index]:
    """Which planes of a stack are meant, in order.

    Parameters
    ----------
    scope
        The plane shown, a range, or all.
    shown
        The plane on show.
    letters, lengths
        What the stack's axes are, and how many planes there are on each.
    ranges
        The first and the last plane, by letter; all where one is missing.
    """
    if scope == "shown":
        return [shown]
    spans: Iterable[range] = (
        range(length) if scope == "all" or letter not in ranges else _span(ranges[letter], length)
        for letter, length in zip(letters, lengths, strict=True)
    )
    return list(product(*spans))


def _span(bounds: tuple[int, int], length: int) -> range:
    first, last = sorted(min(max(0, bound), length - 1) for bound in bounds)
    return range(first, last + 1)


def distance(index: Index, centre: Index) -> tuple[int, int]:
    """How far a plane is from another, for sorting: of two that are equally far the later one is nearer."""
    apart = sum(abs(one - other) for one, other in zip(index, centre, strict=True))
    return apart, int(index < centre)
