"""Putting iterations on show as they come, without taking anybody away from what they do."""

from typing import TYPE_CHECKING

from napari.layers import Image

from napari_runet.plugin.layers import results_of
from napari_runet.plugin.plane_correction import correction_of, corrections_over
from napari_runet.plugin.result_layers import ResultLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.results import Result
    from napari_runet.plugin.session import Session
    from napari_runet.plugin.stepping import Stepping


class Showing:
    """Brings the layers of an image up to date with a run over one of its planes.

    Parameters
    ----------
    viewer, session, choices, stepping
        Where layers are, the state to be kept up to date, what tells the plane on show, and what shows iterations.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session", choices: "Choices", stepping: "Stepping") -> None:
        self._viewer, self._session, self._choices, self._stepping = viewer, session, choices, stepping
        self._selected: Layer | None = None
        self.covered = False
        """Whether some of the newest masks are hidden below a correction layer."""

    def begin(self) -> None:
        """The button was pressed: what is selected now may give way to masks."""
        self.covered = False
        active = self._viewer.layers.selection.active
        self._selected = active if isinstance(active, Image) or self._stepping.owner_of(active) else None

    def layers_for(self, image: Image, result: "Result") -> ResultLayers:
        """The layers that take the run: those of the same image and model, or new ones."""
        # as it is now: it may have been changed while the plane was waiting
        result.threshold = self._session.settings.threshold or result.card.threshold
        layers = results_of(self._viewer, image, result.card.id)
        if layers is None:
            return ResultLayers(self._viewer, image, result)
        layers.begin(result)
        return layers

    def show(self, layers: ResultLayers, result: "Result") -> None:
        """Put the newest iteration on show, and select it where none of this result's layers is selected.

        Raises
        ------
        OSError
            When there is no room for the masks.
        """
        index = self._choices.plane_on_show(layers.image)
        if index is not None and len(index) == len(layers.index):
            layers.index = index
        if layers.is_stack:
            layers.receive(result)
        if result.source.index != layers.index:
            return
        # of a stack the last layer shows what is newest of each plane
        if self._session.image is layers.image:
            self._session.results = layers
            self._stepping.show(layers.count, select=False)
        else:
            layers.show(layers.count)
        if self._is_covered(layers):
            self.covered = True
            layers.cover()
        if self._viewer.layers.selection.active not in layers:
            self.select(layers, result)

    def select(self, layers: ResultLayers, result: "Result") -> None:
        """Select the iteration on show, unless somebody has turned to another layer.

        Not at each iteration: napari does much when another layer is selected, and somebody waits for masks.
        """
        if result.source.index != layers.index or not self._may_select(layers):
            return
        iteration = self._session.shown if self._session.results is layers else layers.count
        if (layer := layers.iterations.get(iteration)) in self._viewer.layers:
            self._selected = self._viewer.layers.selection.active = layer

    def _is_covered(self, layers: ResultLayers) -> bool:
        """Whether a correction lies over the plane on show; of a large image, over what is in view of it."""
        over = corrections_over(self._viewer, layers.image, layers.index)
        return any(plane.source.corner is None or plane is self._session.correction for plane in over)

    def _may_select(self, layers: ResultLayers) -> bool:
        """Whether what is selected belongs to the image, or was selected at the beginning, and nobody paints on it."""
        active = self._viewer.layers.selection.active
        if correction_of(active) is not None:
            return False
        return active is None or active is layers.image or active in layers or active is self._selected
