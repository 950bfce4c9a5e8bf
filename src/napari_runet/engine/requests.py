"""Writing a request's arrays into the private folder."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from napari_runet.corrections.replay import CorrectedPlane
from napari_runet.engine.arrays import remove_file, write_array
from napari_runet.engine.messages import (
    FineTuneRequest,
    Intensities,
    PixelsRequest,
    PixelsWanted,
    PreviewBox,
    RegionBox,
    SampleFile,
    SegmentRequest,
    StartFiles,
)
from napari_runet.images.axes import Axes
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.normalisation import IntensityRange
from napari_runet.settings import FineTuningSettings, SegmentationSettings

Plane = npt.NDArray[Any] | Callable[[], npt.NDArray[Any]]
"""(Y, X) or (Y, X, C), or a function without arguments that returns it."""


@dataclass(frozen=True, slots=True, eq=False)
class PlaneStart:
    """What a plane, or a part of one, is begun from instead of nothing.

    Parameters
    ----------
    foreground
        (K, Y, X) uint8, 255 times the probability of each foreground class: an iteration of an earlier run.
    pinned
        (Y, X) uint8 class ids of the pixels that stay, 255 elsewhere.
    scale
        By how much the earlier run rescaled the image for the network.
    """

    foreground: npt.NDArray[np.uint8]
    pinned: npt.NDArray[np.uint8]
    scale: float = 1.0


INPUTS = "in-*"
ALL_FILES = "*"


def write_segment_request(
    private: Path,
    request_id: str,
    plane: Plane,
    *,
    folder: Path,
    name: str,
    settings: SegmentationSettings,
    region: Region | None,
    start: PlaneStart | None = None,
    intensities: Callable[[], IntensityRange] | None = None,
    chain: str = "",
) -> SegmentRequest:
    """Read the plane, write it and the region's mask to files of `private`, and make the request.

    `intensities` measures those of the whole plane, where this is a part of one.

    Raises
    ------
    ImageError
        When the plane is empty, or holds no real numbers.
    OSError
        When the disk is full.
    Exception
        What `plane` raises when it is a function.
    """
    pixels = np.asarray(plane() if callable(plane) else plane)
    pixels = pixels[..., np.newaxis] if pixels.ndim == 2 else pixels
    ImageInput.from_array(pixels, axes=Axes("YXC"), name=name)  # checks it
    return SegmentRequest(
        id=request_id,
        folder=str(folder),
        image=write_array(private / f"{request_id}-in-image.npy", pixels),
        name=name,
        settings=settings,
        region=None if region is None else _box(private, request_id, region),
        start=None if start is None else _start_files(private, request_id, start),
        intensities=None if intensities is None else _intensities(intensities()),
        chain=chain,
    )


def _start_files(private: Path, request_id: str, start: PlaneStart) -> StartFiles:
    return StartFiles(
        foreground=write_array(private / f"{request_id}-in-start.npy", start.foreground),
        pinned=write_array(private / f"{request_id}-in-pinned.npy", start.pinned),
        scale=start.scale,
    )


def _intensities(measured: IntensityRange) -> Intensities:
    return Intensities(low=tuple(map(float, measured.low)), high=tuple(map(float, measured.high)))


def write_fine_tune_request(
    private: Path,
    request_id: str,
    samples: Callable[[], Sequence[CorrectedPlane]],
    *,
    folder: Path,
    output: Path,
    settings: FineTuningSettings,
    preview: tuple[int, Region] | None,
) -> FineTuneRequest:
    """Read the corrected planes, write them to files of `private`, and make the request.

    Raises
    ------
    ImageError
        When a plane is empty, or holds no real numbers.
    OSError
        When the disk is full.
    Exception
        What `samples` raises.
    """
    files = []
    for number, plane in enumerate(samples()):
        pixels = plane.pixels[..., np.newaxis] if plane.pixels.ndim == 2 else plane.pixels
        ImageInput.from_array(pixels, axes=Axes("YXC"), name=plane.name)  # checks it
        start = f"{request_id}-in-{number}"
        image = write_array(private / f"{start}-image.npy", pixels)
        labels = write_array(private / f"{start}-labels.npy", plane.labels)
        measured = None
        if plane.measured is not None:
            measured = write_array(private / f"{start}-measured.npy", plane.measured)
        files.append(SampleFile(name=plane.name, image=image, labels=labels, measured=measured))
    box = None
    if preview is not None:
        box = PreviewBox(sample=preview[0], region=_box(private, request_id, preview[1]))
    return FineTuneRequest(
        id=request_id,
        folder=str(folder),
        output=str(output),
        samples=tuple(files),
        settings=settings,
        preview=box,
    )


def write_pixels(private: Path, wanted: PixelsWanted, arrays: Sequence[Any]) -> PixelsRequest:
    """Read the part of a layer that a worker wants, and write it to a file of `private`.

    Parameters
    ----------
    private
        Folder of the client.
    wanted
        What is wanted.
    arrays
        The layer's levels.

    Raises
    ------
    OSError
        When the disk is full.
    Exception
        What reading the array raises.
    """
    key = tuple(part.start if part.single else slice(part.start, part.stop, part.step) for part in wanted.part)
    pixels = np.asarray(arrays[wanted.level][key])
    path = private / f"{wanted.id}-in-pixels-{wanted.number}.npy"
    return PixelsRequest(id=uuid.uuid4().hex, target=wanted.id, number=wanted.number, pixels=write_array(path, pixels))


def remove_files(private: Path, request_id: str, which: str) -> None:
    """Remove a request's files: `INPUTS`, or `ALL_FILES`."""
    for path in private.glob(f"{request_id}-{which}"):
        remove_file(path)


def _box(private: Path, request_id: str, region: Region) -> RegionBox:
    mask = None
    if region.mask is not None:
        mask = write_array(private / f"{request_id}-in-mask.npy", np.asarray(region.mask, np.bool_))
    return RegionBox(y=region.y, x=region.x, height=region.height, width=region.width, mask=mask)
