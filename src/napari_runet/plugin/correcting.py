"""Correcting masks: what people do to begin, to go on and to take over."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.brush import Brush
from napari_runet.plugin.corrected_images import CorrectedImages
from napari_runet.plugin.image_corrections import plane_key, source_at
from napari_runet.plugin.large_layers import is_large
from napari_runet.plugin.layer_writing import remove, set_visible
from napari_runet.plugin.layers import found_in, large_labels_of
from napari_runet.plugin.plane_correction import PlaneCorrection, corrections_over
from napari_runet.plugin.plane_predictions import Predictions
from napari_runet.plugin.reviewing import Reviewing
from napari_runet.plugin.session import Notice
from napari_runet.plugin.squares import is_square, square_in_view
from napari_runet.wording import counted

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_runet.corrections.correction_set import CorrectionSet
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

    Attributes
    ----------
    images
        What is known of each image.
    predictions
        What planes begin as.
    reviewing
        Takes regions as right.
    in_hand
        Goes along from plane to plane.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices") -> None:
        self._viewer = viewer
        self._session = session
        self._choices = choices
        self.images = CorrectedImages(viewer, session, choices, self.look)
        self.predictions = Predictions(viewer, session)
        self.reviewing = Reviewing(viewer, session)
        self.in_hand = Brush(viewer, session, choices, self.correct)
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self.look)

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
        some = session.results is not None and len(session.results.result) > 0
        shown = session.results.card if session.results is not None and some else None
        other = None if shown is None or self.predictions.same_classes(shown) else shown
        try:
            source = square_in_view(self._viewer, image, self._choices.source(image))
        except ImageError as error:
            session.correction_notice = Notice(str(error), "error")
            return None
        if start is not None and source.corner is not None:
            y, x = source.corner
            start = start[y : y + source.input.plane_shape[0], x : x + source.input.plane_shape[1]]
        plane = self.open(image, source, start=start)
        if plane is None:
            return None
        if other is not None and start is None and not plane.known.flags.any():
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

        A new one begins as `start`, else as what is known of the plane, and where that is nothing as `otherwise`,
        each (Y, X). None where there is no model whose classes could be painted.
        """
        plane = self._plane(image, source)
        if plane is None:
            return None
        if start is None and otherwise is not None and not self.predictions.labels(plane)[1]:
            start = otherwise
        layer = self._open(plane, start)
        self._hide_masks(image)
        set_visible(layer, True)
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        self._session.correction_notice = self._notice_on(plane)
        self.look()
        return plane

    def restore(self) -> bool:
        """Open what was kept of the chosen image, exactly as it was; False when there is nothing that can be."""
        image = self._session.image
        if image is None:
            return False
        ours = self.images.of(image)
        problems, notices, opened, squares = [], [], None, 0
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
                notices.append(self._notice_on(plane).text)
        if opened is not None:
            self._viewer.layers.selection.active = opened
            opened.mode = "paint"
            self._hide_masks(image)
        if problems or opened is not None:
            text = " ".join(dict.fromkeys([*problems, *filter(None, notices)]))
            self._session.correction_notice = Notice(text, "warning" if text else "info")
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
        known.index = plane.known.index  # of an image with levels, no level may be named
        plane.take_known(known)
        self._viewer.layers.selection.active = layer
        self._hide_masks(image)
        self.look()
        return layer

    def take_prediction(self) -> int:
        """Write the newest prediction around the corrections; returns how many pixels changed."""
        plane = self._session.correction
        if plane is None:
            return 0
        prediction, run = self.predictions.labels(plane)
        changed = 0
        if run:
            plane.based_on = run
            changed = plane.take_prediction(prediction)
        self._hide_masks(plane.image)
        if plane.layer is not None:
            set_visible(plane.layer, True)
            self._viewer.layers.selection.active = plane.layer
        text = f"{counted(changed, 'pixel')} taken over; undo takes it back." if changed else "Nothing differs."
        self._session.correction_notice = Notice(text)
        return changed

    def forget(self) -> None:
        """Make all corrections of the plane on show unknown again, also on disk; the layer keeps what it shows."""
        if self._session.correction is not None:
            self._session.correction.forget()

    def brush(self, label: int | None = None) -> None:
        """Paint with a class, by default the one in hand, or with 0: erase; where nothing is corrected, begin."""
        plane = self._session.correction
        if plane is None:
            self.correct_with(label)
            return
        if plane.layer is None or not plane.is_open:
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

    # What follows from it

    def look(self) -> None:
        """Bring what is shown up to date: after image, plane or layers have changed."""
        session, image = self._session, self._session.image
        self.images.drop_closed()
        if image is None:
            session.correction, session.recovered = None, ""
            return
        ours, before = self.images.of(image), session.correction
        try:
            source = self._choices.source(image)
            key = plane_key(square_in_view(self._viewer, image, source))
        except ImageError:
            session.correction = None
            return
        plane = ours.planes.get(key)
        session.correction = plane if plane is not None and plane.is_open else None
        self._cover(image, source, before)
        self.in_hand.follow()
        session.recovered = ours.sentence
        session.corrected += 1

    def look_soon(self) -> None:
        """Find out which square of a large image is in view, once the view has come to rest."""
        image, source = self._session.image, self._session.source
        if image is not None and source is not None and is_large(image, source):
            self._soon.start(AT_REST_MS)

    def close(self) -> None:
        """Write what is left to disk; nothing is told from now on."""
        self._soon.stop()
        self.images.close()

    def flush(self) -> bool:
        """Wait until all is on disk; False when it is not."""
        return self.images.flush()

    # How it is done

    def _plane(self, image: "Image", source: "Source", known: "CorrectionSet | None" = None) -> PlaneCorrection | None:
        """The correction of a plane, with what was kept of it: `known`, or what the journal holds."""
        ours, key = self.images.of(image), plane_key(source)
        plane = ours.planes.get(key)
        if plane is not None and not plane.known.flags.any() and not self.predictions.same_classes(plane.card):
            ours.planes.pop(key)  # opened for another model, and nothing was painted
            remove(self._viewer, plane.layer, plane.outline)
            plane = None
        if plane is not None and known is not None:
            plane.take_known(known)
        if plane is None:
            kept = known or ours.found.get(key)
            card = self.predictions.card(image, kept.classes if kept is not None else ())
            if card is None:
                self._session.correction_notice = Notice("There is no model whose classes could be painted.", "error")
                return None
            known = known or ours.take(key)
            plane = PlaneCorrection(
                self._viewer, image, source, card, known, ours.keeper.append, self.images.on_change, owner=ours
            )
            ours.planes[key] = plane
        return plane

    def _open(self, plane: PlaneCorrection, start: "npt.NDArray[np.uint8] | None" = None) -> "Labels":
        if plane.layer is not None and plane.is_open:
            return plane.layer
        if start is not None:
            return plane.open(start)
        prediction, plane.based_on = self.predictions.labels(plane)
        return plane.open(prediction)

    def _notice_on(self, plane: PlaneCorrection) -> Notice:
        """What is to be said of a layer that is opened: whether the chosen model can learn from it."""
        model, theirs = self._session.model, plane.known.classes
        if model is None or not plane.known.flags.any() or theirs in ((), model.card.class_names):
            return Notice()
        return Notice(
            f"What was painted here is {', '.join(theirs[1:])}, and {model.card.title} finds "
            f"{_foreground(model.card)}: it learns nothing from this layer. To go on, choose a model of those classes.",
            "warning",
        )

    def _hide_masks(self, image: "Image") -> None:
        """Hide what lies below a correction layer of an image, so that what is erased is seen to go."""
        self._session.playing = False  # which would show it again
        for layer, _ in large_labels_of(self._viewer, image):
            set_visible(layer, False)
        for results in self._masks_of(image):
            results.cover()

    def _masks_of(self, image: "Image") -> "list[ResultLayers]":
        return [results for results in found_in(self._viewer) if results.image is image]

    def _cover(self, image: "Image", source: "Source", came_from: PlaneCorrection | None) -> None:
        """Hide the masks of a plane that was reached and is corrected, and show those of one that is not."""
        plane = self._session.correction
        if not corrections_over(self._viewer, image, source.index):
            for results in self._masks_of(image):
                results.uncover()
        elif plane is not None and plane is not came_from and plane.source.corner is None:
            self._hide_masks(image)


def _foreground(card: "ModelCard") -> str:
    """The classes that are painted, for people."""
    return ", ".join(card.class_names[1:])
