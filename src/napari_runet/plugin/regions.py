"""Which part of the plane is segmented: all, what is in view, or what a Shapes layer encloses."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import skimage

from napari_runet.images.image_input import ImageError, Region

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Shapes

    from napari_runet.plugin.reading import Source

RegionKind = Literal["whole", "view", "shapes"]
REGION_TITLES: dict[RegionKind, str] = {
    "whole": "Whole image",
    "view": "What is in view",
    "shapes": "Inside the shapes of a layer",
}


def region_of(
    kind: RegionKind, viewer: "ViewerModel", layer: "Image", source: "Source", shapes: "Shapes | None"
) -> Region | None:
    """The region of `source` that is meant; None for the whole plane.

    Raises
    ------
    ImageError
        When it is empty, or cannot be told.
    """
    if kind == "whole":
        return None
    if kind == "view":
        return _in_view(viewer, layer, source)
    if shapes is None or shapes not in viewer.layers:
        raise ImageError("There is no Shapes layer; add one, and draw a shape around what is meant.")
    return _inside(shapes, viewer, layer, source)


def why_no_region(
    kind: RegionKind, viewer: "ViewerModel", layer: "Image", source: "Source", shapes: "Shapes | None"
) -> str:
    """Why a region cannot be segmented, as a sentence; empty when it can. Draws no masks, so it is quick."""
    try:
        if kind == "shapes" and shapes is not None and shapes in viewer.layers:
            _outlines(shapes, viewer, layer, source)
        else:
            region_of(kind, viewer, layer, source, shapes)
    except ImageError as error:
        return str(error)
    return ""


def _in_view(viewer: "ViewerModel", layer: "Image", source: "Source") -> Region:
    if viewer.dims.ndisplay != 2:
        raise ImageError("What is in view can only be told in the 2D view; switch to it.")
    low, high = layer.corner_pixels.astype(float)
    if layer.multiscale:
        factors = np.asarray(layer.downsample_factors)[layer.data_level] / np.asarray(source.factors)
        low, high = low * factors, (high + 1) * factors - 1
    spans = []
    hidden = set(viewer.dims.not_displayed)
    offset = viewer.dims.ndim - layer.ndim
    for (axis, length), first in zip(_sides(source), source.corner or (0, 0), strict=True):
        if axis + offset in hidden:
            spans.append((0, length))
        else:
            start, stop = int(np.floor(low[axis])) - first, int(np.ceil(high[axis])) + 1 - first
            spans.append((max(0, start), min(length, stop)))
    return _box(spans, "Nothing of the image is in view; move back to it.")


def _sides(source: "Source") -> list[tuple[int, int]]:
    return list(zip(source.input.axes.spatial, source.input.plane_shape, strict=True))


def _box(spans: list[tuple[int, int]], if_empty: str) -> Region:
    (top, bottom), (left, right) = spans
    if bottom <= top or right <= left:
        raise ImageError(if_empty)
    return Region(top, left, bottom - top, right - left)


def _outlines(
    shapes: "Shapes", viewer: "ViewerModel", layer: "Image", source: "Source"
) -> tuple[list[npt.NDArray[np.float64]], Region]:
    """The outlines of all areas of a Shapes layer, in the plane, and the box around them."""
    outlines = []
    for vertices, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind in ("rectangle", "polygon", "ellipse"):
            corners = _ellipse(np.asarray(vertices)) if kind == "ellipse" else np.asarray(vertices)
            outline = _to_plane(corners, shapes, viewer, layer, source)
            if outline is not None:
                outlines.append(outline)
    if not outlines:
        raise ImageError(_nothing_in(shapes))
    points = np.concatenate(outlines)
    spans = [
        (max(0, int(np.floor(points[:, side].min()))), min(length, int(np.ceil(points[:, side].max())) + 1))
        for side, (_, length) in enumerate(_sides(source))
    ]
    return outlines, _box(spans, _nothing_in(shapes))


def _nothing_in(shapes: "Shapes") -> str:
    return f"{shapes.name} encloses nothing of the image; draw a rectangle, an ellipse or a polygon on it."


def _inside(shapes: "Shapes", viewer: "ViewerModel", layer: "Image", source: "Source") -> Region:
    """The box around all areas of a Shapes layer, with a mask of what they enclose."""
    outlines, box = _outlines(shapes, viewer, layer, source)
    mask = np.zeros((box.height, box.width), bool)
    for outline in outlines:
        mask |= skimage.draw.polygon2mask(mask.shape, outline - (box.y, box.x))  # type: ignore[no-untyped-call]
    if not mask.any():
        raise ImageError(_nothing_in(shapes))
    return Region(box.y, box.x, box.height, box.width, mask)


def _ellipse(corners: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The outline of an ellipse that napari gives by the corners of its box."""
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)[:, np.newaxis]
    outline: npt.NDArray[Any] = centre + np.cos(angles) * first + np.sin(angles) * second
    return outline


def _to_plane(
    vertices: npt.NDArray[Any], shapes: "Shapes", viewer: "ViewerModel", layer: "Image", source: "Source"
) -> npt.NDArray[np.float64] | None:
    """Vertices as (N, 2) rows and columns of the source's plane; None for a shape on another plane."""
    ndim = max(layer.ndim, shapes.ndim, len(viewer.dims.point))
    here = np.zeros(ndim)
    here[ndim - len(viewer.dims.point) :] = viewer.dims.point
    planes = dict(zip(source.input.axes.plane_axes, source.index, strict=True))
    position = [planes.get(axis, 0) * factor for axis, factor in enumerate(source.factors)]
    world_of_plane = layer.data_to_world(position)
    for axis in planes:  # shapes without these dimensions are meant on every plane
        here[ndim - layer.ndim + axis] = world_of_plane[axis]
    placed = []
    for vertex in vertices:
        world = here.copy()
        world[ndim - shapes.ndim :] = shapes.data_to_world(vertex)
        placed.append(np.asarray(layer.world_to_data(world[ndim - layer.ndim :])) / np.asarray(source.factors))
    points = np.array(placed)
    for axis, shown in zip(source.input.axes.plane_axes, source.index, strict=True):
        if not np.all(np.round(points[:, axis]) == shown):
            return None
    plane: npt.NDArray[np.float64] = points[:, list(source.input.axes.spatial)] - np.array(source.corner or (0, 0))
    return plane
