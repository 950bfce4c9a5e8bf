"""Adding, updating, marking and removing layers so that napari does as little as possible for it."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels

from napari_runet.plugin.layers import EARLIER, label_colormap

if TYPE_CHECKING:
    import numpy.typing as npt
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_runet.plugin.placing import Placement


def set_visible(layer: "Layer", visible: bool) -> None:
    """Show or hide a layer; where that changes nothing, napari would draw everything anew and put brushes down."""
    if layer.visible != visible:
        layer.visible = visible


def new_labels(
    data: "npt.NDArray[np.uint8]", placement: "Placement", name: str, colors: dict[int, str], **options: Any
) -> Labels:
    """A hidden Labels layer, not added yet."""
    looks = {"opacity": 0.7, "visible": False, **options}
    return Labels(data, name=name, colormap=label_colormap(colors), **looks, **placement.transform)


def write_labels(layer: Labels, data: "npt.NDArray[np.uint8]", placement: "Placement", *, seen: bool = True) -> None:
    """Have a layer of ours show `data`, which may be what it holds, with other values; drawn anew where `seen`."""
    if layer.data is not data:
        layer.data = data
        layer.editable = False
    move(layer, placement)
    unmark(layer)
    if seen:
        layer.refresh()


def add_unselected(viewer: "ViewerModel", layer: Labels) -> None:
    """Add a layer that nobody may paint on, unless it is there; what is selected stays so."""
    if layer not in viewer.layers:
        active = viewer.layers.selection.active
        viewer.add_layer(layer)
        layer.editable = False
        viewer.layers.selection.active = active


def remove(viewer: "ViewerModel", *layers: "Layer | None") -> None:
    """Remove layers, as far as they are there."""
    there = [layer for layer in layers if layer is not None and layer in viewer.layers]
    if not there:  # a batch in which nothing is removed costs as much as one in which something is
        return
    with viewer.layers.batched_update():
        for layer in there:
            layer.locked = False
            viewer.layers.remove(layer)


def move(layer: "Layer", placement: "Placement") -> None:
    """Put a layer where its image plane is, touching only what differs."""
    for name, value in placement.transform.items():
        held = getattr(layer, name)
        held = held.affine_matrix if name == "affine" else held
        if not np.array_equal(np.asarray(held), np.asarray(value)):
            setattr(layer, name, value)


def mark(layer: "Layer") -> None:
    """Hide a layer, and have its name say that it is of an earlier run."""
    if not is_marked(layer):
        layer.name += EARLIER
    set_visible(layer, False)


def is_marked(layer: "Layer | None") -> bool:
    """Whether there is a layer and it is of an earlier run."""
    return layer is not None and layer.name.endswith(EARLIER)


def unmark(layer: "Layer") -> None:
    """Take the mark away."""
    if is_marked(layer):
        layer.name = layer.name.removesuffix(EARLIER)
