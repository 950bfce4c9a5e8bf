"""Going through the iterations: which one is shown, at which threshold, and what changed at it."""

from typing import TYPE_CHECKING

from napari_runet.plugin.layers import ResultLayers, found_in, owner_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_runet.plugin.session import Session


class Stepping:
    """Shows one iteration of the session's results at a time.

    Parameters
    ----------
    viewer, session
        Where the layers are, and the state to be kept up to date.
    """

    def __init__(self, viewer: "ViewerModel", session: "Session") -> None:
        self._viewer = viewer
        self._session = session

    @property
    def count(self) -> int:
        """Number of iterations there are."""
        return len(self._session.results.result) if self._session.results is not None else 0

    def show(self, iteration: int, *, select: bool = True) -> None:
        """Show one iteration and hide the others; `select` its layer if one of this result is selected."""
        results = self._session.results
        if results is None or self.count == 0:
            self._session.shown = 0
            return
        iteration = min(max(1, iteration), self.count)
        active = self._viewer.layers.selection.active
        layer = results.update(iteration)
        layer.visible = True
        for number, other in results.iterations.items():
            if number != iteration and other in self._viewer.layers:
                other.visible = False
        if self._session.changes_shown:
            results.show_changes(iteration, True)
        if select and results.iteration_of(active):
            self._viewer.layers.selection.active = layer
        self._session.shown = iteration

    def step(self, by: int) -> None:
        """Go some iterations on, or back; stops at the ends."""
        self.show(self._session.shown + by)

    def show_next_in_turn(self) -> None:
        """Go one iteration on, and from the last to the first."""
        self.show(self._session.shown % self.count + 1 if self.count else 0)

    def show_changes(self, visible: bool) -> None:
        """Draw the pixels that flipped since the iteration before, or stop drawing them."""
        self._session.changes_shown = visible
        if self._session.results is not None and self._session.shown:
            self._session.results.show_changes(self._session.shown, visible)

    def set_threshold(self, threshold: float | None) -> None:
        """Apply a threshold to all iterations; the shown one at once, the others when `catch_up` is called.

        None stands for what the model's card recommends.
        """
        self._session.settings = self._session.settings.model_copy(update={"threshold": threshold})
        results = self._session.results
        if results is not None and self.count:
            results.result.threshold = results.result.card.threshold if threshold is None else threshold
            self.show(self._session.shown, select=False)

    def catch_up(self) -> bool:
        """Bring one hidden iteration up to date with the threshold; False when there is none left."""
        results = self._session.results
        if results is None:
            return False
        for number in range(1, self.count + 1):
            layer = results.iterations.get(number)
            if layer is not None and layer in self._viewer.layers and not results.is_current(number):
                results.update(number)
                return True
        return False

    def look(self) -> None:
        """Take up what the results now hold: after the image changed, or a layer was removed."""
        results = self._session.results
        self._session.shown = self._visible_iteration(results) if results is not None else 0

    def _visible_iteration(self, results: ResultLayers) -> int:
        count = len(results.result)
        there = {number: layer for number, layer in results.iterations.items() if layer in self._viewer.layers}
        for number in sorted(there, reverse=True):
            if there[number].visible and number <= count:
                return number
        return min(self._session.shown or count, count)

    def all_results(self) -> list[ResultLayers]:
        """The results of every image in the viewer."""
        return list(found_in(self._viewer))

    def owner_of(self, layer: object) -> ResultLayers | None:
        """The result that a layer belongs to."""
        return owner_of(self._viewer, layer)

    def iteration_layers(self) -> "list[Labels]":
        """The layers that show iterations, of all results."""
        return [
            layer
            for results in self.all_results()
            for layer in results.iterations.values()
            if layer in self._viewer.layers
        ]
