"""Joining two ends of a vessel or a road by a click between them, or by a key at the mouse."""

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_runet.plugin.placing import place
from napari_runet.plugin.plane_predictions import newest_result
from napari_runet.plugin.session import Notice
from napari_runet.wording import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.session import Session


class Bridging:
    """Waits for clicks on the correction layer while ``session.bridging`` is set.

    Parameters
    ----------
    viewer, session
        Where the mouse is, and what is corrected.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session") -> None:
        self._viewer, self._session = viewer, session
        self._layer: Labels | None = None
        session.events.correction.connect(self._on_correction)

    # What people do

    def toggle(self) -> None:
        """Have the next clicks on the correction layer bridge gaps, or go back to painting."""
        if self._session.bridging:
            layer = self._layer
            self.stop()
            if layer is not None:
                layer.mode = "paint"
        else:
            self.start()

    def start(self) -> bool:
        """Have the next clicks bridge gaps; False when nothing is being corrected."""
        plane = self._session.correction
        if plane is None or plane.layer is None:
            return False
        self.stop()
        self._layer = plane.layer
        self._viewer.layers.selection.active = plane.layer
        plane.layer.mode = "pan_zoom"
        plane.layer.mouse_drag_callbacks.append(self._on_press)
        plane.layer.events.mode.connect(self._on_mode)
        self._session.bridging = True
        self._session.correction_notice = Notice("Click between two ends to join them; any brush ends this.")
        return True

    def stop(self) -> None:
        """Clicks bridge nothing any more."""
        layer, self._layer = self._layer, None
        if layer is not None:
            layer.events.mode.disconnect(self._on_mode)
            layer.mouse_drag_callbacks.remove(self._on_press)
            self._session.correction_notice = Notice()
        self._session.bridging = False

    def at_mouse(self) -> bool:
        """Bridge the gap that the mouse is over."""
        return self.at(self._viewer.cursor.position)

    def at(self, world: "Sequence[float]") -> bool:
        """Bridge the gap at a world point, with the class that is painted; False where there is none to bridge."""
        # not before: scipy would be a third of what the panel takes to open
        from napari_runet.corrections.bridging import BridgeError, bridge

        plane = self._session.correction
        if plane is None or plane.layer is None:
            return False
        label = int(plane.layer.selected_label) or 1
        try:
            found = bridge(
                plane.shown == label,
                self._probability(plane, label),
                _pixel(plane, world),
                forbidden=(plane.known.flags != 0) & (plane.known.labels != label),
            )
        except BridgeError as error:
            self._session.correction_notice = Notice(str(error), "error")
            return False
        plane.paint(found.rows, found.columns, label)
        self._session.correction_notice = Notice(f"Joined by {counted(len(found.rows), 'pixel')}; undo takes it back.")
        return True

    # How it is done

    def _probability(self, plane: "PlaneCorrection", label: int) -> "npt.NDArray[np.uint8]":
        """(Y, X) uint8 of the class at the run's last own iteration of the newest prediction; 0 where there is none."""
        whole = np.zeros(plane.known.shape, np.uint8)
        result = newest_result(self._viewer, self._session.results, plane)
        foreground = result.at(result.own).foreground if result is not None else ()
        if result is not None and label <= len(foreground):
            part = whole if result.region is None else whole[result.region.slices]
            part[...] = foreground[label - 1]
        return whole

    def _on_press(self, layer: "Labels", event: Any) -> "Iterator[None]":
        """A click without a drag bridges; a drag moves the view, as ever."""
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged = True
            yield
        if not dragged and event.button == 1:
            self.at(event.position)

    def _on_mode(self) -> None:
        if self._layer is not None and str(self._layer.mode) != "pan_zoom":
            self.stop()

    def _on_correction(self) -> None:
        plane = self._session.correction
        if self._layer is not None and (plane is None or plane.layer is not self._layer):
            self.stop()


def _pixel(plane: "PlaneCorrection", world: "Sequence[float]") -> tuple[int, int]:
    """Row and column of a world point in the plane."""
    assert plane.layer is not None
    position = plane.layer.world_to_data(np.asarray(world)[-plane.layer.ndim :])
    letters = place(plane.image, plane.source).letters
    return tuple(round(float(position[letters.index(letter)])) for letter in "YX")  # type: ignore[return-value]
