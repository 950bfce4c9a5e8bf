"""Large images: all of a level, block by block into a store, and shown while it grows."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QWidget

from napari_runet.batch.block_record import growing_folder
from napari_runet.batch.output import OME_TIFF
from napari_runet.io.images import FileError
from napari_runet.io.ome_zarr import is_zarr
from napari_runet.plugin.batch_state import BatchState
from napari_runet.plugin.batching import Batching
from napari_runet.plugin.growing import GrowingLabelsLayer
from napari_runet.plugin.large_layers import LargeLayer, LargeLayers
from napari_runet.plugin.segment_section import NOTICE_MARKS, time_left
from napari_runet.plugin.session import Notice
from napari_runet.plugin.widgets import SPACING, boxed, column, combo_box, fill, small_button, text_label, title_label

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_runet.plugin.session import Session

LOOK_MS = 700
"""How often it is looked whether labels have grown."""


_WHAT_IT_DOES = "Block by block, in the background, into a folder or a file; the image is never loaded whole."


class LargeSection(QWidget):
    """The level, the folder, the format, and a button; hidden for images that are not large.

    Parameters
    ----------
    viewer, session
        Where the labels are shown, and what is chosen.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session") -> None:
        super().__init__()
        self._viewer, self._session = viewer, session
        self.state = BatchState()
        self.batching = Batching(session, self.state, self)
        self._layers = LargeLayers()
        self._large: LargeLayer | None = None
        self._temporary: dict[str, tempfile.TemporaryDirectory[str]] = {}
        self.growing: GrowingLabelsLayer | None = None
        self._earlier: GrowingLabelsLayer | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(LOOK_MS)
        self._timer.timeout.connect(self._look)
        self.level = combo_box("level")
        self.level.setToolTip("Which resolution is segmented, all of it.")
        self.output = QLineEdit()
        self.output.setPlaceholderText("a temporary folder")
        self.output.setToolTip("Where the labels go; what is finished there is not done again.")
        self.format = combo_box("format")
        self.format.setToolTip("What the labels are written as: a folder of chunks, or one file. Both have levels.")
        fill(self.format, [("OME-Zarr", "ome-zarr"), ("OME-TIFF", OME_TIFF)], "ome-zarr")
        self.choose = small_button("…", "Choose a folder.")
        self.choose.clicked.connect(lambda: self._choose())
        self.button = QPushButton("Segment all of it")
        self.button.setObjectName("segment-large")
        self.button.setToolTip(_WHAT_IT_DOES)
        self.button.clicked.connect(lambda: self.toggle())
        self.status = text_label("large-status")
        self._lay_out()
        # with another image comes another source, a moment later; in between they do not fit
        session.events.source.connect(self.refresh)
        for event in (self.state.events.revision, self.state.events.stage, self.state.events.notice):
            event.connect(self._tell)
        self.state.events.stage.connect(self._on_stage)
        self.refresh()

    def _lay_out(self) -> None:
        folder = QHBoxLayout()
        folder.setContentsMargins(0, 0, 0, 0)
        folder.setSpacing(SPACING)
        folder.addWidget(self.output, 1)
        folder.addWidget(self.choose)
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Level", self.level)
        form.addRow("Into", boxed(folder))
        form.addRow("As", self.format)
        layout = column()
        layout.addWidget(title_label("All of a large image"))
        layout.addWidget(boxed(form))
        layout.addWidget(self.button)
        layout.addWidget(self.status)
        self.setLayout(layout)

    # What people do

    def toggle(self) -> bool:
        """Start, or cancel what is under way; False when that cannot be done now."""
        if self.state.stage in ("running", "stopping"):
            self.batching.stop()
            return True
        large, state = self._large, self.state
        if large is None or state.stage != "idle":
            return False
        state.layer, state.level = large, int(self.level.currentData())
        state.folder, state.output = str(large.path or large.name), str(self._folder(large))
        state.file_format = str(self.format.currentData())
        state.axes = large.source.input.axes.order if not is_zarr(Path(state.folder)) else ""
        model = self.batching.model
        card = model.card if model is not None else None
        title = f"{large.name} · {card.id if card is not None else ''}"
        if self.growing is not None and not self.growing.is_finished:
            self.growing.remove()
        folder = growing_folder(state.output_folder, large.name)
        before = self.growing
        self._earlier = before if before is not None and (before.folder, before.name) == (folder, title) else None
        self.growing = GrowingLabelsLayer(self._viewer, folder, title, large.placement(state.level), card, large.image)
        return self.batching.start()

    def _choose(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder for the labels", self.output.text())
        if folder:
            self.output.setText(folder)

    def _folder(self, large: LargeLayer) -> Path:
        """Where the labels go; a temporary folder, one for each image, lasts until napari ends."""
        typed = self.output.text().strip()
        if typed:
            return Path(typed).expanduser()
        image = str(large.path or large.name)
        if image not in self._temporary:
            folder = tempfile.TemporaryDirectory(prefix="napari-runet-large-", ignore_cleanup_errors=True)
            self._temporary[image] = folder
        return Path(self._temporary[image].name)

    # How it is shown

    def refresh(self) -> None:
        """Show the levels of the image that is chosen, if it is large."""
        if self.state.stage in ("running", "stopping"):
            return
        before, self._large = self._large, self._layers.find(self._session.image, self._session.source)
        self.setVisible(self._large is not None)
        if _what(self._large) != _what(before):
            sizes = self._large.sizes if self._large is not None else []
            fill(self.level, [(f"{number}:  {size}", number) for number, size in enumerate(sizes)], 0)
            self.state.rows, self.state.estimate, self.state.notice = (), "", Notice()

    def _on_stage(self) -> None:
        running = self.state.stage in ("running", "stopping")
        for widget in (self.level, self.output, self.choose, self.format):
            widget.setEnabled(not running)
        self.button.setText("Cancel" if running else "Segment all of it")
        self.button.setToolTip("Stop; what is finished stays for the next time." if running else _WHAT_IT_DOES)
        if running:
            self._timer.start()
        elif self._timer.isActive():
            self._timer.stop()
            self._end()

    def stop_looking(self) -> None:
        """The panel goes: labels stay as far as they have grown."""
        self._timer.stop()

    def _look(self) -> None:
        if self.growing is not None:
            self.growing.look()

    def _end(self) -> None:
        """Show the labels where they are now; those that have not ended stay as far as they have grown."""
        if self.growing is None or not self.state.rows:
            return
        (row,) = self.state.rows
        if row.record is not None and row.has_mask:
            try:
                self.growing.finish(self.state.output_folder / next(iter(row.record.files)))
                if self._earlier is not None:  # it showed the same labels
                    self._earlier.remove()
            except FileError as error:
                self.state.notice = Notice(str(error), "error")
        else:
            self.growing.look()
        self.refresh()

    def _tell(self) -> None:
        state = self.state
        parts = [state.estimate] if state.estimate else []
        row = state.rows[0] if len(state.rows) == 1 else None
        if row is not None and row.state == "failed":
            parts = [NOTICE_MARKS["error"] + row.error]
        elif row is not None and row.has_mask and state.stage == "idle":
            temporary = any(folder.name == state.output for folder in self._temporary.values())
            parts.append(f"They are in {state.output_folder}{', and gone when napari ends' if temporary else ''}.")
        elif row is not None and state.stage in ("running", "stopping"):
            parts.append(f"{100 * row.share:.0f} % done{time_left(state.seconds_left)}")
        elif state.notice.kind == "error":
            parts = [NOTICE_MARKS["error"] + state.notice.text]
        elif row is not None and row.share == 0 and state.notice.text:
            parts.append("Stopped; what is finished stays for the next time.")
        self.status.setText(" ".join(parts))
        self.status.setVisible(bool(parts))


def _what(large: LargeLayer | None) -> object:
    """What is shown of a large layer."""
    return None if large is None else (large.image, large.path, large.shapes, large.axes)
