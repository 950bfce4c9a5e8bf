"""One plane that is being corrected: its layer, and what a person has said about its pixels."""

from typing import TYPE_CHECKING

import numpy as np

from napari_runet.corrections.correction import REVIEWED, SQUARE, bounding_box
from napari_runet.corrections.correction_set import CorrectionSet
from napari_runet.plugin.correction_layers import Outline
from napari_runet.plugin.layers import CORRECTION, label_colors
from napari_runet.plugin.painted_layer import PaintedLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_runet.corrections.correction import Change
    from napari_runet.images.image_input import Region
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.reading import Source

    Plane = npt.NDArray[np.uint8]

SIDE = SQUARE


def plane_index(source: "Source") -> tuple[int, ...]:
    """What a plane's corrections are filed under: its position, and its level where there are several.

    Those of a square of a plane are filed under its position, level 0, and which square it is.
    """
    if source.corner is not None:
        return (*source.index, source.level, *(first // SIDE for first in source.corner))
    return (*source.index, source.level) if source.levels > 1 else source.index


class PlaneCorrection:
    """An editable Labels layer, whose strokes are compared with what it held before.

    Predictions never write to the layer, unless a person asks for it (`take_prediction`).

    Parameters
    ----------
    viewer, image, source
        Where the layer goes, the image it lies on, and the plane of it.
    card
        The model whose classes are painted.
    known
        What is known already, from the journal.
    keep
        Takes each change, for the journal.
    on_change
        Told when something was corrected; with a sentence where something was refused, else an empty string.
    owner
        What keeps the corrections of the whole image.

    Attributes
    ----------
    based_on
        The prediction that the untouched pixels come from; empty for none.
    """

    def __init__(
        self,
        viewer: "ViewerModel",
        image: "Image",
        source: "Source",
        card: "ModelCard",
        known: CorrectionSet | None,
        keep: "Callable[[Change], None]",
        on_change: "Callable[[str], None]",
        owner: object = None,
    ) -> None:
        self.image = image
        self.source = source
        self.card = card
        self.known = known or CorrectionSet(source.input.plane_shape, plane_index(source))
        if not self.known.flags.any() or not self.known.classes:  # else they stay what they were painted as
            self.known.classes = card.class_names
        self.keep = keep
        self.on_change = on_change
        self.owner = owner
        self.based_on = ""
        self._painted = PaintedLayer(viewer, image, source, self.compare)
        self._outline = Outline(viewer, image, source)
        self._taken: list[tuple[Plane, Plane]] = []

    def __deepcopy__(self, memo: object) -> "PlaneCorrection":
        """A duplicated layer is not the one that is watched."""
        return self

    @property
    def layer(self) -> "Labels | None":
        """The layer that is painted on; None before it was opened."""
        return self._painted.layer

    @property
    def is_open(self) -> bool:
        """Whether its layer is in the viewer."""
        return self._painted.is_open

    @property
    def shown(self) -> "Plane":
        """(Y, X) the labels that the layer holds now; not to be written to."""
        self.compare()
        return self._painted.before

    @property
    def outline(self) -> "Labels | None":
        """The layer that outlines what was reviewed; None before something was."""
        return self._outline.layer

    def open(self, start: "Plane") -> "Labels":
        """Add the layer, as `start` with every known pixel as the person set it; or find it where it is."""
        if self.layer is not None and self.is_open:
            return self.layer
        self._taken.clear()
        layer = self._painted.open(self.known.pin(start), label_colors(self.card), {CORRECTION: self})
        self._draw_outline()
        return layer

    # What people do

    def compare(self) -> None:
        """Take over what has changed in the layer since the last time."""
        painted = self._painted
        if painted.layer is None or painted.in_stroke:
            return  # the end of a stroke is told
        act, before = painted.act(), painted.before
        different = painted.now() != before
        box = bounding_box(different)
        if box is None:
            return
        now = painted.now().copy()
        if act in ("undo", "redo") and self._moves_a_prediction(now):
            different &= self.known.flags != 0
            reached = np.where(different, now, before)
            change = self.known.update_from_difference(before, reached, act)
        else:
            try:
                change = self.known.update_from_difference(before, now, act)
            except ValueError as error:
                painted.overwrite(before)
                self.on_change(str(error))
                return
        painted.before = now
        if change is not None:
            self.keep(change)
        self.on_change(self._odd_label(now[box][different[box]]))

    def paint(
        self, rows: "npt.NDArray[np.intp]", columns: "npt.NDArray[np.intp]", label: "int | npt.NDArray[np.uint8]"
    ) -> None:
        """Give pixels of the plane a class, or one each, as one stroke that a person made."""
        wanted = self.shown.copy()
        wanted[rows, columns] = label
        self._painted.write(wanted)
        self.compare()

    def review(self, region: "Region") -> None:
        """Take all within a region as right, as the layer shows it.

        Raises
        ------
        ValueError
            When it lies outside the plane.
        """
        self.compare()
        self.keep(self.known.review(region, self._painted.before))
        self._draw_outline()
        self.on_change("")

    def take_back_review(self) -> None:
        """Forget the region that was reviewed last."""
        if self.known.regions:
            self.compare()
            self.keep(self.known.take_back_review(len(self.known.regions) - 1))
            self._draw_outline()
            self.on_change("")

    def take_prediction(self, prediction: "Plane") -> int:
        """Write a prediction around the corrections, as one step for undo; returns how many pixels changed."""
        self.compare()
        if self.layer is None:
            return 0
        wanted, before = self.known.pin(prediction), self._painted.before
        changed = int((wanted != before).sum())
        if changed:
            self._taken.append((before, wanted))
            self._painted.write(wanted)
            self._painted.pass_over()
        self.on_change("")
        return changed

    def painted(self) -> "Plane":
        """(Y, X) what the layer shows now."""
        return self.shown.copy()

    def forget(self) -> None:
        """Make every pixel unknown again; the layer keeps what it shows."""
        self.compare()
        self.keep(self.known.forget())
        self._draw_outline()
        self.on_change("")

    def take_known(self, earlier: CorrectionSet) -> None:
        """Take up what the journal held, where this was opened before the journal was; what was painted since wins."""
        self.compare()
        regions = (*earlier.regions, *self.known.regions)
        earlier.apply(self.known.snapshot())
        earlier.regions = regions
        self.known = earlier
        self.keep(self.known.snapshot())
        self._painted.overwrite(self.known.pin(self._painted.now()))
        self._draw_outline()
        self.on_change("")

    # How it is done

    def _moves_a_prediction(self, now: "Plane") -> bool:
        """Whether this undoes or redoes `take_prediction`, which is nothing that a person said about pixels."""
        held = self._painted.before
        return any(
            (np.array_equal(held, after) and np.array_equal(now, before))
            or (np.array_equal(held, before) and np.array_equal(now, after))
            for before, after in self._taken
        )

    def _odd_label(self, labels: "Plane") -> str:
        classes = self.card.classes
        highest = int(labels.max(initial=0))
        if highest < len(classes):
            return ""
        names = ", ".join(f"{number} {info.name}" for number, info in enumerate(classes))
        return f"Label {highest} is no class of {self.card.title} ({names}); undo, or paint it over."

    def _draw_outline(self) -> None:
        if self.layer is not None:
            self._outline.draw((self.known.flags & REVIEWED) != 0)


def corrections_over(viewer: "ViewerModel", image: "Image", index: tuple[int, ...]) -> list[PlaneCorrection]:
    """The corrections whose layers are to be seen on a plane of an image."""
    there = (correction_of(layer) for layer in viewer.layers if layer.visible)
    return [plane for plane in there if plane is not None and plane.image is image and plane.source.index == index]


def correction_of(layer: object) -> PlaneCorrection | None:
    """What a layer corrects; None for a layer that corrects nothing, or a duplicate of one that does."""
    owner = getattr(layer, "metadata", {}).get(CORRECTION)
    return owner if isinstance(owner, PlaneCorrection) and layer is owner.layer else None
