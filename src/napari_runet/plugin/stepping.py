"""Going through the iterations: which one is shown, at which threshold, and what changed at it."""

from typing import TYPE_CHECKING

from napari_runet.plugin.layers import found_in, owner_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_runet.plugin.result_layers import ResultLayers
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
        """Number of iterations that can be shown."""
        return self._session.results.count if self._session.results is not None else 0

    def show(self, iteration: int, *, select: bool = True) -> None:
        """Show one iteration and hide the others; `select` its layer if one of this result is selected."""
        results = self._session.results
        if results is None or self.count == 0:
            self._session.shown = 0
            return
        iteration = min(max(1, iteration), self.count)
        active = self._viewer.layers.selection.active
        layer = results.show(iteration)
        self._draw_changes(results, iteration)
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
        results = self._session.results
        if results is not None and self._session.shown:
            results.of_plane.show_changes(results.result, self._session.shown, visible)

    def _draw_changes(self, results: "ResultLayers", iteration: int) -> None:
        if self._session.changes_shown:
            results.of_plane.show_changes(results.result, iteration, True)

    def set_threshold(self, threshold: float | None) -> None:
        """Apply a threshold to all masks; to the shown one at once, to the others when `catch_up` is called.

        None stands for what the model's card recommends.
        """
        self._session.settings = self._session.settings.model_copy(update={"threshold": threshold})
        for results in self.all_results():
            results.set_threshold(results.card.threshold if threshold is None else threshold)
        if self._session.results is not None and self.count:
            self._refresh(self._session.results)

    def look_at_plane(self) -> None:
        """Take up that another plane is on show."""
        results, source = self._session.results, self._session.source
        if results is None or source is None or results.image is not self._session.image:
            return
        if len(source.index) != len(results.index) or source.index == results.index:
            return
        results.index = source.index
        if self.count:
            self._refresh(results)
        self._session.revision += 1

    def _refresh(self, results: "ResultLayers") -> None:
        """Bring the iteration on show up to date, without showing what people have hidden."""
        shown = min(max(1, self._session.shown), self.count)
        if results.iterations.get(shown) in self._viewer.layers:
            results.update(shown)
        self._draw_changes(results, shown)

    def catch_up(self) -> bool:
        """Bring a hidden iteration, or one of another plane or image, up to date; False when there is none left."""
        for results in self.all_results():
            if (stale := results.stale()) is not None:
                layer = results.update(*stale)
                if results is not self._session.results:  # nobody has told it which plane is on show
                    layer.refresh()
                return True
        return False

    def look(self) -> None:
        """Take up what the results now hold: after the image changed, or a layer was removed."""
        self.look_at_plane()  # another one may be on show than when the image was chosen last
        results = self._session.results
        self._session.shown = self._visible_iteration(results) if results is not None else 0

    def _visible_iteration(self, results: "ResultLayers") -> int:
        count = results.count
        there = {number: layer for number, layer in results.iterations.items() if layer in self._viewer.layers}
        for number in sorted(there, reverse=True):
            if there[number].visible and number <= count:
                return number
        return min(self._session.shown or count, count)

    def all_results(self) -> "list[ResultLayers]":
        """The results of every image in the viewer."""
        return list(found_in(self._viewer))

    def owner_of(self, layer: object) -> "ResultLayers | None":
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
