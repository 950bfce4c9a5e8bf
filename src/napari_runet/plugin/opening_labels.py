"""Labels of large images from their files, on the layer that they are of."""

from typing import TYPE_CHECKING, Any

from napari_runet.io.large_tiff import read_large_tiff
from napari_runet.plugin.layers import label_colormap, label_colors
from napari_runet.plugin.laying_out import lay_out
from napari_runet.plugin.opening_zarr import placed_as_said, read

if TYPE_CHECKING:
    from pathlib import Path

    from napari_runet.models.card import ModelCard
    from napari_runet.plugin.placing import Placement


def labels_on(path: "Path", placed: "Placement | None" = None, card: "ModelCard | None" = None) -> dict[str, Any]:
    """Arguments of a Labels layer for the label image in an OME-Zarr folder or an OME-TIFF file.

    Parameters
    ----------
    path
        Of the label image.
    placed
        Where it lies; as it says itself when None.
    card
        Of the model that made it, for the colours of OME-TIFF, which holds none.

    Raises
    ------
    FileError
        When it cannot be read.
    """
    if path.is_dir():
        ((data, how, _),) = read(path)
        axes = "".join(how.get("axis_labels", ())).upper()
        arrays = list(data) if how["multiscale"] else [data]
    else:
        import dask.array as da

        file = read_large_tiff(path)
        axes = file.axes
        tiles = (*(1 for _ in axes[:-2]), 512, 512)
        arrays = [
            da.from_array(file.array(number), chunks=tiles)  # type: ignore[no-untyped-call]
            for number in range(len(file.levels))
        ]
        how = {"name": path.name, "opacity": 0.7, **placed_as_said(file, list(range(len(axes))))}
        if card is not None:
            how["colormap"] = label_colormap(label_colors(card))
    if placed is not None:
        arrays = [laid_on(array, axes, placed) for array in arrays]
        how |= placed.transform
    return {**how, "data": arrays if len(arrays) > 1 else arrays[0]}


def laid_on(array: Any, axes: str, placed: "Placement | None") -> Any:
    """Labels with the dimensions of the layer that they lie on."""
    return array if placed is None else lay_out(array, axes, placed.letters, placed.channels)
