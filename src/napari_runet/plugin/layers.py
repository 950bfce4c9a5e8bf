"""The layers that we add: how they are marked, coloured and found again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel

    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.result_layers import ResultLayers

RECORD = "napari_runet"
"""Key in a layer's metadata of plain values: image, model, version, run, iteration, threshold."""
OWNER = "napari_runet_layers"
"""Key in a layer's metadata of the `ResultLayers` that keeps it up to date."""
CORRECTION = "napari_runet_correction"
"""Key in a layer's metadata of the `PlaneCorrection` that a person paints on it."""
SUGGESTED_MODEL = "napari_runet_model"
"""Key in an Image layer's metadata of the id of the model that is made for it."""
LARGE_LABELS = "napari_runet_large"
"""Key in a Labels layer's metadata of `LabelsOf`, where they are labels of all of a large image."""
EARLIER = " (earlier run)"
CHANGE_COLORS = {1: "#2ec4b6", 2: "#ff6b35"}
"""Added and removed pixels; told apart by people who confuse red and green."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelsOf:
    """Which image labels are of, and the model that made them, where that is known."""

    image: Image
    card: "ModelCard | None"

    def __deepcopy__(self, memo: object) -> "LabelsOf":
        """A duplicated layer is of the same image."""
        return self


def large_labels_of(viewer: "ViewerModel", image: Image) -> "list[tuple[Labels, ModelCard | None]]":
    """The layers with labels of all of an image, the topmost first, and the models that made them."""
    found = []
    for layer in reversed(viewer.layers):
        of = layer.metadata.get(LARGE_LABELS)
        if isinstance(layer, Labels) and isinstance(of, LabelsOf) and of.image is image:
            found.append((layer, of.card))
    return found


def without_proxy(viewer: "ViewerModel") -> "ViewerModel":
    """The viewer itself, where napari hands out a proxy of it.

    Through a proxy every layer comes in a new wrapper, and layers are told apart by identity here.
    """
    return cast("ViewerModel", getattr(viewer, "__wrapped__", viewer))


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
        owner: ResultLayers | None = layer.metadata.get(OWNER)
        if owner is not None and layer in owner and id(owner) not in seen:
            seen.add(id(owner))
            yield owner


def owner_of(viewer: "ViewerModel", layer: object) -> "ResultLayers | None":
    """The result that a layer belongs to."""
    return next((owner for owner in found_in(viewer) if layer in owner), None)


def results_of(viewer: "ViewerModel", image: Image, model_id: str | None = None) -> "ResultLayers | None":
    """The result of an image, and of one model where it is named; the topmost one."""
    fitting = [
        owner for owner in found_in(viewer) if owner.image is image and (model_id is None or owner.card.id == model_id)
    ]
    return fitting[-1] if fitting else None


def images_in(viewer: "ViewerModel") -> list[Image]:
    """The Image layers that may be segmented: all but those that results have added."""
    return [layer for layer in viewer.layers if isinstance(layer, Image) and OWNER not in layer.metadata]
