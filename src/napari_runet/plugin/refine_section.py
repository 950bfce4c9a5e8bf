"""The panel's section that follows strokes with further iterations."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_runet.plugin.segment_section import NOTICE_MARKS
from napari_runet.plugin.widgets import NO_MASK, SPACING, Fold, allow, boxed, column, quiet, text_button, text_label

if TYPE_CHECKING:
    from napari_runet.plugin.refining import Refining
    from napari_runet.plugin.session import Session


class RefineSection(QWidget):
    """Refine from here, after each stroke where that is wanted; take or drop what is offered.

    It is folded away at first: as ``benchmarks/refine.py`` measures, it saves a fifth of the strokes of people who look
    at what is offered, and costs some where it is taken blindly.

    Parameters
    ----------
    session, refining
        The state, and what the buttons do.
    """

    def __init__(self, session: "Session", refining: "Refining") -> None:
        super().__init__()
        self._session, offers = session, refining.offers
        self.refine = text_button(
            "Refine from here", "Let the network go on from your strokes, around them.", refining.refine
        )
        self.refine.setObjectName("refine")
        self.always = QCheckBox("after each stroke")
        self.always.setToolTip("Do so whenever you have painted.")
        self.always.toggled.connect(self._set_always)
        self.take = text_button(
            "Take it", "Write it into your layer, never over what you have set; undo takes it back.", offers.take
        )
        self.take.setObjectName("take-refined")
        self.other = text_button("Another guess", "Draw another guess at what you corrected.", offers.other)
        self.other.setObjectName("other-guess")
        self.drop = text_button("Drop it", "Leave everything as it is.", offers.drop)
        self.notice = text_label("refine-notice")
        inner = column()
        for parts in ((self.refine, self.always), (self.take, self.other, self.drop)):
            row = QHBoxLayout()
            row.setSpacing(SPACING)
            for part in parts:
                row.addWidget(part)
            inner.addLayout(row)
        inner.addWidget(self.notice)
        self.fold = Fold("Refine from your strokes", boxed(inner))
        layout = column()
        layout.addWidget(self.fold)
        self.setLayout(layout)
        events = session.events
        for event in (events.correction, events.refine_always, events.refined_pixels, events.refine_notice,
                      events.revision, events.results):  # fmt: skip
            event.connect(self.refresh)
        self.refresh()

    def _set_always(self, on: bool) -> None:
        self._session.refine_always = on

    def refresh(self) -> None:
        """Show what is offered."""
        session = self._session
        result = session.results.result if session.results is not None else None
        self.setVisible(session.correction is not None)
        allow(self.refine, result is not None and len(result) > 0, NO_MASK)
        guesses = result.from_correction if result is not None else 0
        nothing = "Nothing is offered: Refine from here asks for it."
        allow(self.take, session.refined_pixels > 0, nothing)
        allow(self.other, guesses > 1, nothing if not guesses else "This is the only guess.")
        allow(self.drop, guesses > 0, nothing)
        with quiet(self.always):
            self.always.setChecked(session.refine_always)
        notice = session.refine_notice
        self.notice.setText(NOTICE_MARKS[notice.kind] + notice.text if notice.text else "")
        self.notice.setVisible(bool(notice.text))
