"""Fine-tuning: one button, its options, what it does, and the decision at its end."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QElapsedTimer, QTimer
from qtpy.QtWidgets import (
    QApplication,
    QGridLayout,
    QHBoxLayout,
    QInputDialog,
    QScrollArea,
    QWidget,
)

from napari_runet.plugin.fine_tuning import NOTHING_YET
from napari_runet.plugin.segment_section import NOTICE_MARKS, time_left
from napari_runet.plugin.tuning_options import TuningOptions
from napari_runet.plugin.widgets import SPACING, Fold, allow, boxed, column, say, text_button, text_label, title_label

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent

    from napari_runet.plugin.fine_tuning import FineTuning
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.tuning_plot import TuningPlot


class FineTuneSection(QWidget):
    """Starts, stops and shows fine-tuning, and asks what shall become of the candidate."""

    def __init__(self, session: "Session", tuning: "FineTuning") -> None:
        super().__init__()
        self._session, self._tuning = session, tuning
        deciding = tuning.deciding
        self._colors = ("#262930", "#f0f1f2")
        self.fine_tune = text_button("Fine-tune", "Teach the model your corrections while you work on.", tuning.start)
        self.fine_tune.setObjectName("fine-tune")
        self.stop = text_button("Stop", "Stop, and keep the best so far; pressed again, stop at once.", self._stop)
        self.options = TuningOptions(session)
        self.fold = Fold("Fine-tuning options", self.options)
        self.doing = text_label("tuning")
        self.verdict = text_label("verdict")
        self.accept = text_button("Accept", "Keep the candidate and segment with it from now on.", deciding.accept)
        self.reject = text_button("Reject", "Throw the candidate away.", deciding.reject)
        self.keep = text_button(
            "Keep as…", "Keep the candidate under another name, and go on as before.", self._ask_name
        )
        self.flip = text_button(
            "Flip masks", "Show the candidate's mask instead of yours, or yours again.", deciding.flip
        )
        self.go_back = text_button("Go back", "Segment with the model that this one was tuned from.", deciding.go_back)
        self.notice = text_label("tuning-notice")
        self.plot: TuningPlot | None = None
        self._asked_to_stop = QElapsedTimer()
        self._reveal = QTimer(self)
        self._reveal.setSingleShot(True)
        self._reveal.timeout.connect(self._scroll_to_decision)
        self._lay_out()
        events = session.events
        for event in (
            events.tuning,
            events.tuning_notice,
            events.candidate,
            events.corrected,
            events.correction,
            events.model,
            events.models,
        ):
            event.connect(self.refresh)
        events.candidate.connect(lambda candidate: self._reveal.start(50) if candidate is not None else None)
        self.refresh()

    def _lay_out(self) -> None:
        buttons, decision = QHBoxLayout(), QGridLayout()
        for row in (buttons, decision):
            row.setContentsMargins(0, 0, 0, 0)
            row.setSpacing(SPACING)
        buttons.addWidget(self.fine_tune, 2)
        buttons.addWidget(self.stop, 1)
        buttons.addWidget(self.go_back, 1)
        for position, button in enumerate((self.accept, self.reject, self.keep, self.flip)):
            decision.addWidget(button, position // 2, position % 2)
        self.decision = boxed(decision)
        self._column = column()
        self._column.addWidget(title_label("Fine-tune"))
        self._column.addLayout(buttons)
        for part in (self.fold, self.doing, self.verdict, self.decision, self.notice):
            self._column.addWidget(part)
        self.setLayout(self._column)

    def refresh(self) -> None:
        """Show what can be done, and how it goes."""
        session, tuning = self._session, self._session.tuning
        running = tuning.stage in ("running", "stopping")
        ready = tuning.stage == "idle" and session.model is not None
        allow(self.fine_tune, ready and self._tuning.anything_corrected(), self._why_not())
        self.stop.setVisible(running)
        self.stop.setText("Stop" if tuning.stage != "stopping" else "Stop now")
        self.fold.setVisible(tuning.stage == "idle")
        say(self.doing, tuning.text + time_left(tuning.seconds_left) + _score(tuning) if running else "")
        self._show_decision()
        parent = self._tuning.deciding.can_go_back()
        self.go_back.setVisible(tuning.stage == "idle" and parent is not None)
        if parent is not None:
            self.go_back.setToolTip(f"Segment with {parent.card.title} again; no version is lost.")
        notice = session.tuning_notice
        say(self.notice, NOTICE_MARKS[notice.kind] + notice.text if notice.text else "")
        self._draw(running or tuning.stage == "deciding")

    def _why_not(self) -> str:
        """Why nothing can be fine-tuned now."""
        if self._session.tuning.stage == "deciding":
            return "Decide on the candidate first: accept it, reject it, or keep it under another name."
        if self._session.tuning.stage != "idle":
            return "Fine-tuning is under way."
        return NOTHING_YET if self._session.model is not None else "There is no model to start from."

    def _show_decision(self) -> None:
        candidate = self._session.candidate
        self.decision.setVisible(candidate is not None)
        if candidate is None:
            say(self.verdict, "")
            return
        better = candidate.figures.get("better")
        start = f"The candidate is {'better' if better else 'not better'}. "
        if better is None:  # where nothing could be measured, the reason says so itself
            start = (
                ""
                if candidate.figures.get("method") == "none"
                else "The figures do not say whether the candidate is better. "
            )
        say(self.verdict, start + str(candidate.figures.get("reason", "")))
        self.accept.setDefault(better is True)
        self.reject.setDefault(better is False)
        for button in (self.accept, self.reject):
            font = button.font()
            font.setBold(button.isDefault())
            button.setFont(font)

    def _draw(self, visible: bool) -> None:
        if self.plot is None:
            if not visible or not self._tuning.losses:
                return
            from napari_runet.plugin.tuning_plot import TuningPlot  # costs half a second: not when the panel opens

            self.plot = TuningPlot()
            self.plot.set_colors(*self._colors)
            self._column.insertWidget(self._column.indexOf(self.doing) + 1, self.plot)
        self.plot.setVisible(visible)
        if visible:
            self.plot.draw(self._tuning.losses, self._tuning.scores, self._session.tuning.before)

    def _scroll_to_decision(self) -> None:
        """Bring the question into view where the panel is scrolled elsewhere."""
        above: QWidget | None = self.parentWidget()
        while above is not None and not isinstance(above, QScrollArea):
            above = above.parentWidget()
        if isinstance(above, QScrollArea) and self._session.candidate is not None:
            above.ensureWidgetVisible(self.decision)

    def _stop(self) -> None:
        """Stop; the second press of a double click is none, since it would throw away what was learned."""
        first = self._session.tuning.stage != "stopping"
        if first:
            self._asked_to_stop.start()
        if first or self._asked_to_stop.hasExpired(QApplication.doubleClickInterval()):
            self._tuning.stop()

    def _ask_name(self) -> None:
        candidate = self._session.candidate
        if candidate is None:
            return
        name, given = QInputDialog.getText(self, "Keep the candidate", "Name:", text=candidate.card.title)
        if given:
            self._tuning.deciding.keep("" if name == candidate.card.title else name)

    def showEvent(self, event: "QShowEvent | None") -> None:  # noqa: N802
        """Ask about a candidate that was left without a decision."""
        super().showEvent(event)
        self._tuning.deciding.look_for_left_over()

    def set_colors(self, background: str, text: str) -> None:
        """Take the theme's colours."""
        self._colors = (background, text)
        if self.plot is not None:
            self.plot.set_colors(background, text)


def _score(tuning: object) -> str:
    before, after = getattr(tuning, "before", None), getattr(tuning, "after", None)
    if before is None:
        return ""
    return f" Score on what was held out: {before:.3f} before" + (f", {after:.3f} now." if after is not None else ".")
