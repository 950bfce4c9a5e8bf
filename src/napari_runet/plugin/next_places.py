"""Which place to look at next: flies to the most doubtful place of the mask on show, and back out again."""

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from qtpy.QtCore import QObject, QTimer

from napari_runet.images.image_input import Region
from napari_runet.plugin.flying import Flight
from napari_runet.plugin.place_marker import PlaceMarker
from napari_runet.plugin.placing import show_plane
from napari_runet.plugin.scoring import Background, PlaneDoubts, Unscored, key_of
from napari_runet.plugin.session import Notice
from napari_runet.wording import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session
    from napari_runet.reviewing.places import Place
    from napari_runet.reviewing.queue import ReviewQueue

    Known = npt.NDArray[np.bool_] | None

SETTLE_MS = 200
"""A mask is scored anew when nothing has changed for this long."""


class NextPlaces(QObject):
    """Keeps ``session.place`` and ``session.places_left`` up to date, from the first time that Next is pressed.

    A place that was corrected or reviewed, or from which people went on to the next, is not shown again: neither in
    a later prediction of the plane nor after other planes. Where a plane is done, the most doubtful other plane of
    the stack that was segmented comes next. Scores are computed on a thread.

    Parameters
    ----------
    viewer, session, correcting
        Whose view is moved, what is on show, and what people have corrected.
    """

    def __init__(
        self, viewer: "ViewerModel", session: "Session", correcting: "Correcting", parent: QObject | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._correcting = viewer, session, correcting
        self.flight = Flight(viewer, self)
        self.marker = PlaceMarker(viewer)
        self._queue: ReviewQueue | None = None
        self._scored: object = None
        self._seen: WeakKeyDictionary[Image, dict[tuple[int, ...], list[tuple[float, float]]]] = WeakKeyDictionary()
        self._planes = PlaneDoubts()
        self._background = Background(self._on_failed)
        self._used = self._wanted = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(SETTLE_MS)
        self._soon.timeout.connect(self._follow)
        events = session.events
        for event in (events.results, events.revision, events.source, events.settings):
            event.connect(self._follow_soon)
        events.corrected.connect(self._count)
        events.image.connect(self._leave_image)

    # What people do

    def next(self) -> bool:
        """Fly to the most doubtful place; the one on show does not come back. False, with a notice, when it cannot."""
        session, result = self._session, self._result()
        if result is None:
            session.next_notice = Notice("Segment first: what is doubtful is told from the iterations.", "error")
            return False
        if self._viewer.dims.ndisplay != 2:
            session.next_notice = Notice("Places are shown in 2D; switch the view to 2D.", "error")
            return False
        self._used = True
        if session.place is not None and self._queue is not None and self._scored == key_of(result):
            self._queue.mark_seen(session.place)
            y, x = session.place.centre
            self._seen_of(result).append((y + _corner(result)[0], x + _corner(result)[1]))
        self._go_on()
        return True

    def out(self) -> None:
        """Fly back out to where the view was; the place on show stays in the queue unless it was corrected."""
        self.flight.back()
        self.marker.hide()
        self._wanted = False
        self._session.place = None
        self._session.next_notice = Notice()

    def show_uncertainty(self, visible: bool) -> None:
        """Show the score of every pixel as an Image layer, or hide it."""
        self._session.uncertainty_shown = visible
        self._used |= visible
        self._draw_uncertainty()
        if visible:
            self._follow()

    def close(self) -> None:
        """Nothing is shown from now on."""
        self._background.close()
        self._soon.stop()
        self.flight.stop()

    # One plane

    def _result(self) -> "Result | None":
        results = self._session.results
        result = results.result if results is not None else None
        return result if result is not None and _is_over(result) else None

    def _leave_image(self) -> None:
        """What was asked for on one image is not done on another, nor is the view from before it gone back to."""
        self._wanted = False
        self.flight.forget()

    def _go_on(self) -> None:
        """Fly to the next place, at once or when the mask has been scored."""
        results, result = self._session.results, self._result()
        if results is None or result is None:
            return
        if self._queue is None or self._scored != key_of(result):
            self._wanted = True
            self._follow()
            return
        self._wanted = False
        left = self._count()
        if not left:
            self._end_plane(results, result)
            return
        place, (y, x) = left[0], _corner(result)
        box = Region(place.y + y, place.x + x, place.height, place.width)
        self._session.next_notice = Notice()
        self._session.place = place
        self.flight.to(self.marker.put(results.image, result.source, box))

    def _count(self) -> "list[Place]":
        """The places left, told to the session."""
        result = self._result()
        if self._queue is None or result is None or self._scored != key_of(result):
            return []
        left = self._queue.left(self._known(result))
        self._session.places_left = len(left)
        return left

    def _follow_soon(self) -> None:
        if self._used:
            self._soon.start()

    def _follow(self) -> None:
        """Score the mask on show where that is not done."""
        result = self._result()
        key = None if result is None else key_of(result)
        if key != self._scored:
            self._queue = self._scored = None
            self._session.places_left = None
            self._session.next_notice = Notice()  # of what was on show before
            if self._session.place is not None:  # a place of another mask, or of another plane
                self._session.place = None
                self.marker.hide()
        if result is None or key == self._scored or self._background.is_busy:
            return
        self._session.next_notice = Notice("Looking for doubtful places…")
        self._background.do(self._unscored(result).queue, lambda queue: self._on_scored(key, queue))

    def _on_scored(self, key: object, queue: "ReviewQueue") -> None:
        result = self._result()
        if result is None or key_of(result) != key:
            self._session.next_notice = Notice()
            self._follow()  # another one is on show by now
            return
        self._queue, self._scored = queue, key
        self._session.next_notice = Notice()
        self._draw_uncertainty()
        self._count()
        if self._wanted:
            self._go_on()

    def _on_failed(self, sentence: str) -> None:
        self._wanted = False
        self._session.next_notice = Notice(sentence, "error")

    def _draw_uncertainty(self) -> None:
        results, result = self._session.results, self._result()
        if results is not None and result is not None:
            scored = self._queue if self._scored == key_of(result) else None
            visible = scored is not None and self._session.uncertainty_shown
            results.of_plane.show_uncertainty(result, scored.doubt.score if scored is not None and visible else None)

    # What is known of a plane

    def _unscored(self, result: "Result") -> Unscored:
        """A mask, what needs no look in it, and where people have been."""
        known, (top, left) = self._known(result), _corner(result)
        if result.region is not None and result.region.mask is not None:
            outside = ~result.region.mask
            known = outside if known is None else known | outside
        return Unscored(result, known, tuple((y - top, x - left) for y, x in self._seen_of(result)))

    def _known(self, result: "Result") -> "Known":
        """(Y, X) bool of what was segmented: what people have set; None for nothing."""
        results = self._session.results
        known = self._correcting.images.known(results.image, result.source) if results is not None else None
        return known if known is None or result.region is None else known[result.region.slices]

    def _seen_of(self, result: "Result") -> list[tuple[float, float]]:
        """Where people have been in a plane, in its pixels."""
        results = self._session.results
        assert results is not None
        return self._seen.setdefault(results.image, {}).setdefault(result.source.index, [])

    # One plane after the other

    def _end_plane(self, results: "ResultLayers", result: "Result") -> None:
        """Nothing is left here: fly out, and look for another plane that has something left."""
        self.out()
        here = result.source.index
        others = [other for index, other in results.planes.items() if index != here and _is_over(other)]
        if not others or self._background.is_busy:
            self._session.next_notice = Notice("No doubtful place is left in this image.")
            return
        self._session.next_notice = Notice(
            f"No doubtful place is left here; looking at {counted(len(others), 'other plane')}…"
        )
        planes = [self._unscored(other) for other in others]
        self._background.do(lambda: self._planes.most_doubtful(planes), lambda ranked: self._on_ranked(results, ranked))

    def _on_ranked(self, results: "ResultLayers", result: "Result | None") -> None:
        """Go to the plane that needs a look most, unless another image is on show by now."""
        if self._session.results is not results:
            return
        if result is None:
            self._session.next_notice = Notice("No doubtful place is left in any plane that was segmented.")
            return
        show_plane(self._viewer, results.image, result.source)
        self._wanted = True
        self._soon.start()  # another mask is on show by then


def _is_over(result: "Result") -> bool:
    return len(result) > 0 and result.state != "running"


def _corner(result: "Result") -> tuple[int, int]:
    """Where what was segmented begins in the plane."""
    return (0, 0) if result.region is None else (result.region.y, result.region.x)
