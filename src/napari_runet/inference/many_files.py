"""`segment_files`: files, folders and patterns into a folder of masks, in the caller's process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from napari_runet.batch.output import Output, is_out_of_room
from napari_runet.batch.record import Job, Outcome
from napari_runet.batch.run import BatchRun, Plan, Tally, plan
from napari_runet.inference.blocks import Runner, run_here
from napari_runet.inference.estimating import estimate_unfinished
from napari_runet.inference.files import segment_file
from napari_runet.inference.segmenter import LoadedModel, load_model
from napari_runet.limits import MAX_WORKERS
from napari_runet.settings import DeviceName, SegmentationSettings

if TYPE_CHECKING:
    from napari_runet.inference.cluster import Cluster

Told = Callable[[Job, float, Outcome | Exception | None], None]
"""Called with a job, the share of it that is done, and at its end what became of it."""


Say = Callable[[str], None]


def _say_nothing(sentence: str) -> None:
    pass


def _ignore(job: Job, share: float, end: Outcome | Exception | None) -> None:
    pass


def segment_files(
    images: str | Path | Sequence[str | Path],
    model: LoadedModel | str | Path,
    output: str | Path,
    *,
    pattern: str = "",
    axes: str = "",
    iterations: int | None = None,
    threshold: float | None = None,
    tile_size: int | None = None,
    rescale: bool = True,
    flips: bool = False,
    scales: bool = False,
    follow_time: bool = False,
    follow_iterations: int = SegmentationSettings().follow_iterations,
    start: str | Path | None = None,
    file_format: str = "tif",
    all_iterations: bool = False,
    probabilities: bool = False,
    level: int = 0,
    into_image: bool = False,
    overwrite: bool = False,
    workers: int = 0,
    scheduler: str = "",
    told: Told = _ignore,
) -> Tally:
    """Segment image files, and OME-Zarr images of any size, into a folder of masks, with a summary beside them.

    What is finished there (the same content, model and settings) is not done again, so that a run that was ended
    can be repeated. An image that cannot be segmented does not stop the others.

    Parameters
    ----------
    images
        Files, folders and patterns.
    model
        From `load_model`, or what it takes; workers compute on the device that it was loaded to.
    output
        Folder for the masks and ``summary.csv``.
    pattern
        Which files of a folder are meant, such as ``"**/*.png"``.
    axes
        What the dimensions of stacks are, such as ``"TYX"``, where their files do not say.
    iterations, threshold, tile_size
        By default what the model's card recommends.
    rescale, flips, scales
        As for `segment`; what is segmented block by block is never rescaled.
    follow_time
        In movies, begin each frame from the mask of the frame before, with `follow_iterations` iterations; anew where
        the scene cuts.
    start
        Folder of label images (255 where unknown), called like the images, which these begin from.
    file_format
        ``"tif"`` or ``"png"``; ``"ome-zarr"`` or ``"ome-tif"`` to segment TIFF files, too, block by block. OME-Zarr
        images lead to OME-Zarr, unless ``"ome-tif"`` is asked for.
    all_iterations, probabilities
        Also write the mask of each iteration, and the last one's probabilities; not for OME-Zarr.
    level, into_image
        Which resolution of OME-Zarr images is segmented, and whether masks go into their own ``labels`` group and
        not into ``<name>.ome.zarr/labels``.
    overwrite
        Do everything anew, and replace whatever is there.
    workers
        How many processes on this machine share the work, up to 1024; 0 for this one alone.
    scheduler
        Address of a Dask scheduler whose workers do the work; they must see the same disks.
    told
        Called while it goes on; may raise to stop.

    Returns
    -------
    How many were done, and a sentence for each that could not be.

    Raises
    ------
    FileError
        When nothing could be done: there are no images, the output cannot be as asked for, another run holds it,
        or there is no room for the results.
    ClusterError
        When the workers cannot be had.
    ModelError, DeviceError
        As `load_model` does.
    """
    settings = SegmentationSettings(
        iterations=iterations,
        threshold=threshold,
        tile_size=tile_size,
        rescale=rescale,
        flips=flips,
        scales=scales,
        follow_time=follow_time,
        follow_iterations=follow_iterations,
    )
    loaded, device = (model, model.device.name) if isinstance(model, LoadedModel) else (load_model(model), "auto")
    written = Output(
        folder=Path(output),
        format=file_format,
        all_iterations=all_iterations,
        probabilities=probabilities,
        level=level,
        into_image=into_image,
    )
    inputs = [images] if isinstance(images, str | Path) else images
    begin = None if start is None else Path(start)
    planned = plan(inputs, written, loaded.card, settings, pattern=pattern, axes=axes, start=begin, overwrite=overwrite)
    with who_works(loaded, cast("DeviceName", device), workers, scheduler) as cluster:
        return carry_out(planned, loaded, told, cluster=cluster)


@contextmanager
def who_works(
    model: LoadedModel, device: DeviceName, workers: int = 0, scheduler: str = ""
) -> "Iterator[Cluster | None]":
    """The workers that are asked for; None for this process.

    Raises
    ------
    ClusterError
        When they cannot be had.
    """
    if not workers and not scheduler:
        yield None
        return
    from napari_runet.inference.cluster import ClusterError, connect, local_workers

    if not 0 <= workers <= MAX_WORKERS:
        raise ClusterError(f"Ask for 0 to {MAX_WORKERS} workers on this machine, not for {workers}.")
    if workers and scheduler:
        raise ClusterError("Workers are either those of a scheduler or started here; leave out one of the two.")
    with connect(scheduler, model, device) if scheduler else local_workers(workers, model, device) as cluster:
        yield cluster


def carry_out(
    planned: Plan,
    model: LoadedModel,
    told: Told = _ignore,
    *,
    estimates: Say = _say_nothing,
    cluster: "Cluster | None" = None,
) -> Tally:
    """Do what was planned, one image after the other, or all at once on a cluster; else as `segment_files`.

    Parameters
    ----------
    planned, model, told
        What, by which model, and who is told of it.
    estimates
        Given a sentence for each OME-Zarr image that is not finished: how many bytes and how long it takes.
    cluster
        Who works; this process when None.
    """
    with BatchRun(planned) as run:
        if estimates is not _say_nothing:
            for job in run.jobs:
                if sentence := estimate_unfinished(job, model, 1 if cluster is None else cluster.size):
                    estimates(sentence)
        ends = _one_by_one(run.jobs, model, told) if cluster is None else _by_cluster(run.jobs, model, told, cluster)
        for job, end in ends:
            if isinstance(end, Exception):
                told(job, 1.0, end)
                run.fail(job, str(end), no_room=is_out_of_room(end))
            else:
                run.finish(end)
                told(job, 1.0, end)
        return run.tally


End = tuple[Job, Outcome | Exception]


def _one_by_one(jobs: Sequence[Job], model: LoadedModel, told: Told, run: Runner = run_here) -> Iterator[End]:
    for job in jobs:
        told(job, 0.0, None)
        try:
            yield job, segment_file(job, model, lambda share, job=job: told(job, share, None), run)  # type: ignore[misc]
        except (ValueError, OSError) as error:
            yield job, error


def _by_cluster(jobs: Sequence[Job], model: LoadedModel, told: Told, cluster: "Cluster") -> Iterator[End]:
    """Files side by side, and then large images one after the other, each by all workers."""
    large = [job for job in jobs if job.is_in_blocks]
    yield from cluster.files(job for job in jobs if not job.is_in_blocks)
    yield from _one_by_one(large, model, told, cluster.run)
