"""From a line of the batch table to layers: its image, its mask, a layer to correct it on."""

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Image, Labels

from napari_runet.batch.thumbnails import thumbnail_path, write_thumbnail
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import Region
from napari_runet.io.images import FileError, read_image
from napari_runet.io.masks import write_mask, write_stack
from napari_runet.io.ome_zarr import is_zarr
from napari_runet.io.opening import open_image
from napari_runet.plugin.flying import fit_to_view
from napari_runet.plugin.layer_writing import set_visible
from napari_runet.plugin.layers import LARGE_LABELS, LabelsOf, label_colormap, label_colors
from napari_runet.plugin.opening_zarr import read
from napari_runet.plugin.placing import place
from napari_runet.plugin.session import Notice

if TYPE_CHECKING:
    from pathlib import Path

    import napari
    import numpy.typing as npt

    from napari_runet.models.store import StoredModel
    from napari_runet.plugin.batch_state import BatchState, Row
    from napari_runet.plugin.choices import Choices
    from napari_runet.plugin.correcting import Correcting
    from napari_runet.plugin.placing import Placement
    from napari_runet.plugin.plane_correction import PlaneCorrection
    from napari_runet.plugin.reading import Source
    from napari_runet.plugin.session import Session

MASK_FILE = "napari_runet_mask_file"
"""Key in a layer's metadata of the file whose mask it shows."""


class BatchOpening:
    """Opens images of a batch with their masks, and takes corrections of these.

    Parameters
    ----------
    viewer, session, state, choices, correcting
        Where layers go, the panel's state and the batch's, and what the panel chooses and corrects.
    """

    def __init__(
        self,
        viewer: "napari.viewer.Viewer",
        session: "Session",
        state: "BatchState",
        choices: "Choices",
        correcting: "Correcting",
    ) -> None:
        self._viewer, self._session, self._state = viewer, session, state
        self._choices, self._correcting = choices, correcting
        self._seen: set[Path] = set()

    # What people do

    def open(self, row: "Row") -> Image | None:
        """Show an image and its mask, and select the image; None, with a notice, when it cannot be."""
        self._state.notice = Notice()
        try:
            image = self._image(row)
            if row.has_mask:
                self._show_mask(row, image)
        except (ValueError, OSError) as error:
            self._state.notice = Notice(f"{row.path.name} cannot be opened: {error}", "error")
            return None
        self._viewer.layers.selection.active = image
        self._choices.pin(False)
        self._seen.add(row.path)
        return image

    def left(self) -> "list[Row]":
        """The images with a mask that nobody has opened or corrected, the most doubtful first."""
        rows = [
            row for row in self._state.rows if row.has_mask and row.state != "corrected" and row.path not in self._seen
        ]
        return sorted(rows, key=lambda row: -_doubt(row))

    def correct_next(self) -> "Row | None":
        """Open the most doubtful image that nobody has looked at, to be corrected; None where there is none."""
        left = self.left()
        if not left:
            self._state.notice = Notice("All images that have a mask were looked at.")
            return None
        self._seen.add(left[0].path)  # also one that cannot be opened: the notice says why
        self.correct(left[0])
        return left[0]

    def correct(self, row: "Row") -> Labels | None:
        """Open a layer on which the mask of an image is corrected, and select it for painting."""
        if is_zarr(row.path):
            self._state.notice = Notice(
                "Masks of OME-Zarr images are not corrected here; open it, and press Correct in the panel.", "error"
            )
            return None
        image = self.open(row)
        mask = self._mask_layer(row)
        if image is None or mask is None:
            return None
        made_by = self._model(row)
        if made_by is not None and made_by is not self._session.model:
            self._choices.choose_model(made_by)  # the classes that are painted are those of the mask
        source = self._choices.source(image)
        layer = self._correcting.correct(self._mask_at(row, source))
        set_visible(mask, False)
        return layer

    def save(self, row: "Row") -> None:
        """Write the corrected mask, of a stack all planes of it, over its file, which no later run replaces unasked."""
        plane, path = self._plane(row), self._mask_path(row)
        if plane is None or path is None:
            return
        try:
            labels = plane.painted()
            size, unit = _pixel_size_in(row.path)
            if plane.source.index:
                stack = read_image(path).copy()
                for each in self._alike(plane):
                    stack[each.source.index] = each.painted()
                planes, axes = stack.reshape(-1, *labels.shape), _stack_axes(plane.source)
                write_stack(path, planes, stack.shape, axes, pixel_size=size, unit=unit)
            else:
                write_mask(path, labels, pixel_size=size, unit=unit)
            write_thumbnail(thumbnail_path(self._folder, row.name), plane.source.input, labels, plane.card)
        except (ValueError, OSError) as error:
            self._state.notice = Notice(f"The mask was not saved: {error}", "error")
            return
        row.state = "corrected"
        self._state.notice = Notice(f"Saved {path.name}; no later run replaces it unless Overwrite is on.")
        self._state.revision += 1

    def use_for_training(self, row: "Row") -> None:
        """Take all of the plane on show as right, so that fine-tuning learns from every pixel of it."""
        plane = self._plane(row)
        if plane is not None:
            height, width = plane.known.shape
            plane.review(Region(0, 0, height, width))
            self._state.notice = Notice(f"All of {row.path.name} is right: fine-tuning learns from it.")

    def is_corrected(self, row: "Row") -> bool:
        """Whether the mask of an image is being corrected on the plane that is shown."""
        return row.has_mask and self._plane(row) is not None

    # How it is done

    @property
    def _folder(self) -> "Path":
        return self._state.output_folder

    def _plane(self, row: "Row") -> "PlaneCorrection | None":
        plane = self._session.correction
        return plane if plane is not None and plane.image is self._found(row) else None

    def _alike(self, plane: "PlaneCorrection") -> "list[PlaneCorrection]":
        """A plane of a stack, and those others that were corrected of the stack as it is read now."""
        others = [
            each
            for each in self._correcting.images.corrected_planes()
            if each.image is plane.image
            and each is not plane
            and each.known.shape == plane.known.shape
            and each.source.input.axes.order == plane.source.input.axes.order
        ]
        return [*others, plane]

    def _found(self, row: "Row") -> Image | None:
        path = str(row.path.absolute())
        layers = [layer for layer in self._viewer.layers if isinstance(layer, Image) and layer.source.path == path]
        return layers[-1] if layers else None

    def _image(self, row: "Row") -> Image:
        found = self._found(row)
        if found is not None:
            return found
        plugin = "napari-runet" if is_zarr(row.path) else "napari"
        opened = self._viewer.open(str(row.path.absolute()), plugin=plugin)
        images = [layer for layer in opened if isinstance(layer, Image)]
        if not images:
            raise FileError("it holds no image.")
        if row.record is not None and len(row.record.read_as) == images[0].ndim + int(images[0].rgb):
            self._choices.read_as(images[0], Axes(row.record.read_as))
        fit_to_view(self._viewer, images[0])
        return images[0]

    def _mask_path(self, row: "Row") -> "Path | None":
        return self._folder / next(iter(row.record.files)) if row.record is not None else None

    def _mask_layer(self, row: "Row") -> Labels | None:
        path = str(self._mask_path(row))
        layers = [layer for layer in self._viewer.layers if layer.metadata.get(MASK_FILE) == path]
        return layers[-1] if layers and isinstance(layers[-1], Labels) else None

    def _show_mask(self, row: "Row", image: Image) -> None:
        """Show what the mask's file holds now, on a layer that cannot be painted."""
        path = self._mask_path(row)
        if path is None:
            return
        layer = self._mask_layer(row)
        if is_zarr(path):
            if layer is None:
                ((data, how, _),) = read(path)
                metadata: dict[str, object] = {MASK_FILE: str(path)}
                if "C" not in self._choices.source(image).letters[1:]:  # else its dimensions are not those of the mask
                    made_by = self._model(row)
                    metadata[LARGE_LABELS] = LabelsOf(image, made_by.card if made_by is not None else None)
                how |= {"name": f"{row.name} · {path.name} · mask", "metadata": metadata}
                layer = self._viewer.add_layer(Labels(data, **how))
                layer.editable = False
            return
        labels = read_image(path)
        if layer is None:
            source = self._choices.source(image)
            placement = place(image, replace(source, index=(0,) * len(source.index)))
            made_by = self._model(row)
            layer = Labels(
                _lifted(labels, placement, source),
                name=f"{row.name} · {row.record.how.model_id if row.record else ''} · mask file",
                colormap=label_colormap(label_colors(made_by.card)) if made_by is not None else None,
                opacity=0.7,
                metadata={MASK_FILE: str(path)},
                **placement.transform,
            )
            self._viewer.add_layer(layer)
            layer.editable = False
        else:
            source = self._choices.source(image)
            layer.data = _lifted(labels, place(image, source), source)
            layer.editable = False
        set_visible(layer, True)

    def _mask_at(self, row: "Row", source: "Source") -> "npt.NDArray[np.uint8]":
        """(Y, X) the mask of the plane that is shown."""
        path = self._mask_path(row)
        if path is None:
            raise FileError(f"{row.path.name} has no mask.")
        labels = read_image(path)
        return np.asarray(labels[source.index] if labels.ndim > 2 else labels, np.uint8)

    def _model(self, row: "Row") -> "StoredModel | None":
        """The model that made a mask, where it is still there."""
        if row.record is None:
            return None
        wanted = row.record.how.model_sha256
        return next((model for model in self._session.models if model.card.sha256 == wanted), None)


def _lifted(labels: "npt.NDArray[np.uint8]", placement: "Placement", source: "Source") -> "npt.NDArray[np.uint8]":
    """A mask, or a stack of them, with the dimensions of the image's layer; repeated along channels.

    Raises
    ------
    FileError
        When it has another size than the image.
    """
    planes = [source.input.array.shape[axis] for axis in source.input.axes.plane_axes]
    if labels.ndim == 2:
        labels = labels.reshape(*(1 for _ in planes), *labels.shape)
    if labels.shape != (*planes, *source.input.plane_shape):
        raise FileError(f"its mask is {labels.shape}, the image {(*planes, *source.input.plane_shape)}.")
    order = [source.input.axes.order[axis] for axis in source.input.axes.plane_axes] + ["Y", "X"]
    kept = [letter for letter in placement.letters if letter != "C"]
    view = labels.transpose([order.index(letter) for letter in kept])
    if "C" not in placement.letters:
        return view
    at = placement.letters.index("C")
    shape = (*view.shape[:at], placement.channels, *view.shape[at:])
    return np.broadcast_to(np.expand_dims(view, at), shape)


def _doubt(row: "Row") -> float:
    """How much an image needs a look; one that was not scored comes last."""
    return row.record.doubt if row.record is not None and row.record.doubt is not None else -1.0


def _pixel_size_in(path: "Path") -> "tuple[tuple[float, float] | None, str | None]":
    """What an image's file says of its pixels; nothing where it cannot be read any more."""
    try:
        with open_image(path) as opened:
            return opened.pixel_size, opened.unit
    except FileError:
        return None, None


def _stack_axes(source: "Source") -> str:
    return "".join(source.input.axes.order[axis] for axis in source.input.axes.plane_axes) + "YX"
