"""Correcting masks: which planes are corrected, kept on disk, and found again."""

from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.image_corrections import ImageCorrections, newest_result, plane_key, source_at
from napari_runet.plugin.large_layers import is_large
from napari_runet.plugin.layers import images_in, large_labels_of, results_of
from napari_runet.plugin.plane_correction import PlaneCorrection, correction_of
from napari_runet.plugin.reviewing import Reviewing
from napari_runet.plugin.session import Notice
from napari_runet.plugin.squares import is_square, known_of, square_in_view

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.corrections.journal_file import PlaneKey
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.result_layers import ResultLayers
    from napari_runet.plugin.session import Session


AT_REST_MS = 150
MOST_SQUARES = 4
"""Of a large image, so many squares are restored at a time."""


class Correcting:
    """Makes and follows the layers on which people correct masks.

    Parameters
    ----------
    viewer, session, choices
        Where the layers are, the state to be kept up to date, and what is chosen.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices") -> None:
        self._viewer = viewer
        self._session = session
        self._choices = choices
        self._images: dict[Image, ImageCorrections] = {}
        self._closed = False
        self.reviewing = Reviewing(viewer, session)
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.look)
        for layer in viewer.layers:  # those of a panel that was closed
            correction = correction_of(layer)
            if correction is not None:
                self._adopt(correction)

    # What people do

    def correct(self, start: "npt.NDArray[np.uint8] | None" = None) -> "Labels | None":
        """Open the layer on which the masks on show are corrected, and select it for painting.

        It begins as `start`, (Y, X), where that is given and the layer is not open yet. A mask of other classes than
        the chosen model's is not what begins it, which is said.
        """
        session = self._session
        image = session.image
        if image is None:
            return None
        results = session.results if session.results is not None and len(session.results.result) else None
        other = results.result.card if results is not None else None
        if results is not None and not self._same_classes(results.result.card):
            results = None  # the mask is of other classes than those that are to be painted now
        try:
            source = results.result.source if results is not None else self._choices.source(image)
            if source.corner is not None:  # of a square, and another one may be in view
                source = self._choices.source(image)
            source = square_in_view(self._viewer, image, source)
        except ImageError as error:
            session.correction_notice = Notice(str(error), "error")
            return None
        if start is not None and source.corner is not None:
            y, x = source.corner
            start = start[y : y + source.input.plane_shape[0], x : x + source.input.plane_shape[1]]
        plane = self.open(image, source, start=start)
        if plane is None:
            return None
        if other is not None and results is None and start is None and not plane.known.flags.any():
            session.correction_notice = Notice(
                f"This layer is for {plane.card.title} ({_foreground(plane.card)}) and begins empty, for the mask on "
                f"show is of {other.title} ({_foreground(other)}); to correct that one, choose {other.title} as the "
                "model.",
                "warning",
            )
        return plane.layer

    def open(
        self,
        image: "Image",
        source: "Source",
        otherwise: "npt.NDArray[np.uint8] | None" = None,
        start: "npt.NDArray[np.uint8] | None" = None,
    ) -> PlaneCorrection | None:
        """Open the layer on which a plane of an image is corrected, and select it for painting.

        A new one begins as `start`, else as the plane's prediction, and where there is none as `otherwise`,
        each (Y, X). None where there is no model whose classes could be painted.
        """
        plane = self._plane(image, source)
        if plane is None:
            return None
        if start is None and newest_result(self._viewer, self._session.results, plane) is None:
            start = otherwise
        layer = self._open(plane, start)
        self._hide_masks(results_of(self._viewer, image))
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        self._session.correction_notice = Notice()
        self.look()
        return plane

    def restore(self) -> bool:
        """Open what was kept of the chosen image, exactly as it was; False when there is nothing that can be."""
        image = self._session.image
        ours = self._images.get(image) if image is not None else None
        if image is None or ours is None:
            return False
        problems, opened, squares = [], None, 0
        for key in [*ours.found, *ours.earlier]:
            try:
                squares += is_square(key, self._choices.source(image))
                if squares > MOST_SQUARES:  # each takes time and memory; the next press opens more
                    break
                source = source_at(self._viewer, self._choices, image, key)
            except ImageError as error:
                problems.append(str(error))
                continue
            plane = self._plane(image, source, ours.take_earlier(key) if key in ours.earlier else None)
            if plane is not None:
                opened = self._open(plane)
        if opened is not None:
            self._viewer.layers.selection.active = opened
            opened.mode = "paint"
            self._hide_masks(self._session.results)
        if problems or opened is not None:
            self._session.correction_notice = Notice(
                " ".join(dict.fromkeys(problems)), "warning" if problems else "info"
            )
        self.look()
        return opened is not None

    def bring(self, image: "Image", known: "CorrectionSet") -> "Labels":
        """Open a plane with corrections from elsewhere; what a person has painted here already stays.

        Raises
        ------
        ImageError
            When the image is read in another way, or a label is no class.
        """
        source = source_at(self._viewer, self._choices, image, (known.index, known.shape))
        plane = self._plane(image, source)
        if plane is None:
            raise ImageError("There is no model whose classes the corrections could be of; choose or make one.")
        highest = int(known.labels[known.flags != 0].max(initial=0))
        if highest >= len(plane.card.classes):
            raise ImageError(f"The labels for {image.name} hold {highest}, which is no class of {plane.card.title}.")
        layer = self._open(plane)
        plane.take_known(known)
        self._viewer.layers.selection.active = layer
        self._hide_masks(self._session.results)
        self.look()
        return layer

    def take_prediction(self) -> int:
        """Write the newest prediction around the corrections; returns how many pixels changed."""
        plane = self._session.correction
        if plane is None:
            return 0
        prediction, plane.based_on = self._prediction(plane)
        changed = plane.take_prediction(prediction)
        self._hide_masks(self._session.results)
        if plane.layer is not None:
            plane.layer.visible = True
            self._viewer.layers.selection.active = plane.layer
        text = f"{changed} pixels were taken over; undo takes them back." if changed else "Nothing differs."
        self._session.correction_notice = Notice(text)
        return changed

    def forget(self) -> None:
        """Make all corrections of the plane on show unknown again, also on disk; the layer keeps what it shows."""
        if self._session.correction is not None:
            self._session.correction.forget()

    def brush(self, label: int | None = None) -> None:
        """Paint with a class, by default the one in hand, or with 0: erase."""
        plane = self._session.correction
        if plane is None or plane.layer is None or not plane.is_open:
            return
        if label is None:
            in_hand = int(plane.layer.selected_label)
            label = in_hand if 0 < in_hand < len(plane.card.classes) else 1
        plane.layer.mode = "paint" if label else "erase"
        if label:
            plane.layer.selected_label = label

    def correct_with(self, label: int | None = None) -> None:
        """Open the layer on which the masks on show are corrected, with this in hand; see `brush`."""
        if self.correct() is not None:
            self.brush(label)

    # What is known

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

    def look(self) -> None:
        """Bring what is shown up to date: after image, plane or layers have changed."""
        session, image = self._session, self._session.image
        for closed in [closed for closed in self._images if closed not in self._viewer.layers]:
            if self._images[closed].keeper.close():  # else it is kept until there is room for it
                self._images.pop(closed)
        if image is None:
            session.correction, session.recovered = None, ""
            return
        ours = self._of(image)
        try:
            key = plane_key(square_in_view(self._viewer, image, self._choices.source(image)))
        except ImageError:
            session.correction = None
            return
        plane = ours.planes.get(key)
        session.correction = plane if plane is not None and plane.is_open else None
        session.recovered = ours.sentence
        session.corrected += 1

    def look_soon(self) -> None:
        """Find out which square of a large image is in view, once the view has come to rest."""
        image, source = self._session.image, self._session.source
        if image is not None and source is not None and is_large(image, source):
            self._soon.start(AT_REST_MS)

    def has_newer(self, plane: PlaneCorrection) -> bool:
        """Whether there is a prediction that the untouched pixels of a plane do not come from."""
        if plane.source.corner is not None:
            known = known_of(self._viewer, plane.image, plane.source)
            return known is not None and known[1] != plane.based_on
        result = newest_result(self._viewer, self._session.results, plane)
        return result is not None and result.state != "running" and result.run_id != plane.based_on

    def prediction(self, plane: PlaneCorrection) -> "npt.NDArray[np.uint8]":
        """(Y, X) the last iteration of the newest prediction of a plane; all 0 where there is none."""
        return self._prediction(plane)[0]

    def close(self) -> None:
        """Write what is left to disk; nothing is told from now on."""
        self._closed = True
        self._soon.stop()
        for ours in self._images.values():
            for plane in ours.planes.values():
                plane.compare()
            ours.keeper.close()

    def flush(self) -> bool:
        """Wait until all is on disk; False when it is not."""
        self.corrected_planes()
        unsaved = [ours for ours in self._images.values() if not ours.keeper.flush()]
        return not unsaved

    # How it is done

    def _of(self, image: "Image") -> ImageCorrections:
        ours = self._images.get(image)
        if ours is None:
            ours = self._images[image] = ImageCorrections(image)
            self._listen(ours)
        return ours

    def _listen(self, ours: ImageCorrections) -> None:
        ours.keeper.found.connect(lambda: self._on_found(ours))
        ours.keeper.problem.connect(lambda sentence: self._on_problem(ours, sentence))

    def _adopt(self, correction: PlaneCorrection) -> None:
        ours = correction.owner
        if isinstance(ours, ImageCorrections) and ours.image not in self._images:
            self._images[ours.image] = ours
            self._listen(ours)
        correction.on_change = self._on_change

    def _plane(self, image: "Image", source: "Source", known: "CorrectionSet | None" = None) -> PlaneCorrection | None:
        """The correction of a plane, with what was kept of it: `known`, or what the journal holds."""
        ours, key = self._of(image), plane_key(source)
        plane = ours.planes.get(key)
        if plane is not None and not plane.known.flags.any() and not self._same_classes(plane.card):
            ours.planes.pop(key)  # opened for another model, and nothing was painted
            if plane.layer is not None and plane.is_open:
                self._viewer.layers.remove(plane.layer)
            plane = None
        if plane is not None and known is not None:
            plane.take_known(known)
        if plane is None:
            card = self._card(image)
            if card is None:
                self._session.correction_notice = Notice("There is no model whose classes could be painted.", "error")
                return None
            known = known or ours.take(key)
            plane = PlaneCorrection(
                self._viewer, image, source, card, known, ours.keeper.append, self._on_change, owner=ours
            )
            ours.planes[key] = plane
        return plane

    def _card(self, image: "Image") -> "ModelCard | None":
        results = results_of(self._viewer, image)
        if results is not None and self._same_classes(results.result.card):
            return results.result.card
        return self._session.model.card if self._session.model is not None else None

    def _same_classes(self, card: "ModelCard") -> bool:
        """Whether masks of a model tell the same apart as the chosen one's."""
        model = self._session.model
        return model is None or [info.name for info in model.card.classes] == [info.name for info in card.classes]

    def _open(self, plane: PlaneCorrection, start: "npt.NDArray[np.uint8] | None" = None) -> "Labels":
        if plane.layer is not None and plane.is_open:
            return plane.layer
        if start is not None:
            return plane.open(start)
        prediction, plane.based_on = self._prediction(plane)
        return plane.open(prediction)

    def _prediction(self, plane: PlaneCorrection) -> "tuple[npt.NDArray[np.uint8], str]":
        """The last iteration of the newest prediction of a plane, and the run's id; nothing where there is none."""
        if plane.source.corner is not None:
            known = known_of(self._viewer, plane.image, plane.source)
            if known is not None and (known[2] is None or self._same_classes(known[2])):
                return known[0](), known[1]
            return np.zeros(plane.known.shape, np.uint8), ""
        result = newest_result(self._viewer, self._session.results, plane)
        if result is None or not self._same_classes(result.card):
            return np.zeros(plane.known.shape, np.uint8), ""
        return result.whole_plane(len(result)), result.run_id

    def _hide_masks(self, results: "ResultLayers | None") -> None:
        """Hide what lies below the correction layer, so that what is erased is seen to go."""
        image = self._session.image
        below = [] if image is None else [layer for layer, _ in large_labels_of(self._viewer, image)]
        for layer in [*below, *(results.all() if results is not None else ())]:
            layer.visible = False

    def _on_found(self, ours: ImageCorrections) -> None:
        if self._closed:
            return
        ours.take_found()
        if ours.keeper.problems:
            self._session.correction_notice = Notice(" ".join(ours.keeper.problems), "warning")
        self.look()

    def _on_problem(self, ours: ImageCorrections, sentence: str) -> None:
        ours.problem = sentence
        if not self._closed:
            self._session.journal_problem = next((each.problem for each in self._images.values() if each.problem), "")

    def _on_change(self, refused: str) -> None:
        if self._closed:
            return
        self._session.correction_notice = Notice(refused, "error") if refused else Notice()
        self._session.corrected += 1


def _foreground(card: "ModelCard") -> str:
    """The classes that are painted, for people."""
    return ", ".join(info.name for info in card.classes[1:])
