"""The layer that is painted on: what it holds, what it held before, and what was done to it, as far as napari tells."""

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QTimer

from napari_runet.plugin.correction_layers import new_layer, plane_of
from napari_runet.plugin.placing import place

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Image, Labels

    from napari_runet.corrections.history import Act
    from napari_runet.plugin.reading import Source

    Plane = npt.NDArray[np.uint8]

BRUSH_SIZE = 5


class PaintedLayer:
    """An editable Labels layer on one plane of an image.

    napari's own events only say that something may have changed; a comparison of `now` with `before`, once the event
    loop is reached, says what.

    Parameters
    ----------
    viewer, image, source
        Where the layer goes, the image it lies on, and the plane of it.
    look
        Called once the event loop is reached, after something may have changed.

    Attributes
    ----------
    layer
        None before it was opened.
    before
        (Y, X) what the layer held when it was last looked at; not to be written to.
    """

    def __init__(self, viewer: "ViewerModel", image: "Image", source: "Source", look: "Callable[[], object]") -> None:
        self._viewer, self._image, self._source = viewer, image, source
        self.layer: Labels | None = None
        self.before: Plane = np.zeros(source.input.plane_shape, np.uint8)
        self._plane = self.before.copy()
        self._painted = False
        self._undone = 0
        self._soon = QTimer()
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(look)

    @property
    def is_open(self) -> bool:
        """Whether it is in the viewer."""
        return self.layer is not None and self.layer in self._viewer.layers

    @property
    def in_stroke(self) -> bool:
        """Whether a stroke is being painted."""
        return bool(getattr(self.layer, "_block_history", False))

    def open(self, start: "Plane", colors: dict[int, str], metadata: dict[str, object]) -> "Labels":
        """Add a new layer, whose memory is `start`, (Y, X)."""
        self._plane = start
        self.before = start.copy()
        self._undone = 0
        self.layer = new_layer(self._image, self._source, start, "correction", colors)
        self.layer.metadata.update(metadata)
        self._viewer.add_layer(self.layer)
        self.layer.bounding_box.visible = self._source.corner is not None  # where it ends is not where the image does
        self.layer.brush_size = BRUSH_SIZE
        self.layer.selected_label = 1
        self.layer.events.paint.connect(self._on_paint)
        self.layer.events.set_data.connect(self._look_soon)
        return self.layer

    def now(self) -> "Plane":
        """The (Y, X) plane that the layer holds; of somebody else's array where the layer was given one."""
        if self.layer is None or np.shares_memory(self.layer.data, self._plane):
            return self._plane
        plane = plane_of(self.layer, self._image, self._source)
        return plane if plane.shape == self.before.shape else self.before

    def write(self, wanted: "Plane") -> None:
        """Have the layer hold a plane, as one step for undo."""
        if self.layer is not None:
            data = place(self._image, self._source).lift(wanted)
            where = np.nonzero(self.layer.data != data)
            self.layer.data_setitem(where, data[where])

    def overwrite(self, wanted: "Plane") -> None:
        """Have the layer hold a plane, which is no step for undo, and nothing that was done to it."""
        self.now()[...] = wanted
        self.before = self.now().copy()
        if self.layer is not None:
            self.layer.refresh()

    def pass_over(self) -> None:
        """Take what was done to the layer since it was last looked at for seen."""
        self.before = self.now().copy()
        self.act()

    def act(self) -> "Act | None":
        """Whether the last change was a stroke, an undo or a redo, as far as napari tells; asked once a change."""
        undone = len(getattr(self.layer, "_redo_history", ()))
        painted, before = self._painted, self._undone
        self._painted, self._undone = False, undone
        if painted:
            return "stroke"
        return "undo" if undone > before else "redo" if undone < before else None

    def _on_paint(self) -> None:
        self._painted = True
        self._look_soon()

    def _look_soon(self) -> None:
        self._soon.start(0)
