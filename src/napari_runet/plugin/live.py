"""Segmenting the plane on show as soon as it is reached, and letting go of what is no longer on show."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, QTimer

if TYPE_CHECKING:
    from napari_runet.plugin.planning import Planning
    from napari_runet.plugin.segmentation import Segmentation
    from napari_runet.plugin.session import Session

_REST_MS = 80
"""A plane that is on show for less than this was only passed."""


class Live(QObject):
    """Follows the plane on show while ``session.live`` is set.

    Parameters
    ----------
    session, planning, segmentation
        What is on show, what makes a queue of it, and what does it.
    parent
        Owns this.
    """

    def __init__(self, session: "Session", planning: "Planning", segmentation: "Segmentation", parent: QObject) -> None:
        super().__init__(parent)
        self._session, self._planning, self._segmentation = session, planning, segmentation
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._look)
        self._tried: object = None
        events = session.events
        for event in (events.source, events.live, events.model, events.settings):
            event.connect(self._soon)
        events.activity.connect(self._on_activity)

    def _soon(self) -> None:
        if self._session.live:
            self._rest.start(_REST_MS)

    def _on_activity(self) -> None:
        if self._session.activity.stage == "idle":
            self._soon()

    def _look(self) -> None:
        session, doing = self._session, self._segmentation.queue
        source, image = session.source, session.image
        if not session.live or image is None or source is None or not source.index or session.obstacle:
            return
        if doing is not None:
            if doing.live and not self._segmentation.is_doing(image, source.index):
                self._segmentation.let_go()
            return
        attempt = (id(image), source.index, session.model, session.settings)
        if attempt != self._tried and not self._is_fresh():  # what failed or was cancelled is not tried for ever
            self._tried = attempt
            self._segmentation.segment(self._planning.queue_shown(image))

    def _is_fresh(self) -> bool:
        """Whether the plane on show has been segmented as it would be now."""
        session = self._session
        if session.results is None or session.model is None or session.region != "whole":
            return session.region != "whole"  # other regions are segmented on request
        result, card = session.results.result, session.model.card
        wanted = session.settings.iterations or card.iterations
        known = result.card.sha256 == card.sha256 and result.region is None
        return known and result.state != "running" and result.own == wanted
