"""Folders of images: the button that opens the batch window, and how far it is."""

from functools import cached_property
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDockWidget, QPushButton, QWidget

from napari_runet.plugin.batch_state import BatchState
from napari_runet.plugin.batching import Batching
from napari_runet.plugin.widgets import column, text_label, title_label

if TYPE_CHECKING:
    from collections.abc import Iterator

    import napari
    from qtpy.QtCore import QObject

    from napari_runet.plugin.batch_opening import BatchOpening
    from napari_runet.plugin.batch_window import BatchWindow
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.session import Session

DOCK_NAME = "Batch"


class BatchSection(QWidget):
    """Opens the batch window in a tab beside the panel, and tells how far a batch is.

    Parameters
    ----------
    viewer, session, choices, correcting
        The viewer, and what the panel has chosen and corrected.
    """

    def __init__(
        self, viewer: "napari.viewer.Viewer", session: "Session", choices: "Choices", correcting: "Correcting"
    ) -> None:
        super().__init__()
        self._viewer, self._session, self._choices, self._correcting = viewer, session, choices, correcting
        self.state = BatchState()
        self.batching = Batching(session, self.state, self)
        self.window_: BatchWindow | None = None
        self.button = QPushButton("Batch…")
        self.button.setObjectName("batch")
        self.button.setToolTip("Segment a folder of images, or many files.")
        self.button.clicked.connect(lambda: self.open_window())
        self.status = text_label("batch-status")
        layout = column()
        layout.addWidget(title_label("Folders"))
        layout.addWidget(self.button)
        layout.addWidget(self.status)
        self.setLayout(layout)
        self.state.events.revision.connect(self._tell)
        self.state.events.stage.connect(self._tell)
        self._tell()

    @cached_property
    def opening(self) -> "BatchOpening":
        """What opens the images of a batch."""
        from napari_runet.plugin.batch_opening import BatchOpening  # not when the panel opens, which it would slow

        return BatchOpening(self._viewer, self._session, self.state, self._choices, self._correcting)

    def open_window(self) -> "BatchWindow":
        """Open the batch window, or bring it to the front."""
        from napari_runet.plugin.batch_window import BatchWindow  # as above

        window = self._viewer.window
        if self.window_ is None:
            self.window_ = BatchWindow(
                self._session, self.state, self.batching, self.opening, self._choices.list_models
            )
        if self.window_.parent() is None:
            window.add_dock_widget(self.window_, name=DOCK_NAME, area="right", tabify=True)
        dock = next(parent for parent in _parents(self.window_) if isinstance(parent, QDockWidget))
        dock.show()
        dock.raise_()
        return self.window_

    def _tell(self) -> None:
        state = self.state
        running = state.stage in ("running", "stopping")
        images = "1 image" if len(state.rows) == 1 else f"{len(state.rows)} images"
        self.status.setText(f"{state.ended} of {images}." if running else "")
        self.status.setVisible(running)


def _parents(widget: QWidget) -> "Iterator[QObject]":
    parent = widget.parent()
    while parent is not None:
        yield parent
        parent = parent.parent()
