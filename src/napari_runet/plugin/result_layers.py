"""The layers of one image and one model: a Labels layer for each iteration, over a plane or a whole stack."""

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING

from napari.layers import Labels

from napari_runet.plugin.layer_pixels import LayerPixels
from napari_runet.plugin.layer_writing import add_unselected, mark, new_labels, remove, set_visible, write_labels
from napari_runet.plugin.layers import OWNER, RECORD, label_colors
from napari_runet.plugin.placing import place
from napari_runet.plugin.plane_layers import PlaneLayers
from napari_runet.plugin.results import Result

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_runet.models.card import ModelCard

Index = tuple[int, ...]


class ResultLayers:
    """A Labels layer for each iteration, and what else was asked for.

    They are held as objects; whatever people rename, move, hide or delete stays so. A new run updates them in
    place. What it has not computed yet is marked as of an earlier run; in a stack, whose other planes are not
    touched by it, each plane's own result tells.

    Parameters
    ----------
    viewer
        Where they are added.
    image
        The image they lie on.
    result
        The run that they show.

    Attributes
    ----------
    planes
        The newest run over each plane that was segmented.
    latest
        The run that was taken up last.
    index
        The plane on show.
    covered
        The iteration that was on show before a correction was laid over it; 0 for none.
    """

    def __init__(self, viewer: "ViewerModel", image: "Image", result: Result) -> None:
        self._viewer = viewer
        self.image = image
        self.latest = result
        self.index: Index = result.source.index
        self.covered = 0
        self.planes: dict[Index, Result] = {self.index: result}
        self.iterations: dict[int, Labels] = {}
        self.of_plane = PlaneLayers(viewer, image, self)
        self._pixels: dict[int, LayerPixels] = {}
        self._at: dict[tuple[int, Index], tuple[str, int, float, int]] = {}
        self._names: dict[int, str] = {}
        self._records: dict[int, dict[str, dict[str, object]]] = {}

    def __deepcopy__(self, memo: object) -> "ResultLayers":
        """A duplicated layer refers to the same result, and is not one of its layers."""
        return self

    # What there is

    @property
    def result(self) -> Result:
        """The run over the plane on show; one without iterations where that has not been segmented."""
        there = self.planes.get(self.index)
        if there is not None:
            return there
        source = replace(self.latest.source, index=self.index)
        return replace(self.latest, source=source, region=None, run_id="", state="complete", iterations=[])

    @property
    def card(self) -> "ModelCard":
        """The model."""
        return self.latest.card

    @property
    def is_stack(self) -> bool:
        """Whether the layers hold many planes."""
        return bool(self.latest.stack_shape)

    @property
    def count(self) -> int:
        """How many iterations can be shown: those of the plane, or in a stack of any plane."""
        return max(map(len, self.planes.values()), default=0) if self.is_stack else len(self.result)

    def __contains__(self, layer: object) -> bool:
        return any(layer is mine for mine in self.all())

    def all(self) -> "list[Layer]":
        """Every layer of this result that is in the viewer."""
        there: list[Layer] = [layer for layer in self.iterations.values() if layer in self._viewer.layers]
        return there + self.of_plane.all()

    def iteration_of(self, layer: object) -> int:
        """Which iteration a layer shows, 0 when it is none of this result's."""
        return next((number for number, mine in self.iterations.items() if mine is layer), 0)

    # Runs

    def begin(self, result: Result) -> None:
        """Take a new run over a plane; the layers keep what they hold, marked, until it is computed again."""
        anew = not _same_stack(result, self.latest)
        if anew:
            self.planes.clear()
            self._pixels.clear()
            self.index = result.source.index
        if result.press != self.latest.press:  # what people have deleted is wanted again
            self.iterations = {t: layer for t, layer in self.iterations.items() if layer in self._viewer.layers}
        self.planes[result.source.index] = self.latest = result
        if anew or not self.is_stack:
            for layer in self.iterations.values():
                if layer in self._viewer.layers:
                    mark(layer)
        self.of_plane.begin(result)

    def receive(self, result: Result) -> None:
        """Take up the newest iteration of a run over a plane of a stack, in all layers that have nothing newer."""
        last, index = len(result), result.source.index
        there = [number for number, layer in self.iterations.items() if layer in self._viewer.layers]
        if last not in self.iterations or not there:
            self.update(last, index)
        for number in there:
            if number >= last:
                self.update(number, index)

    def finish(self) -> None:
        """Take away the layers of iterations that no plane has."""
        extra = [number for number in self.iterations if number > self.count]
        remove(self._viewer, *(self.iterations.pop(number) for number in extra))
        for number in extra:
            self._pixels.pop(number, None)
        self.of_plane.finish()

    def mark_missing(self) -> None:
        """Mark the layers of iterations that no plane has any more."""
        for number, layer in self.iterations.items():
            if number > self.count and layer in self._viewer.layers:
                mark(layer)

    def set_threshold(self, threshold: float) -> None:
        """Take another threshold for all planes; the layers follow by `update`."""
        for result in self.planes.values():
            result.threshold = threshold

    def stale(self) -> tuple[int, Index] | None:
        """An iteration and a plane whose layer does not hold what it should; None when there is none."""
        for number, layer in self.iterations.items():
            if layer in self._viewer.layers:
                for index, result in self.planes.items():
                    if (number <= len(result) or self.is_stack) and not self._holds(result, number):
                        return number, index
        return None

    # The layers of iterations

    def update(self, iteration: int, index: Index | None = None) -> Labels:
        """Bring the layer of an iteration up to date with the run over a plane (that on show); add it if needed.

        Raises
        ------
        OSError
            When there is no room for the masks.
        """
        result = self.result if index is None else self.planes[index]
        layer = self.iterations.get(iteration)
        there = layer is not None and layer in self._viewer.layers
        if layer is not None and there and self._holds(result, iteration):
            return layer
        placement = place(self.image, result.source, result.region, whole_stack=self.is_stack)
        pixels = self._pixels.get(iteration)
        if pixels is None or not pixels.fits(result, placement):
            pixels = LayerPixels(result, placement)
            self._forget(iteration)
        if len(result):
            pixels.write(result, iteration)
        if layer is None or not there or layer.ndim != pixels.data.ndim:
            remove(self._viewer, layer)
            layer = new_labels(pixels.data, placement, self._name(result, iteration), label_colors(self.card))
            layer.metadata[OWNER] = self
        else:
            write_labels(layer, pixels.data, placement, seen=result.source.index == self.index)
            if layer.name == self._names.get(iteration):  # else somebody has given it another
                layer.name = self._name(result, iteration)
        self._names[iteration] = self._name(result, iteration)
        self.iterations[iteration], self._pixels[iteration] = layer, pixels
        self._at[iteration, result.source.index] = _state(result, iteration)
        self._record(layer, result, iteration)
        add_unselected(self._viewer, layer)
        return layer

    def show(self, iteration: int) -> Labels:
        """Show one iteration and hide the others."""
        layer = self.update(iteration)
        set_visible(layer, True)
        for number, other in self.iterations.items():
            if number != iteration and other in self._viewer.layers:
                set_visible(other, False)
        return layer

    def _on_show(self) -> list[int]:
        """The iterations whose layers are to be seen."""
        return [t for t, layer in self.iterations.items() if layer in self._viewer.layers and layer.visible]

    def cover(self) -> None:
        """Hide all layers, for what is erased above them shall be seen to go."""
        self.covered = max(self._on_show(), default=self.covered)
        for layer in self.all():
            set_visible(layer, False)

    def uncover(self) -> None:
        """Show the iteration that was on show before, unless another one is by now."""
        iteration, self.covered = min(self.covered, self.count), 0
        if self.iterations.get(iteration) in self._viewer.layers and not self._on_show():
            self.show(iteration)

    def editable_copy(self, iteration: int) -> Labels:
        """Add a Labels layer with an iteration's masks, in that one's place; no prediction ever writes to it."""
        for index in self.planes:
            self.update(iteration, index)
        shown = self.update(iteration)
        placement = place(self.image, self.result.source, self.result.region, whole_stack=self.is_stack)
        name = f"{self.latest.title} · copy of iteration {iteration}"
        layer = new_labels(shown.data.copy(), placement, name, label_colors(self.card), visible=True)
        layer.metadata[RECORD] = deepcopy(shown.metadata[RECORD])
        self._viewer.add_layer(layer)
        layer.selected_label = 1
        set_visible(shown, False)  # else what is erased would still be seen
        return layer

    def _holds(self, result: Result, iteration: int) -> bool:
        """Whether the layer of an iteration holds a run as it is now."""
        return self._at.get((iteration, result.source.index)) == _state(result, iteration)

    def _name(self, result: Result, iteration: int) -> str:
        followed = ", from your correction" if result.own < iteration <= len(result) else ""
        return f"{self.latest.title} · iteration {iteration}{followed}"

    def _forget(self, iteration: int) -> None:
        """The layer of an iteration gets other pixels: it holds no plane any more."""
        self._at = {key: state for key, state in self._at.items() if key[0] != iteration}
        self._records.pop(iteration, None)

    def _record(self, layer: Labels, result: Result, iteration: int) -> None:
        record = result.record(iteration)
        if self.is_stack:
            planes = self._records.setdefault(iteration, {})
            if len(result):
                planes[",".join(map(str, result.source.index))] = record
            record = {**record, "planes": planes}
        layer.metadata[RECORD] = record


def _state(result: Result, iteration: int) -> tuple[str, int, float, int]:
    """What the mask of an iteration depends on."""
    number = min(iteration, len(result))
    return result.run_id, number, result.threshold, result.followed if number > result.own else 0


def _same_stack(first: Result, second: Result) -> bool:
    """Whether the planes of two runs are planes of one image, read alike."""
    one, other = first.source, second.source
    alike = (one.letters, one.level, first.stack_shape) == (other.letters, other.level, second.stack_shape)
    return alike and one.input.plane_shape == other.input.plane_shape
