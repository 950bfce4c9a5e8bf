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


_NOTHING_IN_VIEW = "Nothing of the image is in view; move back to it."


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
    corners = _corners_of_view(viewer, layer, source)
    spans, whole = [], False
    offset = viewer.dims.ndim - layer.ndim
    for side, (axis, length) in enumerate(_sides(source)):
        if axis + offset in viewer.dims.not_displayed:
            spans.append((0, length))
            whole = True
        else:
            low, high = np.floor(corners[:, side].min() + 0.5), np.floor(corners[:, side].max() + 0.5)
            spans.append((max(0, int(low)), min(length, int(high) + 1)))
    box = _box(spans, _NOTHING_IN_VIEW)
    if whole or _is_upright(corners):
        return box
    mask = _filled([corners], box)
    if not mask.any():
        raise ImageError(_NOTHING_IN_VIEW)
    return Region(box.y, box.x, box.height, box.width, mask)


def _corners_of_view(viewer: "ViewerModel", layer: "Image", source: "Source") -> npt.NDArray[np.float64]:
    """The canvas' corners, one after the other, as (4, 2) rows and columns of the source's plane.

    The layer's own `corner_pixels` reach further: of a multiscale image to the ends of chunks, or to what was in view
    before, and of a rotated one to the ends of a box.
    """
    camera, point = viewer.scene.camera, np.asarray(viewer.dims.point, float)
    middle, half = (
        np.asarray(camera.center)[-2:],
        np.asarray(viewer.canvas.viewbox_size(viewer.layers)) / camera.zoom / 2,
    )
    corners = []
    for sides in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
        world = np.concatenate([np.zeros(max(0, layer.ndim - len(point))), point])
        world[[axis + len(world) - len(point) for axis in viewer.dims.displayed]] = middle + half * sides
        corners.append(np.asarray(layer.world_to_data(world[-layer.ndim :])) / np.asarray(source.factors))
    first = np.array(source.corner or (0, 0))
    plane: npt.NDArray[np.float64] = np.array(corners)[:, list(source.input.axes.spatial)] - first
    return plane


def _is_upright(corners: npt.NDArray[np.float64]) -> bool:
    """Whether each side of a quadrangle lies along rows or columns."""
    sides = np.abs(np.roll(corners, -1, axis=0) - corners)
    return bool((sides.min(axis=1) < 0.5).all())


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
    mask = _filled(outlines, box)
    if not mask.any():
        raise ImageError(_nothing_in(shapes))
    return Region(box.y, box.x, box.height, box.width, mask)


def _filled(outlines: list[npt.NDArray[np.float64]], box: Region) -> npt.NDArray[np.bool_]:
    """(height, width) bool: the pixels of a box that lie inside one of the outlines."""
    mask = np.zeros((box.height, box.width), bool)
    for outline in outlines:
        mask |= skimage.draw.polygon2mask(mask.shape, outline - (box.y, box.x))  # type: ignore[no-untyped-call]
    return mask


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
