"""Correcting masks: which planes are corrected, kept on disk, and found again."""

from typing import TYPE_CHECKING

import numpy as np

from napari_runet.images.image_input import ImageError
from napari_runet.plugin.keeping import Keeper
from napari_runet.plugin.layers import images_in, results_of
from napari_runet.plugin.plane_correction import PlaneCorrection, correction_of, plane_index
from napari_runet.plugin.reading import levels_of, read_layer
from napari_runet.plugin.regions import region_of
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Shapes

    from napari_runet.corrections.correction_set import CorrectionSet
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.layers import ResultLayers
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.regions import RegionKind
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session


class ImageCorrections:
    """What was corrected in one image: by plane, with the journal that keeps it.

    Attributes
    ----------
    planes
        What is or was open in this viewer.
    found
        What the journal held and nobody has opened yet.
    """

    def __init__(self, image: "Image") -> None:
        self.image = image
        self.planes: dict[tuple[int, ...], PlaneCorrection] = {}
        self.found: dict[tuple[int, ...], CorrectionSet] = {}
        self.keeper = Keeper(levels_of(image)[0], image.source.path or "")

    def take_found(self) -> None:
        """Take up what the journal held."""
        self.found = dict(self.keeper.planes)


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
        for layer in viewer.layers:  # those of a panel that was closed
            correction = correction_of(layer)
            if correction is not None:
                self._adopt(correction)

    # What people do

    def correct(self) -> "Labels | None":
        """Open the layer on which the masks on show are corrected, and select it for painting."""
        session = self._session
        image = session.image
        if image is None:
            return None
        results = session.results if session.results is not None and len(session.results.result) else None
        try:
            source = results.result.source if results is not None else self._choices.source(image)
        except ImageError as error:
            session.correction_notice = Notice(str(error), "error")
            return None
        plane = self._plane(image, source)
        if plane is None:
            return None
        layer = self._open(plane)
        self._hide_masks(results)
        layer.visible = True
        self._viewer.layers.selection.active = layer
        layer.mode = "paint"
        session.correction_notice = Notice()
        self.look()
        return layer

    def restore(self) -> bool:
        """Open what the journal kept of the chosen image, exactly as it was; False when there is nothing."""
        image = self._session.image
        ours = self._images.get(image) if image is not None else None
        if image is None or ours is None or not ours.found:
            return False
        problems, opened = [], None
        for index in list(ours.found):
            try:
                source = self._source_at(image, index)
            except ImageError as error:
                problems.append(str(error))
                continue
            if ours.found[index].shape != source.input.plane_shape:
                problems.append(f"{image.name} was {ours.found[index].shape} when plane {index} was corrected.")
                continue
            plane = self._plane(image, source)
            if plane is not None:
                opened = self._open(plane)
        if opened is not None:
            self._viewer.layers.selection.active = opened
            opened.mode = "paint"
            self._hide_masks(self._session.results)
        self._session.correction_notice = Notice(" ".join(problems), "warning" if problems else "info")
        self.look()
        return opened is not None

    def review(self, kind: "RegionKind", shapes: "Shapes | None" = None) -> bool:
        """Take what is in view, or inside the shapes of a layer, as right; False when that cannot be."""
        plane = self._session.correction
        if plane is None:
            return False
        try:
            region = region_of(kind, self._viewer, plane.image, plane.source, shapes)
            if region is not None:
                plane.review(region)
        except ValueError as error:
            self._session.correction_notice = Notice(str(error), "error")
            return False
        return region is not None

    def take_back_review(self) -> None:
        """Forget the region that was reviewed last."""
        if self._session.correction is not None:
            self._session.correction.take_back_review()

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

    def brush(self, label: int) -> None:
        """Paint with a class, or with 0: erase."""
        plane = self._session.correction
        if plane is not None and plane.layer is not None and plane.is_open:
            plane.layer.mode = "paint" if label else "erase"
            if label:
                plane.layer.selected_label = label

    # What is known

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

    def anything_corrected(self) -> bool:
        """Whether something is known of any image in the viewer."""
        planes = (plane for ours in self._images.values() for plane in ours.planes.values())
        return any(plane.known.flags.any() for plane in planes)

    def look(self) -> None:
        """Bring what is shown up to date: after image, plane or layers have changed."""
        session, image = self._session, self._session.image
        for closed in [closed for closed in self._images if closed not in self._viewer.layers]:
            self._images.pop(closed).keeper.close()
        if image is None:
            session.correction, session.recovered = None, ""
            return
        ours = self._of(image)
        try:
            index = plane_index(self._choices.source(image))
        except ImageError:
            session.correction = None
            return
        plane = ours.planes.get(index)
        session.correction = plane if plane is not None and plane.is_open else None
        session.recovered = _sentence(ours)
        session.corrected += 1

    def has_newer(self, plane: PlaneCorrection) -> bool:
        """Whether there is a prediction that the untouched pixels of a plane do not come from."""
        result = self._newest(plane)
        return result is not None and result.state != "running" and result.run_id != plane.based_on

    def prediction(self, plane: PlaneCorrection) -> "npt.NDArray[np.uint8]":
        """(Y, X) the last iteration of the newest prediction of a plane; all 0 where there is none."""
        return self._prediction(plane)[0]

    def close(self) -> None:
        """Write what is left to disk; nothing is told from now on."""
        self._closed = True
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
        ours.keeper.problem.connect(self._on_problem)

    def _adopt(self, correction: PlaneCorrection) -> None:
        ours = correction.owner
        if isinstance(ours, ImageCorrections) and ours.image not in self._images:
            self._images[ours.image] = ours
            self._listen(ours)
        correction.on_change = self._on_change

    def _plane(self, image: "Image", source: "Source") -> PlaneCorrection | None:
        """The correction of a plane, with what the journal kept of it."""
        ours, index = self._of(image), plane_index(source)
        plane = ours.planes.get(index)
        if plane is None:
            card = self._card(image)
            if card is None:
                self._session.correction_notice = Notice("There is no model whose classes could be painted.", "error")
                return None
            known = ours.found.get(index)
            if known is not None and known.shape != source.input.plane_shape:
                known = None
            ours.found.pop(index, None)
            plane = PlaneCorrection(
                self._viewer, image, source, card, known, ours.keeper.append, self._on_change, owner=ours
            )
            ours.planes[index] = plane
        return plane

    def _card(self, image: "Image") -> "ModelCard | None":
        results = results_of(self._viewer, image)
        if results is not None:
            return results.result.card
        return self._session.model.card if self._session.model is not None else None

    def _open(self, plane: PlaneCorrection) -> "Labels":
        if plane.layer is not None and plane.is_open:
            return plane.layer
        prediction, plane.based_on = self._prediction(plane)
        return plane.open(prediction)

    def _newest(self, plane: PlaneCorrection) -> "Result | None":
        """The newest prediction of a plane."""
        for results in (self._session.results, results_of(self._viewer, plane.image)):
            if results is None or results.image is not plane.image or not len(results.result):
                continue
            if plane_index(results.result.source) == plane.known.index:
                return results.result
        return None

    def _prediction(self, plane: PlaneCorrection) -> "tuple[npt.NDArray[np.uint8], str]":
        """The last iteration of the newest prediction of a plane, and the run's id; nothing where there is none."""
        result = self._newest(plane)
        if result is None:
            return np.zeros(plane.known.shape, np.uint8), ""
        return result.whole_plane(len(result)), result.run_id

    def _source_at(self, image: "Image", index: tuple[int, ...]) -> "Source":
        """The plane that corrections were filed under."""
        source = self._choices.source(image)
        level = index[-1] if source.levels > 1 else 0
        position = index[:-1] if source.levels > 1 else index
        if len(position) != len(source.index) or level >= source.levels:
            raise ImageError(f"{image.name} was read in another way when plane {index} was corrected.")
        if level != source.level:
            reading = self._choices.reading(image)
            source = read_layer(image, self._viewer.dims.point, type(reading)(reading.axes, level))
        return type(source)(source.input, position, source.letters, source.level, source.levels, source.factors)

    def _hide_masks(self, results: "ResultLayers | None") -> None:
        """Hide what lies below the correction layer, so that what is erased is seen to go."""
        for layer in results.all() if results is not None else ():
            layer.visible = False

    def _on_found(self, ours: ImageCorrections) -> None:
        if self._closed:
            return
        ours.take_found()
        for index, known in list(ours.found.items()):  # opened before the journal was
            plane = ours.planes.get(index)
            if plane is not None and plane.known.shape == known.shape:
                del ours.found[index]
                plane.take_known(known)
        if ours.keeper.problems:
            self._session.correction_notice = Notice(" ".join(ours.keeper.problems), "warning")
        self.look()

    def _on_problem(self, sentence: str) -> None:
        if not self._closed:
            self._session.journal_problem = sentence

    def _on_change(self, refused: str) -> None:
        if self._closed:
            return
        self._session.correction_notice = Notice(refused, "error") if refused else Notice()
        self._session.corrected += 1


def _sentence(ours: ImageCorrections) -> str:
    """What the journal kept and nobody has opened, for people; empty for nothing."""
    counts = [known.counts for known in ours.found.values()]
    if not counts:
        return ""
    regions = sum(count.reviewed_regions for count in counts)
    planes = f" on {len(counts)} planes" if len(counts) > 1 else ""
    return (
        f"Corrections of {ours.image.name} were kept: {sum(count.added for count in counts)} px added, "
        f"{sum(count.removed for count in counts)} removed, {regions} regions reviewed{planes}."
    )
