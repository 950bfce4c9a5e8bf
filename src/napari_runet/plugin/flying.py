"""Flying the view to a layer, and back to where it was before."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEasingCurve, QObject, QVariantAnimation

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

FLIGHT_MS = 350
MARGIN = 0.7
"""Share of the canvas that is left around a layer: enough of its surroundings to judge it by."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera looks: the middle, in world coordinates, and canvas pixels for each world unit."""

    center: tuple[float, ...]
    zoom: float


def view_of(viewer: "ViewerModel", layer: "Layer", margin: float) -> View | None:
    """The view in which a layer fills the canvas but for a margin, a share of it; None where that is not in 2D.

    napari's own way fails for a layer of fewer dimensions than another one has.
    """
    missing = viewer.dims.ndim - layer.ndim
    axes = [axis - missing for axis in viewer.dims.displayed if axis >= missing]
    if viewer.dims.ndisplay != 2 or len(axes) != 2:
        return None
    (first, last), step = layer.extent.world[:, axes], np.abs(layer.extent.step[axes])
    sizes = np.asarray(viewer.canvas.viewbox_size(viewer.layers)) / (last - first + step)
    y, x = (first + last) / 2
    return View((0.0, float(y), float(x)), (1 - margin) * float(sizes.min()))


def fit_to_view(viewer: "ViewerModel", layer: "Layer", margin: float = 0.05) -> None:
    """Have a layer fill the two-dimensional view but for a margin, a share of the canvas."""
    view = view_of(viewer, layer, margin)
    if view is not None:
        viewer.scene.camera.center, viewer.scene.camera.zoom = view.center, view.zoom


class Flight(QObject):
    """Moves the camera of a viewer in two dimensions.

    Parameters
    ----------
    viewer
        Whose view is moved.
    parent
        With which it ends.
    """

    def __init__(self, viewer: "ViewerModel", parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._before: View | None = None
        self._start = self._end = self.view
        self._animation = QVariantAnimation(self)
        self._animation.setDuration(FLIGHT_MS)
        self._animation.setStartValue(0.0)
        self._animation.setEndValue(1.0)
        self._animation.setEasingCurve(QEasingCurve.Type.InOutCubic)
        self._animation.valueChanged.connect(self._move)

    @property
    def view(self) -> View:
        """What is in view now."""
        camera = self._viewer.scene.camera
        return View(tuple(float(value) for value in camera.center), float(camera.zoom))

    @property
    def is_flying(self) -> bool:
        """Whether the view is on its way."""
        return self._animation.state() == QVariantAnimation.State.Running

    def to(self, layer: "Layer") -> None:
        """Fly to a layer; the view from before the first flight is remembered."""
        here = self.view
        if self._before is None:
            self._before = here
        self._fly(view_of(self._viewer, layer, MARGIN) or here)

    def back(self) -> None:
        """Fly out to where the view was before the first flight."""
        before, self._before = self._before, None
        if before is not None:
            self._fly(before)

    def forget(self) -> None:
        """Stay here, and take the view from before the next flight for that from before the first."""
        self._animation.stop()
        self._before = None

    def stop(self) -> None:
        """Stay where the view is now."""
        self._animation.stop()

    def _fly(self, wanted: View) -> None:
        self._animation.stop()
        self._start, self._end = self.view, wanted
        self._animation.start()

    def _move(self, share: float) -> None:
        start, end = self._start, self._end
        center = tuple(a + (b - a) * share for a, b in zip(start.center, end.center, strict=True))
        self._set(View(center, start.zoom * (end.zoom / start.zoom) ** share))

    def _set(self, view: View) -> None:
        self._viewer.scene.camera.center = view.center
        self._viewer.scene.camera.zoom = view.zoom
