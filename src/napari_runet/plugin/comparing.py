"""A candidate's mask beside that of the current model."""

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Labels

from napari_runet.images.image_input import ImageError
from napari_runet.images.thresholding import labels_from
from napari_runet.plugin.layer_writing import set_visible
from napari_runet.plugin.layers import CHANGE_COLORS, label_colormap, label_colors
from napari_runet.plugin.placing import place
from napari_runet.plugin.regions import region_of

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_runet.images.image_input import Region
    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.plane_correction import PlaneCorrection

CANDIDATE_COLORS = "#00d5ff", "#ffd500"
"""Of which a candidate's mask takes the one that is further from the model's own colour."""


class Comparison:
    """Shows what a candidate would make of a plane, in layers of its own, and flips between that and what is there.

    Parameters
    ----------
    viewer, plane
        Where the layers go, and the plane that is compared on.
    card
        Of the model that fine-tuning started from.
    """

    def __init__(self, viewer: "ViewerModel", plane: "PlaneCorrection", card: "ModelCard") -> None:
        self._viewer = viewer
        self.plane = plane
        self.card = card
        self.mask: Labels | None = None
        self.changes: Labels | None = None
        self._hidden: list[Layer] = []

    def show(self, foreground: "npt.NDArray[np.uint8]", region: "Region | None", what: str) -> None:
        """Show probabilities (K, h, w) uint8 of a box of the plane, or of all of it, as the candidate's mask."""
        colors = label_colors(self.card)
        colors = colors if len(colors) > 1 else {1: _unlike(colors[1])}
        mask = labels_from(foreground, self.card.threshold)
        self.mask = self._put(self.mask, mask, region, f"{self.plane.image.name} · {what}", colors)

    def show_changes(self, before: "npt.NDArray[np.uint8]", after: "npt.NDArray[np.uint8]") -> int:
        """Show the pixels that differ between two masks of the plane, hidden at first; returns how many there are."""
        differ = before != after
        plane = np.where(differ, np.where(after > 0, 1, 2), 0).astype(np.uint8)
        name = f"{self.plane.image.name} · changed by the candidate"
        first = self.changes is None
        self.changes = self._put(self.changes, plane, None, name, CHANGE_COLORS)
        if first:
            set_visible(self.changes, False)
        return int(differ.sum())

    def in_view(self) -> "Region | None":
        """The part of the plane that is in view; None where that cannot be told."""
        try:
            return region_of("view", self._viewer, self.plane.image, self.plane.source, None)
        except ImageError:
            return None

    @property
    def flipped(self) -> bool:
        """Whether the candidate's mask is shown alone."""
        return bool(self._hidden)

    def flip(self) -> None:
        """Show the candidate's mask and hide what lies on the image besides, or the other way round."""
        if self.mask is None or self.mask not in self._viewer.layers:
            return
        if self._hidden:
            for layer in self._hidden:
                if layer in self._viewer.layers:
                    set_visible(layer, True)
            self._hidden = []
            set_visible(self.mask, False)
        else:
            self._hidden = [
                layer
                for layer in self._viewer.layers
                if isinstance(layer, Labels) and layer.visible and layer not in (self.mask, self.changes)
            ]
            for layer in self._hidden:
                set_visible(layer, False)
            set_visible(self.mask, True)

    def close(self) -> None:
        """Take the layers away and show what was hidden."""
        for layer in self._hidden:
            if layer in self._viewer.layers:
                set_visible(layer, True)
        self._hidden = []
        with self._viewer.layers.batched_update():
            for layer in (self.mask, self.changes):
                if layer is not None and layer in self._viewer.layers:
                    self._viewer.layers.remove(layer)
        self.mask = self.changes = None

    def _put(
        self,
        layer: Labels | None,
        plane: "npt.NDArray[np.uint8]",
        region: "Region | None",
        name: str,
        colors: dict[int, str],
    ) -> Labels:
        placement = place(self.plane.image, self.plane.source, region)
        data = placement.lift(plane)
        if layer is not None and layer in self._viewer.layers:
            layer.data = data
            layer.name = name
            layer.translate = placement.transform["translate"]
            layer.editable = False
            return layer
        layer = Labels(data, name=name, colormap=label_colormap(colors), opacity=0.5, **placement.transform)
        active = self._viewer.layers.selection.active
        self._viewer.add_layer(layer)
        layer.editable = False
        self._viewer.layers.selection.active = active
        return layer


def _unlike(color: str) -> str:
    """The colour for a candidate's mask beside a mask of a colour, #rrggbb."""

    def distance(other: str) -> float:
        pairs = [(int(color[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5)]
        return sum((one - two) ** 2 for one, two in pairs)

    return max(CANDIDATE_COLORS, key=distance)
