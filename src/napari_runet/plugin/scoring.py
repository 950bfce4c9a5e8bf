"""Scoring masks on a thread: the doubtful places of a plane, and which of several planes needs a look most."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker

from napari_runet.engine.failures import describe_failure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from napari_runet.plugin.results import Result
    from napari_runet.reviewing.queue import ReviewQueue

# What scores is imported where it is needed, on the thread: its scipy would be a third of what the panel takes to open.


@dataclass(frozen=True, slots=True, eq=False)
class Unscored:
    """A mask to be scored.

    Parameters
    ----------
    result
        A run that is over; its last two iterations count.
    settled
        (Y, X) bool: what needs no look; None for nothing.
    seen
        Middles (row, column) of places that people have been to.
    """

    result: "Result"
    settled: "npt.NDArray[np.bool_] | None"
    seen: tuple[tuple[float, float], ...]

    @property
    def key(self) -> object:
        """What the score depends on, as far as it is cheap to tell."""
        return key_of(self.result), self.seen, 0 if self.settled is None else int(self.settled.sum())

    def queue(self) -> "ReviewQueue":
        """The places of the plane."""
        from napari_runet.reviewing.doubt import doubt
        from napari_runet.reviewing.queue import ReviewQueue

        own = [iteration.foreground for iteration in self.result.iterations[: self.result.own][-2:]]
        last, before = own[-1], own[0] if len(own) > 1 else None
        return ReviewQueue(doubt(last, before, self.result.threshold, self.settled), self.seen)


def key_of(result: "Result") -> object:
    """What a mask depends on."""
    return result.run_id, result.source.index, result.own, result.threshold


class PlaneDoubts:
    """How much planes need a look; those that have not changed are not scored again."""

    def __init__(self) -> None:
        self._known: dict[object, float] = {}

    def most_doubtful(self, planes: Sequence[Unscored]) -> "Result | None":
        """The plane to look at first; None where no place is left in any. Takes long, for a thread."""
        from napari_runet.reviewing.places import doubt_of_plane

        known = {plane.key: self._known.get(plane.key) for plane in planes}
        for plane in planes:
            if known[plane.key] is None:
                known[plane.key] = doubt_of_plane(plane.queue().left())
        self._known = {key: value for key, value in known.items() if value is not None}
        first = max(planes, key=lambda plane: self._known[plane.key])
        return first.result if self._known[first.key] > 0 else None


class Background:
    """Does one thing at a time on a thread.

    Parameters
    ----------
    failed
        Told a sentence when something could not be done.
    """

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._worker: Any = None
        self._closed = False

    @property
    def is_busy(self) -> bool:
        """Whether something is being done."""
        return self._worker is not None

    def do(self, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        """Do something on a thread, and go on with what it returns on this one."""

        def returned(value: Any) -> None:
            self._worker = None
            if not self._closed:
                then(value)

        def errored(error: Exception) -> None:
            self._worker = None
            if not self._closed:
                self._failed(describe_failure(error, "The mask could not be scored"))

        self._worker = create_worker(
            work, _start_thread=False, _ignore_errors=True, _connect={"returned": returned, "errored": errored}
        )
        self._worker.start()

    def close(self) -> None:
        """Nothing is told any more."""
        self._closed = True
