"""The question before napari is closed, where something would be lost."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMessageBox, QWidget

if TYPE_CHECKING:
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.session import Session

TUNING = "A model is being fine-tuned; closing ends that, and nothing of it is kept."
UNSAVED = "Corrections are not saved, and closing loses them; free some space, or export them to another folder."


class AskBeforeClosing(QObject):
    """Asks before napari's window is closed while something is being fine-tuned, or corrections are not on disk.

    Parameters
    ----------
    session, correcting
        Whose fine-tuning it is, and what was corrected.
    panel
        Owns this; asking ends with it.
    """

    def __init__(self, session: "Session", correcting: "Correcting", panel: QWidget) -> None:
        super().__init__(panel)
        self._session, self._correcting = session, correcting

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Keep the window open where a person wants to wait."""
        if event is None or event.type() != QEvent.Type.Close or not isinstance(watched, QWidget):
            return False
        reasons = self._reasons() if watched.isWindow() else []
        if not reasons:
            return False
        buttons = QMessageBox.StandardButton
        question = " ".join([*reasons, "Close napari?"])
        answer = QMessageBox.question(watched, "Recurrent U-Net", question, buttons.Yes | buttons.No, buttons.No)
        if answer == buttons.Yes:
            return False
        event.ignore()
        return True

    def _reasons(self) -> list[str]:
        reasons = [TUNING] if self._session.tuning.stage in ("running", "stopping") else []
        if self._session.journal_problem and not self._correcting.flush():
            reasons.append(UNSAVED)
        return reasons
