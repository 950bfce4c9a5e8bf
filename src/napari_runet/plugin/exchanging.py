"""Corrections as a folder of image files: written from what is open, and read onto it."""

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from napari.qt.threading import thread_worker
from qtpy.QtWidgets import QFileDialog

from napari_runet.corrections.correction import PAINTED, Correction
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.corrections.exchange import export_correction, import_corrections
from napari_runet.images.image_input import ImageError
from napari_runet.io.images import FileError
from napari_runet.plugin.layers import images_in
from napari_runet.plugin.saving import file_stem
from napari_runet.plugin.session import Notice
from napari_runet.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image
    from qtpy.QtWidgets import QWidget

    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session

    ToExport = list[tuple[str, Source, Correction]]

Result = TypeVar("Result")


class Exchanging:
    """Exports corrections to a folder, and imports them from one.

    Parameters
    ----------
    viewer, session, correcting
        Where the images are, the state, and what was corrected.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", correcting: "Correcting") -> None:
        self._viewer, self._session, self._correcting = viewer, session, correcting
        self._folder = Path.home()
        self._working: object | None = None

    def ask_where_to_export(self, window: "QWidget") -> None:
        """Ask for a folder, and write everything that is corrected into it."""
        self._ask(window, "Folder for images/ and labels/", self.export)

    def ask_what_to_import(self, window: "QWidget") -> None:
        """Ask for a folder, and put its corrections on the open images of the same names."""
        self._ask(window, "Folder with labels/", self.import_from)

    def export(self, folder: Path) -> None:
        """Write all corrections of open images on a thread; the notice then says where they are, or what went wrong."""
        found = self._to_export()

        def write() -> int:
            for stem, source, correction in found:
                export_correction(folder, stem, source.input.plane(source.index), correction)
            return len(found)

        def done(count: int) -> None:
            text = f"Wrote {counted(count, 'corrected image')} to images and labels in {folder}."
            self._session.correction_notice = Notice(text)

        self._work(write, done)

    def import_from(self, folder: Path) -> None:
        """Read the corrections of a folder on a thread, and put them on the open images whose names they bear."""
        self._work(lambda: import_corrections(folder), self._put)

    def _to_export(self) -> "ToExport":
        images = self._correcting.images
        found: ToExport = [
            (plane.image.name, plane.source, plane.known.correction) for plane in images.corrected_planes()
        ]
        found += [(image.name, source, known.correction) for image, source, known in images.kept_planes()]
        return [(file_stem(name), source, correction) for name, source, correction in found]

    def _put(self, corrections: dict[str, Correction]) -> None:
        """Put corrections, by their files' stems, on the open images; say which fit on none."""
        put, problems = 0, []
        for stem, correction in corrections.items():
            image, index = self._place_of(stem)
            if image is None:
                problems.append(f"No open image is called {stem}.")
                continue
            known = CorrectionSet(correction.labels.shape, index)
            known.labels, known.flags = correction.labels, np.where(correction.where, PAINTED, 0).astype(np.uint8)
            try:
                self._correcting.bring(image, known)
            except ImageError as error:
                problems.append(str(error))
            else:
                put += 1
        text = f"Took over the corrections of {counted(put, 'image')}; what you had painted stays."
        self._session.correction_notice = Notice(" ".join([text, *problems]), "warning" if problems else "info")

    def _place_of(self, stem: str) -> "tuple[Image | None, tuple[int, ...]]":
        """The open image whose corrections would be exported under a name, and the plane's index."""
        images = {file_stem(image.name): image for image in images_in(self._viewer)}
        if stem in images:
            return images[stem], ()
        for name, image in images.items():
            numbers = stem.removeprefix(f"{name}_").split("_")
            if stem.startswith(f"{name}_") and all(number.isdecimal() for number in numbers):
                return image, tuple(int(number) for number in numbers)
        return None, ()

    def _ask(self, window: "QWidget", title: str, then: "Callable[[Path], None]") -> None:
        chosen = QFileDialog.getExistingDirectory(window, title, str(self._folder))
        if chosen:
            self._folder = Path(chosen)
            then(self._folder)

    def _work(self, work: "Callable[[], Result]", done: "Callable[[Result], None]") -> None:
        """Do work on a thread, and what follows from it on this one."""

        def failed(error: Exception) -> None:
            text = str(error) if isinstance(error, FileError | ImageError) else f"That did not work: {error}"
            self._session.correction_notice = Notice(text, "error")

        worker = thread_worker(work, ignore_errors=True)()
        worker.returned.connect(done)
        worker.errored.connect(failed)
        self._working = worker
        worker.start()
