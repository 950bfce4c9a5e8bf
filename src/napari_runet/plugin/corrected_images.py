"""The corrections of all images of a viewer: which planes, kept where, and what is known of them."""

from contextlib import suppress
from typing import TYPE_CHECKING

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.image_corrections import ImageCorrections, plane_key, source_at
from napari_runet.plugin.layers import images_in
from napari_runet.plugin.plane_correction import PlaneCorrection, correction_of
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.corrections.journal_file import PlaneKey
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session


class CorrectedImages:
    """Holds the corrections of each image, and tells the session of them.

    Parameters
    ----------
    viewer, session, choices
        Where the images are, the state to be kept up to date, and how images are read.
    on_found
        Called when what a journal held of an image has been read.
    """

    def __init__(
        self, viewer: "ViewerModel", session: "Session", choices: "Choices", on_found: "Callable[[], object]"
    ) -> None:
        self._viewer, self._session, self._choices, self._on_found = viewer, session, choices, on_found
        self._images: dict[Image, ImageCorrections] = {}
        self._closed = False
        for layer in viewer.layers:  # those of a panel that was closed
            correction = correction_of(layer)
            if correction is not None:
                self._adopt(correction)

    def of(self, image: "Image") -> ImageCorrections:
        """The corrections of an image, which are looked for on disk from the first time on."""
        ours = self._images.get(image)
        if ours is None:
            ours = self._images[image] = ImageCorrections(image)
            self._listen(ours)
        return ours

    def drop_closed(self) -> None:
        """Let go of images that were closed; one whose corrections are not on disk is kept until there is room."""
        for image in [image for image in self._images if image not in self._viewer.layers]:
            if self._images[image].keeper.close():
                self._images.pop(image)
                self._tell_problem()

    def known(self, image: "Image", source: "Source") -> "npt.NDArray[np.bool_] | None":
        """(Y, X) bool: what people have set on a plane of an image, also earlier; None for nothing."""
        ours, key = self._images.get(image), plane_key(source)
        if ours is None:
            return None
        plane = ours.planes.get(key)
        known = plane.known if plane is not None else ours.found.get(key)
        return None if known is None else known.flags != 0

    def corrected_planes(self) -> list[PlaneCorrection]:
        """All planes of the viewer's images in which something is known."""
        planes = [
            plane
            for image in images_in(self._viewer)
            if image in self._images
            for plane in self._images[image].planes.values()
        ]
        for plane in planes:
            plane.compare()
        return [plane for plane in planes if plane.known.flags.any()]

    def kept_planes(self) -> "list[tuple[Image, Source, CorrectionSet]]":
        """What journals kept of open images, is not restored, and fits on them as they are read now."""
        kept = []
        for image in images_in(self._viewer):
            for key, known in self._images[image].found.items() if image in self._images else ():
                with suppress(ImageError):  # read in another way now; `restore` says so
                    kept.append((image, source_at(self._viewer, self._choices, image, key), known))
        return kept

    def open_keys(self) -> "set[tuple[str, PlaneKey]]":
        """All corrected planes of open images, by the name of their image's key and their own."""
        return {(ours.keeper.name, key) for ours in self._images.values() for key in (*ours.planes, *ours.found)}

    def anything_corrected(self) -> bool:
        """Whether something is known of any image in the viewer."""
        planes = (plane for ours in self._images.values() for plane in ours.planes.values())
        return any(plane.known.flags.any() for plane in planes)

    def close(self) -> None:
        """Write what is left to disk; nothing is told from now on."""
        self._closed = True
        for ours in self._images.values():
            for plane in ours.planes.values():
                plane.compare()
            if not ours.keeper.close():
                ours.keeper.flush()  # where the journal is still being looked for, it is waited for

    def flush(self) -> bool:
        """Wait until all is on disk; False when it is not."""
        self.corrected_planes()
        unsaved = [ours for ours in self._images.values() if not ours.keeper.flush()]
        return not unsaved

    def on_change(self, refused: str) -> None:
        """Tell that something was corrected, or with a sentence that it was refused."""
        if self._closed:
            return
        self._session.correction_notice = Notice(refused, "error") if refused else Notice()
        self._session.corrected += 1

    def _listen(self, ours: ImageCorrections) -> None:
        ours.keeper.found.connect(lambda: self._take_found(ours))
        ours.keeper.problem.connect(lambda sentence: self._on_problem(ours, sentence))

    def _adopt(self, correction: PlaneCorrection) -> None:
        ours = correction.owner
        if isinstance(ours, ImageCorrections) and ours.image not in self._images:
            self._images[ours.image] = ours
            self._listen(ours)
        correction.on_change = self.on_change

    def _take_found(self, ours: ImageCorrections) -> None:
        if self._closed:
            return
        ours.take_found()
        if ours.keeper.problems:
            self._session.correction_notice = Notice(" ".join(ours.keeper.problems), "warning")
        self._on_found()

    def _on_problem(self, ours: ImageCorrections, sentence: str) -> None:
        ours.problem = sentence
        self._tell_problem()

    def _tell_problem(self) -> None:
        if not self._closed:
            self._session.journal_problem = next((each.problem for each in self._images.values() if each.problem), "")
