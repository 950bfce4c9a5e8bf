"""Taking masks away: a copy to paint on, their confidence, and files."""

from pathlib import Path
from typing import TYPE_CHECKING

from napari.qt.threading import thread_worker

from napari_runet.plugin.save_dialog import SaveDialog
from napari_runet.plugin.saving import write_all
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels
    from qtpy.QtWidgets import QWidget

    from napari_runet.plugin.saving import MaskFile, StackFile
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping


class MaskActions:
    """What people do with the masks on show.

    Parameters
    ----------
    viewer, session, stepping
        Where layers go, what is on show, and what knows the masks of all images.
    window
        Over which the dialog opens.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", stepping: "Stepping", window: "QWidget") -> None:
        self._viewer, self._session, self._stepping, self._window = viewer, session, stepping, window
        self._folder = Path.home()
        self._saving: object | None = None

    def edit_a_copy(self) -> "Labels | None":
        """Add an editable layer that starts as the iteration on show, and select it for painting."""
        results = self._session.results
        if results is None or not self._session.shown:
            return None
        layer = results.editable_copy(self._session.shown)
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        return layer

    def show_confidence(self) -> "Image | None":
        """Open the confidence of the iteration on show as an Image layer."""
        results = self._session.results
        if results is None or not self._session.shown or not len(results.result):
            return None
        return results.of_plane.show_confidence(results.result, self._session.shown)

    def ask_where_to_save(self) -> None:
        """Open the dialog that saves masks."""
        results = self._session.results
        if results is None or not self._session.shown:
            return
        dialog = SaveDialog(results, self._stepping.all_results(), self._session.shown, self._folder, self._window)
        if dialog.exec():
            self._folder = Path(dialog.folder.text()).expanduser()
            self.save(dialog.files())

    def save(self, files: "list[MaskFile | StackFile]") -> None:
        """Write masks on a thread; the notice then says where they are, or what went wrong."""

        def done(paths: "list[Path]") -> None:
            what = paths[0].name if len(paths) == 1 else f"{len(paths)} masks"
            self._session.notice = Notice(f"Saved {what} in {paths[0].parent}.")

        def failed(error: Exception) -> None:
            self._session.notice = Notice(f"The masks were not all saved: {error}", "error")

        @thread_worker(ignore_errors=True)  # type: ignore[untyped-decorator]
        def write() -> "list[Path]":
            return list(write_all(files))

        worker = write()
        worker.returned.connect(done)
        worker.errored.connect(failed)
        self._saving = worker
        worker.start()
