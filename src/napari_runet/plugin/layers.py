"""The layers that show results: added, updated in place and found again, here and nowhere else."""

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_runet.plugin.placing import Placement, place

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.results import Result

RECORD = "napari_runet"
"""Key in a layer's metadata of plain values: image, model, version, run, iteration, threshold."""
OWNER = "napari_runet_layers"
"""Key in a layer's metadata of the `ResultLayers` that keeps it up to date."""
CORRECTION = "napari_runet_correction"
"""Key in a layer's metadata of the `PlaneCorrection` that a person paints on it."""
EARLIER = " (earlier run)"
CHANGE_COLORS = {1: "#2ec4b6", 2: "#ff6b35"}
"""Added and removed pixels; told apart by people who confuse red and green."""


def without_proxy(viewer: "ViewerModel") -> "ViewerModel":
    """The viewer itself, where napari hands out a proxy of it.

    Through a proxy every layer comes in a new wrapper, and layers are told apart by identity here.
    """
    return cast("ViewerModel", getattr(viewer, "__wrapped__", viewer))


class ResultLayers:
    """The layers of one image and one model: a Labels layer for each iteration, and what else was asked for.

    They are held as objects; whatever people rename, move, hide or delete stays so. A new run updates them in
    place, and what it has not computed yet is marked as of an earlier run.

    Parameters
    ----------
    viewer
        Where they are added.
    image
        The image they lie on.
    result
        The run that they show.
    """

    def __init__(self, viewer: "ViewerModel", image: Image, result: "Result") -> None:
        self._viewer = viewer
        self.image = image
        self.result = result
        self.iterations: dict[int, Labels] = {}
        self.changes: Labels | None = None
        self.confidence: Image | None = None
        self._planes: dict[int, npt.NDArray[np.uint8]] = {}
        self._at: dict[int, tuple[str, float]] = {}

    def __deepcopy__(self, memo: object) -> "ResultLayers":
        """A duplicated layer refers to the same result, and is not one of its layers."""
        return self

    @property
    def title(self) -> str:
        """What the names of the layers begin with."""
        return f"{self.result.image_name} · {self.result.card.id}"

    def __contains__(self, layer: object) -> bool:
        return any(layer is mine for mine in self.all())

    def all(self) -> "list[Layer]":
        """Every layer of this result that is in the viewer."""
        mine = [*self.iterations.values(), self.changes, self.confidence]
        return [layer for layer in mine if layer is not None and layer in self._viewer.layers]

    def iteration_of(self, layer: object) -> int:
        """Which iteration a layer shows, 0 when it is none of this result's."""
        return next((number for number, mine in self.iterations.items() if mine is layer), 0)

    def begin(self, result: "Result") -> None:
        """Take a new run; the layers keep what they hold, marked, until it is computed again."""
        self.result = result
        for layer in self.all():
            if not layer.name.endswith(EARLIER):
                layer.name += EARLIER
            layer.visible = False

    def finish(self) -> None:
        """Take away the layers of iterations that a completed run does not have."""
        extra = [number for number in self.iterations if number > len(self.result)]
        with self._viewer.layers.batched_update():
            for number in extra:
                self._remove(self.iterations.pop(number))
                self._planes.pop(number, None)
            for layer in (self.changes, self.confidence):
                if layer is not None and layer.name.endswith(EARLIER):
                    self._remove(layer)

    def _remove(self, layer: "Layer") -> None:
        if layer in self._viewer.layers:
            layer.locked = False
            self._viewer.layers.remove(layer)

    def is_current(self, iteration: int) -> bool:
        """Whether the layer of an iteration holds this run at this threshold."""
        return self._at.get(iteration) == (self.result.run_id, self.result.threshold)

    def update(self, iteration: int) -> Labels:
        """Bring the layer of an iteration up to date with run and threshold; add it where there is none."""
        layer = self.iterations.get(iteration)
        if layer is not None and layer in self._viewer.layers and self.is_current(iteration):
            return layer
        plane = self._planes.get(iteration)
        fits = plane is not None and plane.shape == self.result.plane_shape
        plane = self.result.labels(iteration, out=plane if fits else None)
        name = f"{self.title} · iteration {iteration}"
        layer = self._put(layer, plane, name, label_colors(self.result.card))
        self.iterations[iteration], self._planes[iteration] = layer, plane
        self._at[iteration] = (self.result.run_id, self.result.threshold)
        layer.metadata[RECORD] = self.result.record(iteration)
        return layer

    def show_changes(self, iteration: int, visible: bool) -> None:
        """Draw, or hide, the pixels that flipped at an iteration."""
        if not visible:
            if self.changes is not None and self.changes in self._viewer.layers:
                self.changes.visible = False
            return
        plane = self.result.changes(iteration)
        self.changes = self._put(self.changes, plane, f"{self.title} · changes", CHANGE_COLORS, opacity=1.0)
        self.changes.metadata[RECORD] = self.result.record(iteration)
        self.changes.visible = True

    def show_confidence(self, iteration: int) -> Image:
        """Show the confidence of an iteration as an Image layer."""
        placement = place(self.image, self.result.source, self.result.region)
        data = placement.lift(self.result.confidence(iteration))
        layer = self.confidence
        if layer is not None and layer in self._viewer.layers and layer.ndim == data.ndim:
            layer.data = data
            _move(layer, placement)
            _unmark(layer)
            layer.visible = True
        else:
            layer = Image(
                data,
                metadata={OWNER: self},
                name=f"{self.title} · confidence",
                colormap="viridis",
                contrast_limits=(0.5, 1.0),
                opacity=0.7,
                **placement.transform,
            )
            self._viewer.add_layer(layer)
        layer.metadata[RECORD] = self.result.record(iteration)
        self.confidence = layer
        return layer

    def editable_copy(self, iteration: int) -> Labels:
        """Add a Labels layer with an iteration's mask, in that one's place; no prediction ever writes to it."""
        placement = place(self.image, self.result.source, self.result.region)
        layer = Labels(
            placement.lift(self.result.labels(iteration)).copy(),
            name=f"{self.title} · copy of iteration {iteration}",
            colormap=label_colormap(label_colors(self.result.card)),
            metadata={RECORD: self.result.record(iteration)},
            **placement.transform,
        )
        self._viewer.add_layer(layer)
        layer.selected_label = 1
        if iteration in self.iterations:  # else what is erased would still be seen
            self.iterations[iteration].visible = False
        return layer

    def _put(
        self,
        layer: Labels | None,
        plane: "npt.NDArray[np.uint8]",
        name: str,
        colors: dict[int, str],
        opacity: float = 0.7,
    ) -> Labels:
        """Show a plane in a Labels layer, the one given where it is still in the viewer."""
        placement = place(self.image, self.result.source, self.result.region)
        data = placement.lift(plane)
        if layer is None or layer not in self._viewer.layers or layer.ndim != data.ndim:
            if layer is not None:
                self._remove(layer)
            layer = Labels(
                data, name=name, colormap=label_colormap(colors), opacity=opacity, visible=False, **placement.transform
            )
            layer.metadata[OWNER] = self
            active = self._viewer.layers.selection.active
            self._viewer.add_layer(layer)
            layer.editable = False
            self._viewer.layers.selection.active = active
            return layer
        if layer.data.shape != data.shape or not np.shares_memory(layer.data, plane):
            layer.data = data
            layer.editable = False
        _move(layer, placement)
        _unmark(layer)
        layer.refresh()
        return layer


def _move(layer: "Layer", placement: Placement) -> None:
    """Put a layer where its image plane is, touching only what differs."""
    for name, value in placement.transform.items():
        held = getattr(layer, name)
        held = held.affine_matrix if name == "affine" else held
        if not np.array_equal(np.asarray(held), np.asarray(value)):
            setattr(layer, name, value)


def _unmark(layer: "Layer") -> None:
    if layer.name.endswith(EARLIER):
        layer.name = layer.name.removesuffix(EARLIER)


def label_colors(card: "ModelCard") -> dict[int, str]:
    """Colour of each label of a model's masks."""
    return {number: info.color for number, info in enumerate(card.classes) if number > 0}


def label_colormap(colors: dict[int, str]) -> DirectLabelColormap:
    """A colour for each label, transparent for all others."""
    return DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", **cast("dict[Any, Any]", colors)})


def found_in(viewer: "ViewerModel") -> "Iterator[ResultLayers]":
    """Every result whose layers are in the viewer, also those of a panel that was closed."""
    seen: set[int] = set()
    for layer in viewer.layers:
        owner = layer.metadata.get(OWNER)
        if isinstance(owner, ResultLayers) and layer in owner and id(owner) not in seen:
            seen.add(id(owner))
            yield owner


def owner_of(viewer: "ViewerModel", layer: object) -> ResultLayers | None:
    """The result that a layer belongs to."""
    return next((owner for owner in found_in(viewer) if layer in owner), None)


def results_of(viewer: "ViewerModel", image: Image, model_id: str | None = None) -> ResultLayers | None:
    """The result of an image, and of one model where it is named; the topmost one."""
    fitting = [
        owner
        for owner in found_in(viewer)
        if owner.image is image and (model_id is None or owner.result.card.id == model_id)
    ]
    return fitting[-1] if fitting else None


def images_in(viewer: "ViewerModel") -> list[Image]:
    """The Image layers that may be segmented: all but those that results have added."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and OWNER not in layer.metadata]
