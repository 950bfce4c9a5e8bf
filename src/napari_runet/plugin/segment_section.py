"""The large button, what is being done, and how it went."""

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QSizePolicy, QWidget

from napari_runet.plugin.session import Notice
from napari_runet.plugin.widgets import SPACING, allow, column, say, text_label

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_runet.plugin.session import Session

_STEPS = 1000
NOTICE_MARKS = {"info": "", "warning": "Note: ", "error": "Did not work: "}


class SegmentSection(QWidget):
    """Segment, Segment all open images, progress and Cancel, and a sentence about the outcome."""

    def __init__(
        self,
        session: "Session",
        segment: "Callable[[], object]",
        segment_all: "Callable[[], object]",
        cancel: "Callable[[], object]",
    ) -> None:
        super().__init__()
        self._session = session
        self.segment = QPushButton("Segment")
        self.segment.setObjectName("segment")
        self.segment.setToolTip("Segment this image.")
        self.segment.setMinimumHeight(38)
        font = self.segment.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * 1.25)
        self.segment.setFont(font)
        self.segment.clicked.connect(lambda: segment())
        self.segment_all = QPushButton("Segment all\nopen images")
        self.segment_all.setObjectName("segment-all")
        self.segment_all.setToolTip("Segment all open images, one after the other.")
        self.segment_all.clicked.connect(lambda: segment_all())
        self.obstacle = text_label("obstacle")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(14)
        self.cancel = QPushButton("Cancel")
        self.cancel.setObjectName("cancel")
        self.cancel.clicked.connect(lambda: cancel())
        self.doing = text_label("doing")
        self.notice = text_label("notice")
        self._lay_out()
        for event in (session.events.obstacle, session.events.activity, session.events.notice):
            event.connect(self.refresh)
        for event in (session.events.image, session.events.live):
            event.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        buttons, bar = QHBoxLayout(), QHBoxLayout()
        for row in (buttons, bar):
            row.setSpacing(SPACING)
        self.segment.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        buttons.addWidget(self.segment, 3)
        buttons.addWidget(self.segment_all, 2)
        bar.addWidget(self.progress, 1)
        bar.addWidget(self.cancel)
        layout = column()
        layout.addLayout(buttons)
        layout.addWidget(self.obstacle)
        layout.addLayout(bar)
        layout.addWidget(self.doing)
        layout.addWidget(self.notice)
        self.setLayout(layout)

    def refresh(self) -> None:
        """Show what can be done, what is being done and what was done."""
        session, activity = self._session, self._session.activity
        idle = activity.stage == "idle"
        why_not = session.obstacle if idle else "A segmentation is under way; wait for it or cancel it."
        allow(self.segment, idle and not session.obstacle, why_not)
        allow(self.segment_all, idle and session.image is not None and session.model is not None, why_not)
        say(self.obstacle, session.obstacle if idle else "")
        bar = not idle or session.live  # where it would come and go, it stays
        self.progress.setVisible(bar)
        self.cancel.setVisible(bar)
        self.cancel.setEnabled(not idle)
        self.cancel.setText("Cancel" if activity.stage != "cancelling" else "Stop now")
        self.progress.setUpdatesEnabled(False)  # else it draws itself, and all of napari with it, at once
        self.progress.setRange(0, 0 if activity.fraction is None and not idle else _STEPS)
        if idle:
            self.progress.reset()
        elif activity.fraction is not None:
            self.progress.setValue(round(activity.fraction * _STEPS))
        self.progress.setUpdatesEnabled(True)
        say(self.doing, activity.text + time_left(activity.seconds_left) if not idle else "")
        notice = session.notice if idle else Notice()
        say(self.notice, NOTICE_MARKS[notice.kind] + notice.text if notice.text else "")


def time_left(seconds: float | None) -> str:
    """How long it may still take, for people; empty while it cannot be told."""
    if seconds is None:
        return "."
    if seconds < 60:
        return f"; about {max(1, round(seconds))} s left."
    return f"; about {round(seconds / 60)} min left."
