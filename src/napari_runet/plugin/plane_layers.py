"""The layers that show more about one plane: what changed at an iteration, how confident it was, how doubtful it is."""

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from napari_runet.plugin.layer_writing import (
    add_unselected,
    is_marked,
    mark,
    move,
    new_labels,
    remove,
    set_visible,
    unmark,
    write_labels,
)
from napari_runet.plugin.layers import CHANGE_COLORS, OWNER, RECORD
from napari_runet.plugin.placing import place

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_runet.plugin.results import Result


class PlaneLayers:
    """A layer of changes, one of confidence and one of uncertainty, which lie on the plane that they were asked for.

    Parameters
    ----------
    viewer, image
        Where they are added, and what they lie on.
    owner
        Kept in their metadata, by which they are found again.
    """

    def __init__(self, viewer: "ViewerModel", image: Image, owner: object) -> None:
        self._viewer, self._image, self._owner = viewer, image, owner
        self.changes: Labels | None = None
        self.confidence: Image | None = None
        self.uncertainty: Image | None = None

    def all(self) -> "list[Layer]":
        """Those that are in the viewer."""
        there = self._viewer.layers
        layers = self.changes, self.confidence, self.uncertainty
        return [layer for layer in layers if layer is not None and layer in there]

    def begin(self, result: "Result") -> None:
        """Mark what shows an earlier run over the plane, or another reading of the image."""
        for layer in self.all():
            record = layer.metadata[RECORD]
            if record["plane"] == list(result.source.index) or record["level"] != result.source.level:
                mark(layer)

    def finish(self) -> None:
        """Take away what is of an earlier run."""
        remove(self._viewer, *(layer for layer in self.all() if is_marked(layer)))

    def show_changes(self, result: "Result", iteration: int, visible: bool) -> None:
        """Draw, or hide, the pixels that flipped at an iteration."""
        if not visible or not len(result):
            self.draw_changes(result, None)
            return
        self.draw_changes(result, result.changes(iteration), iteration)

    def draw_changes(self, result: "Result", plane: "npt.NDArray[np.uint8] | None", iteration: int = 0) -> None:
        """Draw pixels of what was segmented that were added (1) or removed (2); None hides them.

        `iteration` is noted in the layer's metadata, the last one when 0.
        """
        there = self.changes is not None and self.changes in self._viewer.layers
        if plane is None:
            if there and self.changes is not None:
                set_visible(self.changes, False)
            return
        placement = place(self._image, result.source, result.region)
        data = placement.lift(plane)
        if self.changes is None or not there or self.changes.ndim != data.ndim:
            remove(self._viewer, self.changes)
            self.changes = new_labels(data, placement, f"{result.title} · changes", CHANGE_COLORS, opacity=1.0)
            self.changes.metadata[OWNER] = self._owner
        else:
            write_labels(self.changes, data, placement)
        self.changes.metadata[RECORD] = result.record(iteration or len(result))
        add_unselected(self._viewer, self.changes)
        set_visible(self.changes, True)

    def show_confidence(self, result: "Result", iteration: int) -> Image:
        """Show the confidence of an iteration as an Image layer."""
        self.confidence = self._show_image(
            self.confidence, result, iteration, result.confidence(iteration), "confidence",
            colormap="viridis", contrast_limits=(0.5, 1.0),
        )  # fmt: skip
        return self.confidence

    def show_uncertainty(self, result: "Result", score: "npt.NDArray[np.uint8] | None") -> None:
        """Show how doubtful each pixel is, (Y, X) uint8, as an Image layer; or hide it."""
        if score is None:
            if self.uncertainty is not None and self.uncertainty in self._viewer.layers:
                set_visible(self.uncertainty, False)
            return
        active = self._viewer.layers.selection.active
        self.uncertainty = self._show_image(
            self.uncertainty, result, len(result), score, "uncertainty",
            colormap="inferno", contrast_limits=(0, 255), blending="additive",
        )  # fmt: skip
        self._viewer.layers.selection.active = active

    def _show_image(
        self,
        layer: Image | None,
        result: "Result",
        iteration: int,
        plane: "npt.NDArray[Any]",
        what: str,
        **looks: Any,
    ) -> Image:
        """Have a layer show values of a plane; a new one where there is none that fits."""
        placement = place(self._image, result.source, result.region)
        data = placement.lift(plane)
        if layer is not None and layer in self._viewer.layers and layer.ndim == data.ndim:
            layer.data = data
            move(layer, placement)
            unmark(layer)
            set_visible(layer, True)
        else:
            name = f"{result.title} · {what}"
            looks = {"opacity": 0.7, "metadata": {OWNER: self._owner}, **looks}
            layer = Image(data, name=name, **looks, **placement.transform)
            self._viewer.add_layer(layer)
        layer.metadata[RECORD] = result.record(iteration)
        return layer
