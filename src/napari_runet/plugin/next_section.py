"""The panel's section that leads from one doubtful place to the next."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget

from napari_runet.plugin.segment_section import NOTICE_MARKS
from napari_runet.plugin.widgets import NO_MASK, SPACING, allow, column, quiet, text_button, text_label, title_label

if TYPE_CHECKING:
    from napari_runet.plugin.next_places import NextPlaces
    from napari_runet.plugin.session import Session


class NextSection(QWidget):
    """Next, back out, how many places are left, and why one is doubtful.

    Parameters
    ----------
    session, places
        The state, and what the buttons do.
    """

    def __init__(self, session: "Session", places: "NextPlaces") -> None:
        super().__init__()
        self._session = session
        self.next = text_button(
            "Next", "Fly to the most doubtful place; the one on show does not come back.", places.next
        )
        self.next.setObjectName("next-place")
        self.out = text_button(
            "Back out", "Fly out again; the place stays in the queue unless you correct it.", places.out
        )
        self.out.setObjectName("leave-place")
        self.left = QLabel()
        self.left.setObjectName("places-left")
        self.why = QCheckBox("Why here")
        self.why.setToolTip("Tell what makes the place doubtful.")
        self.why.toggled.connect(self.refresh)
        self.uncertainty = QCheckBox("Uncertainty")
        self.uncertainty.setToolTip("Show how doubtful each pixel is, as an image.")
        self.uncertainty.toggled.connect(places.show_uncertainty)
        self.reason = text_label("place-reason")
        self.notice = text_label("next-notice")
        self._lay_out()
        events = session.events
        for event in (events.place, events.places_left, events.next_notice, events.results, events.revision,
                      events.uncertainty_shown):  # fmt: skip
            event.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        buttons, boxes = QHBoxLayout(), QHBoxLayout()
        for row, parts in ((buttons, (self.next, self.out)), (boxes, (self.why, self.uncertainty))):
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part)
        boxes.addStretch(1)
        boxes.addWidget(self.left)
        layout = column()
        layout.addWidget(title_label("Where to look next"))
        layout.addLayout(buttons)
        layout.addLayout(boxes)
        layout.addWidget(self.reason)
        layout.addWidget(self.notice)
        self.setLayout(layout)

    def refresh(self) -> None:
        """Show how many places are left, and what there is to say."""
        session = self._session
        some = session.results is not None and len(session.results.result) > 0
        for widget in (self.next, self.uncertainty):
            allow(widget, some, NO_MASK)
        allow(self.out, session.place is not None, "No place is on show: Next flies to one.")
        with quiet(self.uncertainty):
            self.uncertainty.setChecked(session.uncertainty_shown)
        left = session.places_left
        self.left.setText("" if left is None else f"{left} left")
        told = session.place is not None and self.why.isChecked()
        self.reason.setText(_reason(session) if told else "")
        self.reason.setVisible(told)
        notice = session.next_notice
        self.notice.setText(NOTICE_MARKS[notice.kind] + notice.text if notice.text else "")
        self.notice.setVisible(bool(notice.text))


def _reason(session: "Session") -> str:
    place = session.place
    return f"Doubt {place.score:.2f}: {place.reason}." if place is not None else ""
