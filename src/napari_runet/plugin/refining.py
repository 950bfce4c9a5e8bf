"""Refining from here: what a stroke changes around it, offered as further iterations of the network."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QObject, QTimer

from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.spreading import ITERATIONS, new_strokes, spread, surroundings
from napari_runet.engine.messages import Cancelled, Event, Failed, Finished, IterationDone, WorkerLost
from napari_runet.engine.requests import PlaneStart
from napari_runet.images.image_input import Region
from napari_runet.models.card import NOT_TRAINED_FOR_IT, goes_on_from_masks
from napari_runet.plugin.offers import Offers
from napari_runet.plugin.plane_predictions import newest_result
from napari_runet.plugin.plane_queue import PlaneJob, PlaneQueue
from napari_runet.plugin.reading import plane_intensities
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel

    from napari_runet.images.normalisation import IntensityRange
    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.engine_bridge import EngineBridge
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.segmentation import Segmentation
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping

    Plane = npt.NDArray[np.uint8]

AFTER_MS = 120
"""A stroke is followed when nothing has been painted for this long."""


@dataclass(slots=True, eq=False)
class _Question:
    """Two requests that are under way, with the strokes and without: what they answered, by request."""

    plane: "PlaneCorrection"
    result: "Result"
    box: Region
    strokes: "npt.NDArray[np.bool_]"
    known: "Plane"
    seen: "npt.NDArray[np.floating] | None" = None
    with_strokes: str = ""
    without: str = ""
    answers: dict[str, "list[Plane]"] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)


class Refining(QObject):
    """Follows strokes on the correction layer, on request or, where ``session.refine_always``, after each.

    What they bring about is offered as iterations after the run's own, and written into the correction layer
    only when it is taken.

    Parameters
    ----------
    viewer, session, engine, segmentation
        Where layers are, the state, the worker that segments, and what segments a square of a large image before
        strokes on it are followed.
    stepping
        What shows one iteration or another.

    Attributes
    ----------
    offers
        What came of it.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        session: "Session",
        engine: "EngineBridge",
        segmentation: "Segmentation",
        stepping: "Stepping",
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer, self._session, self._engine, self._segmentation = viewer, session, engine, segmentation
        self._square: PlaneCorrection | None = None
        self.offers = Offers(viewer, session, stepping)
        self._question: _Question | None = None
        self._again = False
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(AFTER_MS)
        self._soon.timeout.connect(self._on_stroke)
        session.events.corrected.connect(self._look)
        session.events.correction.connect(self._look)
        session.events.activity.connect(self._on_activity)
        engine.told.connect(self._on_event)

    # What people do

    def refine(self) -> bool:
        """Follow what was corrected since the last time; False, with a notice, when there is nothing to follow."""
        session, plane = self._session, self._session.correction
        result = newest_result(self._viewer, session.results, plane) if plane is not None else None
        if plane is not None and result is None and plane.source.corner is not None:
            return self._segment_square(plane)
        if session.results is not None and session.results.result.state == "running":
            session.refine_notice = Notice("The image is being segmented; refine its mask when that is done.", "error")
            return False
        if plane is None or result is None:
            session.refine_notice = Notice("Segment the image and correct its mask first.", "error")
            return False
        if self._question is not None:
            self._again = True
            return True
        question = self._ask_about(plane, result)
        if question is None:
            session.refine_notice = Notice("Nothing was corrected since the last time; paint a stroke first.")
            return False
        model = self._model(result)
        if model is None:
            session.refine_notice = Notice(f"The model {result.card.title} is not there any more.", "error")
            return False
        self._send(question, model)
        return True

    # Squares of large images

    def _segment_square(self, plane: "PlaneCorrection") -> bool:
        """Have a square segmented by itself, so that there is something to go on from, and follow strokes then."""
        queue = PlaneQueue([PlaneJob(plane.image, plane.source, lambda: None)])
        if not plane.known.flags.any():
            self._session.refine_notice = Notice("Nothing was corrected here; paint a stroke first.")
            return False
        if not self._segmentation.segment(queue):
            self._session.refine_notice = Notice("Something is being segmented; try again when that is done.", "error")
            return False
        self._square = plane
        self._session.refine_notice = Notice("Segmenting this part of the image, to go on from there…")
        return True

    def _on_activity(self) -> None:
        plane = self._square
        if plane is None or self._session.activity.stage != "idle":
            return
        self._square = None
        result = newest_result(self._viewer, self._session.results, plane)
        if result is None or result.state != "complete" or self._session.correction is not plane:
            self._session.refine_notice = Notice("Nothing was refined: this part of the image was not segmented.")
            return
        if self._session.results is not None:
            self._session.results.cover()
        self.refine()

    # Asking

    def _ask_about(self, plane: "PlaneCorrection", result: "Result") -> "_Question | None":
        known, followed = plane.known.labels.copy(), self.offers.followed(plane, result)
        strokes = new_strokes(known, result.whole_plane(self.offers.iteration(plane, result)), followed.known)
        box = surroundings(strokes, result.region or Region(0, 0, *known.shape))
        return None if box is None else _Question(plane, result, box, strokes[box.slices], known)

    def _send(self, question: _Question, model: "StoredModel") -> None:
        """Have the worker go on from the mask in the box, once with the strokes and once without."""
        result, box, known = question.result, question.box, question.known[question.box.slices]
        source, followed = result.source, self.offers.followed(question.plane, result)
        base = result.at(self.offers.iteration(question.plane, result)).foreground[:, *_inside(result, box)]

        def measured() -> "IntensityRange":  # on the client's thread
            if followed.intensities is None:
                followed.intensities = plane_intensities(source, result.card)
            return followed.intensities

        def pixels() -> "npt.NDArray[np.generic]":  # there, too, with what scipy takes to be imported
            from napari_runet.corrections.growing import looks

            image = source.input.plane(source.index, box)
            if question.seen is None:
                question.seen = looks(image, result.at(result.own).foreground[:, *_inside(result, box)])
            return image

        def ask(pinned: "Plane") -> str:
            start = PlaneStart(np.array(base), pinned, result.scale)
            request = self._engine.segment(
                pixels,
                folder=model.folder,
                name=result.image_name,
                settings=self._session.settings.model_copy(
                    update={"iterations": ITERATIONS, "rescale": False, "flips": False, "scales": False}
                ),
                region=None,
                start=start,
                intensities=measured,
            )
            question.answers[request] = []
            return request

        question.with_strokes = ask(known.copy())
        question.without = ask(np.where(question.strokes, UNKNOWN, known).astype(np.uint8))
        self._question = question
        self._session.refine_notice = Notice("Refining from your correction…")

    def _model(self, result: "Result") -> "StoredModel | None":
        wanted = result.card.sha256
        return next((model for model in self._session.models if model.card.sha256 == wanted), None)

    # Answers

    def _on_event(self, event: Event, foreground: "Plane | None" = None) -> None:
        question = self._question
        if question is None:
            return
        if isinstance(event, WorkerLost):
            self._end(question, Notice(event.message, "error"))
        elif event.id not in question.answers:
            return
        elif isinstance(event, IterationDone) and foreground is not None:
            question.answers[event.id].append(foreground)
        elif isinstance(event, Finished):
            question.ended.add(event.id)
            if len(question.ended) == 2:
                self._end(question, self._offer(question))
        elif isinstance(event, Failed | Cancelled):
            text = event.message if isinstance(event, Failed) else "Stopped; nothing was refined."
            self._end(question, Notice(text, "error"))

    def _end(self, question: _Question, notice: Notice) -> None:
        self._question, again = None, self._again
        self._again = False
        for request in question.answers:
            self._engine.release(request)
        self._session.refine_notice = notice
        if again:
            self._soon.start()

    def _offer(self, question: _Question) -> Notice:
        """Offer what changed because of the strokes, and what they may have been painted on."""
        from napari_runet.corrections.growing import guesses

        plane, result, box = question.plane, question.result, question.box
        if self._session.correction is not plane:
            return Notice()  # another plane is on show by now; what was painted on this one can be followed there
        if newest_result(self._viewer, self._session.results, plane) is not result or question.seen is None:
            return Notice("The mask is another one by now; nothing was refined.")
        if (question.known != plane.known.labels)[question.known != UNKNOWN].any():
            return Notice("A stroke was taken back meanwhile; nothing was refined.")
        inside, known = _inside(result, box), question.known[box.slices]
        moved, unmoved = (question.answers[request][-1] for request in (question.with_strokes, question.without))
        base = result.at(self.offers.iteration(plane, result)).foreground[:, *inside]
        own = result.at(result.own).foreground[:, *inside]
        strokes, threshold = question.strokes, result.threshold
        found = spread(base, moved, unmoved, pinned=known, strokes=strokes, threshold=threshold)
        parts = guesses(found, base, own, question.seen, pinned=known, strokes=strokes, threshold=threshold)
        text = self.offers.put(plane, result, parts, inside, question.known)
        if goes_on_from_masks(result.card):
            return Notice(text)
        return Notice(f"{text} {NOT_TRAINED_FOR_IT.format(title=result.card.title)}", "warning")

    # After each stroke

    def _look(self) -> None:
        if self._session.refine_always and self._session.correction is not None:
            self._soon.start()

    def _on_stroke(self) -> None:
        plane = self._session.correction
        result = newest_result(self._viewer, self._session.results, plane) if plane is not None else None
        if plane is None or result is None or result.state == "running":
            return
        if self._question is not None or self._ask_about(plane, result) is not None:
            self.refine()


def _inside(result: "Result", box: Region) -> tuple[slice, slice]:
    """A box of the plane as an index into what was segmented."""
    if result.region is None:
        return box.slices
    y, x = box.y - result.region.y, box.x - result.region.x
    return slice(y, y + box.height), slice(x, x + box.width)
