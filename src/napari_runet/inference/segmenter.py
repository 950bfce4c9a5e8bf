"""`load_model` and `segment`: the whole way from an image to a prediction, in the caller's process."""

import copy
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.normalisation import IntensityRange
from napari_runet.images.pixel_size import PixelSize
from napari_runet.images.prediction import Prediction
from napari_runet.images.rescaling import View
from napari_runet.inference.backends.choosing import accelerated
from napari_runet.inference.devices import DeviceChoice, choose_device
from napari_runet.inference.fitting import Run, fitted
from napari_runet.inference.iterations import Iteration, Report, _ignore, iterate_plane
from napari_runet.inference.starting import Start, read_start
from napari_runet.inference.viewing import iterate_views, pixel_size_of, plane_intensities
from napari_runet.models.card import NOT_TRAINED_FOR_IT, ModelCard, goes_on_from_masks
from napari_runet.models.store import ModelStore
from napari_runet.models.weights import load_network
from napari_runet.networks import IterativeNetwork
from napari_runet.settings import BackendName, DeviceName, SegmentationSettings


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run: its card, its network, and where it is.

    `backend` is what runs instead of the network, see `napari_runet.inference.backends`; None for the network itself.
    `spare` is a copy of a GPU's network in the computer's memory, for when the GPU is lost; `asked` is which backend
    was asked for.
    """

    card: ModelCard
    network: IterativeNetwork
    device: DeviceChoice
    backend: IterativeNetwork | None = None
    spare: IterativeNetwork | None = None
    asked: BackendName = "auto"

    @property
    def runner(self) -> IterativeNetwork:
        """What to run for predictions."""
        return self.network if self.backend is None else self.backend

    def on_cpu(self, reason: str) -> "LoadedModel":
        """The same model on the CPU."""
        network = copy.deepcopy(self.network if self.spare is None else self.spare)
        return ready(self.card, network, DeviceChoice("cpu", reason), self.asked)


def load_model(name: str | Path, device: DeviceName = "auto", backend: BackendName = "auto") -> LoadedModel:
    """Load a model by id, or from a folder.

    Parameters
    ----------
    name
        An id such as ``"retina"``; a folder when it is a Path or holds a path separator.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    backend
        ``"float32"`` for the fast path on CPUs where there is one, ``"bfloat16"`` for that path in bfloat16, on
        processors that have instructions for it; ``"auto"`` for bfloat16 where it has them, else float32;
        ``"reference"`` for the network as it is written, which float32 agrees with but for rounding.

    Raises
    ------
    ModelError
        When there is no such model, or it cannot be trusted.
    DeviceError, BackendError
        When the device is not there, or the backend cannot be had on it.
    """
    return ready(*load_network(ModelStore().find(name)), choose_device(device), backend)


def ready(
    card: ModelCard, network: IterativeNetwork, device: DeviceChoice, backend: BackendName = "auto"
) -> LoadedModel:
    """Place a network on a device and choose what runs it there; its weights must not change any more."""
    spare = None if device.name == "cpu" else copy.deepcopy(network)
    placed = place(network, device.name)
    return LoadedModel(card, placed, device, accelerated(placed, backend), spare, backend)


def place(
    network: IterativeNetwork, device: str, layout: torch.memory_format = torch.channels_last
) -> IterativeNetwork:
    """Move a network to a device, in a memory layout; inference is fastest in channels_last."""
    return network.to(device, memory_format=layout).eval()  # type: ignore[call-overload, no-any-return]


def iterate(
    image: ImageInput,
    model: LoadedModel,
    settings: SegmentationSettings,
    *,
    index: tuple[int, ...] = (),
    region: Region | None = None,
    start: Start | None = None,
    intensities: IntensityRange | None = None,
    pixel_size: PixelSize | None = None,
    quantised: bool = False,
    report: Report = _ignore,
) -> Iterator[Iteration]:
    """Yield each iteration of one plane as it is computed; see `iterate_plane`.

    Where memory does not suffice, tiles become smaller, and a GPU that does not suffice or is gone is replaced by the
    CPU; the iterations say so, and a warning does.

    Parameters
    ----------
    quantised
        Give uint8 round(255 p) instead of float32 probabilities.
    pixel_size
        By how much the plane is rescaled for the network. When None it is estimated, unless the settings say not to
        rescale or `intensities` say that the image is a part of something else.
    """
    if pixel_size is None:
        pixel_size = PixelSize()
        if settings.rescale and intensities is None:
            intensities = plane_intensities(model.card, image, index)
            pixel_size = pixel_size_of(model.card, model.runner, image, index, intensities)
    scale = pixel_size.scale

    def on(model: LoadedModel) -> Run:
        return lambda tile_size: _steps(
            image, model, settings, tile_size, index, region, start, intensities, quantised, report, pixel_size
        )

    rows, columns = image.plane_shape if region is None else (region.height, region.width)
    return _warning(
        fitted(
            on(model),
            settings.tile_size or model.card.tile_size,
            round(max(rows, columns) * scale * (4 / 3 if settings.scales else 1)),
            config=model.card.network,
            device=model.device.name,
            on_cpu=lambda reason: on(model.on_cpu(reason)),
        )
    )


def _warning(steps: Iterator[Iteration]) -> Iterator[Iteration]:
    """The same, with a warning for each new notice."""
    notice = ""
    for step in steps:
        if step.notice != notice:
            notice = step.notice
            warnings.warn(notice, stacklevel=2)
        yield step


def _steps(
    image: ImageInput,
    model: LoadedModel,
    settings: SegmentationSettings,
    tile_size: int,
    index: tuple[int, ...],
    region: Region | None,
    start: Start | None,
    intensities: IntensityRange | None,
    quantised: bool,
    report: Report,
    pixel_size: PixelSize,
) -> Iterator[Iteration]:
    views = views_of(settings, pixel_size.scale)
    run = iterate_plane if views == [View()] else partial(iterate_views, views=views)
    for step in run(
        model.card,
        model.runner,
        image,
        index,
        iterations=settings.iterations or model.card.iterations,
        tile_size=tile_size,
        tile_overlap=model.card.tile_overlap,
        region=region,
        start=start,
        intensities=intensities,
        quantised=quantised,
        report=report,
    ):
        yield replace(step, pixel_size=pixel_size)


def views_of(settings: SegmentationSettings, scale: float) -> list[View]:
    """How the network looks at a plane that is rescaled by `scale`."""
    flips = [(False, False), (False, True), (True, False), (True, True)] if settings.flips else [(False, False)]
    scales = (1.0, 0.75, 4 / 3) if settings.scales else (1.0,)
    return [View(scale * more, *flip) for more in scales for flip in flips]


def segment(
    image: Any,
    model: LoadedModel | str | Path,
    *,
    iterations: int | None = None,
    threshold: float | None = None,
    tile_size: int | None = None,
    index: tuple[int, ...] = (),
    start: Any | None = None,
    pinned: Any | None = None,
    rescale: bool = True,
    flips: bool = False,
    scales: bool = False,
) -> Prediction:
    """Segment one image.

    Parameters
    ----------
    image
        (Y, X) or (Y, X, C) array of any real dtype, or an `ImageInput`.
    model
        From `load_model`, or what it takes.
    iterations, threshold, tile_size
        By default what the model's card recommends.
    index
        Which plane of a stack, for an `ImageInput` with planes.
    start
        What the network begins from instead of nothing: (Y, X) labels, 255 where unknown, or a `Prediction`, whose
        last iteration is meant. A model that was not trained for it warns, and does what it can.
    pinned
        Pixels that no iteration changes: (Y, X) bool, those of `start`; or labels, 255 where nothing is pinned.
    rescale
        Enlarge or shrink the image for the network where its structures are much thinner or wider than those the
        model sees best; the prediction's `scale` says by how much. Its masks have the image's size anyway.
    flips, scales
        Average over mirrored images, and over 0.75 and 1.33 times the size: better by little, slower by much.

    Raises
    ------
    ImageError
        When the image is empty, complex, without a finite number, or has channels the model cannot read; or when
        `start` or `pinned` do not fit image and model.
    """
    settings = SegmentationSettings(
        iterations=iterations, threshold=threshold, tile_size=tile_size, rescale=rescale, flips=flips, scales=scales
    )
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    source = image if isinstance(image, ImageInput) else ImageInput.from_array(np.asarray(image))
    begin = read_start(start, pinned, source.plane_shape, loaded.card, source.name)
    if begin is not None and not goes_on_from_masks(loaded.card):
        warnings.warn(NOT_TRAINED_FOR_IT.format(title=loaded.card.title), stacklevel=2)
    steps = list(iterate(source, loaded, settings, index=index, start=begin))
    return Prediction(
        np.stack([step.foreground for step in steps]),
        settings.threshold or loaded.card.threshold,
        loaded.card.id,
        loaded.card.sha256,
        run_id=uuid.uuid4().hex,
        scale=steps[-1].pixel_size.scale,
    )
