"""Saying that a whole region is right: what is in view, inside shapes, or inside a lasso drawn for it."""

from typing import TYPE_CHECKING

from napari.layers import Shapes
from qtpy.QtCore import QTimer

from napari_runet.plugin.correction_layers import REVIEW_COLOR, plane_name
from napari_runet.plugin.placing import place
from napari_runet.plugin.regions import region_of
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_runet.plugin.regions import RegionKind
    from napari_runet.plugin.session import Session


class Reviewing:
    """Takes regions of the plane on show as right, and takes that back.

    Parameters
    ----------
    viewer, session
        Where shapes are drawn, and which plane is corrected.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session") -> None:
        self._viewer = viewer
        self._session = session
        self._lasso: Shapes | None = None
        self._drawn = QTimer()
        self._drawn.setSingleShot(True)
        self._drawn.timeout.connect(self._take_lasso)

    def review(self, kind: "RegionKind", shapes: "Shapes | None" = None) -> bool:
        """Take what is in view, or inside the shapes of a layer, as right; False when that cannot be."""
        plane = self._session.correction
        if plane is None:
            self._session.correction_notice = Notice("Nothing is corrected here yet; press Correct first.", "warning")
            return False
        try:
            region = region_of(kind, self._viewer, plane.image, plane.source, shapes)
            if region is not None:
                plane.review(region)
        except ValueError as error:
            self._session.correction_notice = Notice(str(error), "error")
            return False
        return region is not None

    def take_back(self) -> None:
        """Forget the region that was reviewed last."""
        if self._session.correction is not None:
            self._session.correction.take_back_review()

    def start_lasso(self) -> Shapes | None:
        """Let a region be drawn with the mouse; once it is closed, all within is right, and the lasso is gone."""
        plane = self._session.correction
        if plane is None or plane.layer is None:
            return None
        self.end_lasso()
        name = f"{plane_name(plane.image, plane.source)} · draw around what is right"
        transform = place(plane.image, plane.source).transform
        colors = {"edge_color": REVIEW_COLOR, "face_color": "transparent", "edge_width": 2}
        self._lasso = Shapes(ndim=plane.layer.ndim, name=name, **colors, **transform)
        self._viewer.add_layer(self._lasso)
        self._viewer.layers.selection.active = self._lasso
        self._lasso.mode = "add_polygon_lasso"
        self._lasso.events.data.connect(lambda: self._drawn.start(0))
        return self._lasso

    @property
    def drawing(self) -> bool:
        """Whether a lasso waits to be drawn."""
        return self._lasso is not None and self._lasso in self._viewer.layers

    def end_lasso(self) -> None:
        """Take the lasso away, drawn or not, and go back to painting."""
        lasso, self._lasso = self._lasso, None
        if lasso is not None and lasso in self._viewer.layers:
            self._viewer.layers.remove(lasso)
        plane = self._session.correction
        if lasso is not None and plane is not None and plane.layer is not None and plane.is_open:
            self._viewer.layers.selection.active = plane.layer

    def _take_lasso(self) -> None:
        """Review what was drawn, once the drawing has ended."""
        lasso = self._lasso
        if lasso is None or getattr(lasso, "_is_creating", False):
            return
        if lasso in self._viewer.layers and len(lasso.data):
            self.review("shapes", lasso)
        self.end_lasso()
