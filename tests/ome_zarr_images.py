"""OME-Zarr images for tests."""

from pathlib import Path

import numpy as np
import ome_zarr_models.v04
import ome_zarr_models.v05
import pydantic_zarr.v2
import zarr

MODELS = {"0.4": ome_zarr_models.v04, "0.5": ome_zarr_models.v05}
"""The format's own models, by its version."""
for model in (ome_zarr_models.v04.Image, ome_zarr_models.v04.ImageLabel, ome_zarr_models.v04.Labels):
    model.model_rebuild(_types_namespace=vars(pydantic_zarr.v2))  # they leave it undone with pydantic 2.14
TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}


def write_image(
    path: Path, array: np.ndarray, axes: str = "cyx", version: str = "0.5", levels: int = 1, halved: str = "yx"
) -> Path:
    """Write an image whose pixels are 0.5 by 0.25 micrometres, in chunks of 32 x 32, with `levels` levels.

    Each level has half as many pixels as the one before along the axes `halved`.
    """
    group = zarr.open_group(path, mode="w", zarr_format=3 if version == "0.5" else 2)
    datasets = []
    for level in range(levels):
        step = [slice(None, None, 2**level if axis in halved else 1) for axis in axes]
        part = array[tuple(step)]
        options = {"dimension_names": list(axes)} if version == "0.5" else {
            "chunk_key_encoding": {"name": "v2", "separator": "/"}
        }  # fmt: skip
        chunks = tuple(min(32, size) for size in part.shape)
        group.create_array(str(level), shape=part.shape, chunks=chunks, dtype=part.dtype, **options)[:] = part
        size = {"y": 0.5 * 2**level, "x": 0.25 * 2**level, "z": 2.0**level if "z" in halved else 1.0}
        scale = {"type": "scale", "scale": [size.get(axis, 1.0) for axis in axes]}
        datasets.append({"path": str(level), "coordinateTransformations": [scale]})
    named = [{"name": axis, "type": TYPES[axis], **({"unit": "micrometer"} if axis in "yx" else {})} for axis in axes]
    multiscale = {"name": "image", "axes": named, "datasets": datasets}
    if version == "0.5":
        group.attrs["ome"] = {"version": version, "multiscales": [multiscale]}
    else:
        group.attrs["multiscales"] = [{**multiscale, "version": version}]
    return path


def chunk_files(path: Path, level: int = 0) -> list[Path]:
    """The files with the pixels of a level."""
    files = (file for file in (path / str(level)).rglob("*") if file.is_file())
    return sorted(file for file in files if file.name not in ("zarr.json", ".zarray", ".zattrs"))
