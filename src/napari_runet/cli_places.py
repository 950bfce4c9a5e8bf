"""The command ``places``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_runet.cli_common import (
    Device,
    Iterations,
    Json,
    Model,
    Precision,
    Threshold,
    check_json,
    sentences,
    write_json,
)

if TYPE_CHECKING:
    from napari_runet.batch.finding import FoundImage
    from napari_runet.inference.segmenter import LoadedModel
    from napari_runet.reviewing.places import Place
    from napari_runet.settings import SegmentationSettings


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The places of one plane of an image file; `index` is empty for an image of a single plane."""

    path: Path
    index: tuple[int, ...]
    doubt: float
    places: "list[Place]"


def places(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, patterns.")],
    model: Model,
    most: Annotated[int, typer.Option("--most", min=1, max=1000, help="At most this many places a plane.")] = 10,
    pattern: Annotated[str, typer.Option("--pattern", help="Which files of a folder, such as '**/*.png'.")] = "",
    axes: Annotated[str, typer.Option("--axes", help="What a stack's dimensions are: T, Z, C, Y, X.")] = "",
    iterations: Iterations = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threshold: Threshold = None,
    uncertainty: Annotated[
        Path | None, typer.Option("--uncertainty", help="Folder for the score of every pixel, 0 to 255, as TIFF.")
    ] = None,
    json: Json = None,
) -> None:
    """Say where masks are most doubtful: which image or plane to look at first, and which places in it."""
    from napari_runet.settings import SegmentationSettings

    with sentences():
        settings = SegmentationSettings.model_validate(
            {"iterations": iterations, "threshold": threshold, "device": device, "precision": precision}
        )
    from napari_runet.batch.finding import find_images
    from napari_runet.inference.segmenter import load_model

    with sentences():
        check_json(json)
        named = find_images(images, pattern)
        found = named.images
        for note in named.notes:
            typer.echo(note, err=True)
        loaded = load_model(model, settings.device, settings.precision)
        if uncertainty is not None:
            _check_names(found, uncertainty)
            _make_folder(uncertainty)
    ranked: list[_Ranked] = []
    failed = 0
    written: set[str] = set()
    for image in found:
        try:
            ranked += _ranked(image, axes, loaded, settings, most, uncertainty, written)
        except (ValueError, OSError) as error:
            failed += 1
            typer.echo(str(error), err=True)
    ranked.sort(key=lambda plane: -plane.doubt)
    _tell(ranked)
    if json is not None:
        with sentences():
            write_json(json, [_as_json(plane) for plane in ranked])
    if failed:
        raise typer.Exit(1)


def _check_names(images: "Sequence[FoundImage]", folder: Path) -> None:
    """See that no score would be written over another."""
    from napari_runet.io.images import FileError

    owner: dict[str, FoundImage] = {}
    for image in images:
        other = owner.setdefault(image.name.casefold(), image)
        if other is not image:
            path = folder / f"{image.name}_uncertainty.tif"
            raise FileError(f"{other.path} and {image.path} would both be written to {path}; rename one.")


def _make_folder(folder: Path) -> None:
    from napari_runet.io.images import FileError
    from napari_runet.io.masks import why_not_written

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(why_not_written(folder, error)) from error


def _ranked(
    image: "FoundImage",
    axes: str,
    model: "LoadedModel",
    settings: "SegmentationSettings",
    most: int,
    uncertainty: Path | None,
    written: set[str],
) -> Iterator[_Ranked]:
    """Each plane of an image file; `written` are the names of all scores that were written."""
    import numpy as np

    from napari_runet.batch.axes_of_files import axes_of_file
    from napari_runet.images.image_input import ImageInput
    from napari_runet.inference.segmenter import segment
    from napari_runet.io.images import FileError
    from napari_runet.io.masks import write_mask
    from napari_runet.io.ome_zarr import is_zarr
    from napari_runet.io.opening import open_image
    from napari_runet.reviewing.doubt import doubt
    from napari_runet.reviewing.places import MOST_PLACES, doubt_of_plane, rank

    if is_zarr(image.path):
        raise FileError(f"{image.path} is an OME-Zarr image, which places cannot read: save a part of it as TIFF.")
    with open_image(image.path) as opened:
        name, channels = image.path.name, model.card.network.in_channels
        read_as, _ = axes_of_file(name, opened.array.shape, opened.axes, channels, axes)
        source = ImageInput.from_array(opened.array, axes=read_as, name=name)
        stack = tuple(int(source.array.shape[axis]) for axis in read_as.plane_axes)
        for index in np.ndindex(stack):
            prediction = segment(
                source, model, iterations=settings.iterations, threshold=settings.threshold, index=index
            )
            foreground = prediction.foreground
            score = doubt(foreground[-1], foreground[-2] if len(foreground) > 1 else None, prediction.threshold)
            shown = index if any(count > 1 for count in stack) else ()
            if uncertainty is not None:
                stem = "_".join([image.name, *(str(position + 1) for position in shown)])
                path = uncertainty / f"{stem}_uncertainty.tif"
                if path.name.casefold() in written:  # the first plane of a.tif, and a_1.tif
                    raise FileError(f"The score of {image.path} would be written over {path}; rename one image.")
                written.add(path.name.casefold())
                path.parent.mkdir(parents=True, exist_ok=True)
                write_mask(path, score.score, pixel_size=opened.pixel_size, unit=opened.unit)
            found = rank(score, max(most, MOST_PLACES))
            yield _Ranked(image.path, shown, doubt_of_plane(found), found[:most])


def _tell(ranked: list[_Ranked]) -> None:
    for plane in ranked:
        which = f", plane {', '.join(str(position + 1) for position in plane.index)}" if plane.index else ""
        typer.echo(f"{plane.path}{which}: doubt {plane.doubt:.3f}")
        for number, place in enumerate(plane.places, 1):
            where = f"rows {place.y} to {place.y + place.height}, columns {place.x} to {place.x + place.width}"
            typer.echo(f"  {number:3d}  {where}: {place.score:.3f} ({place.reason})")


def _as_json(plane: _Ranked) -> dict[str, object]:
    rows = [
        {
            "y": place.y, "x": place.x, "height": place.height, "width": place.width,
            "score": round(place.score, 4), "parts": {name: round(value, 4) for name, value in place.parts.items()},
        }
        for place in plane.places
    ]  # fmt: skip
    return {"image": str(plane.path), "plane": list(plane.index), "doubt": round(plane.doubt, 4), "places": rows}
