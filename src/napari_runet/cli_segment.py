"""The command ``segment``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_runet.cli_common import Device, Flips, Iterations, Model, Precision, Rescale, Scales, Threshold, sentences
from napari_runet.limits import MAX_WORKERS

if TYPE_CHECKING:
    from rich.progress import Progress

    from napari_runet.batch.record import Job, Outcome
    from napari_runet.batch.run import Tally


def segment(
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Files, folders, patterns, OME-Zarr.")],
    model: Model,
    output: Annotated[Path, typer.Option("--output", help="Folder for the masks.")],
    pattern: Annotated[str, typer.Option("--pattern", help="Which files of a folder, such as '**/*.png'.")] = "",
    axes: Annotated[str, typer.Option("--axes", help="What a stack's dimensions are: T, Z, C, Y, X.")] = "",
    iterations: Iterations = None,
    device: Device = "auto",
    precision: Precision = "auto",
    threshold: Threshold = None,
    rescale: Rescale = True,
    flips: Flips = False,
    scales: Scales = False,
    follow_time: Annotated[
        bool, typer.Option("--follow-time", help="In movies, begin each frame from the mask of the frame before.")
    ] = False,
    follow_iterations: Annotated[
        int,
        typer.Option("--follow-iterations", help="Iterations of a frame that goes on from another, 1 to 10."),
    ] = 1,
    tile_size: Annotated[
        int | None, typer.Option("--tile-size", help="Pixels of a tile's side, 64 to 8192; by default the card's.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--start", help="Label images to begin from (255 = unknown), called like the images.")
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="tif or png; ome-zarr or ome-tif, block by block, for what is large.")
    ] = "tif",
    level: Annotated[int, typer.Option("--level", help="Of what is done block by block; 0 is the finest.")] = 0,
    into_image: Annotated[
        bool, typer.Option("--into-image", help="Write masks of OME-Zarr images into their own labels group.")
    ] = False,
    all_iterations: Annotated[bool, typer.Option("--all-iterations", help="A mask for each iteration too.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write probabilities too.")] = False,
    workers: Annotated[
        int,
        typer.Option(
            "--workers", min=0, max=MAX_WORKERS, help="Processes on this machine that share the work; 0 for one alone."
        ),
    ] = 0,
    scheduler: Annotated[str, typer.Option("--scheduler", help="Address of a Dask scheduler to work with.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do everything anew, replacing files.")] = False,
) -> None:
    """Segment image files, stacks and OME-Zarr images: one label image each, and a summary.csv.

    What is finished in the output folder is not done again, so that a run that was ended can be repeated.
    """
    from napari_runet.settings import SegmentationSettings

    with sentences():
        settings = SegmentationSettings.model_validate(
            {
                "iterations": iterations,
                "threshold": threshold,
                "device": device,
                "precision": precision,
                "rescale": rescale,
                "flips": flips,
                "scales": scales,
                "follow_time": follow_time,
                "follow_iterations": follow_iterations,
                "tile_size": tile_size,
            }
        )
    from napari_runet.batch.output import Output
    from napari_runet.batch.run import plan
    from napari_runet.inference.many_files import carry_out, who_works
    from napari_runet.inference.segmenter import load_model
    from napari_runet.models.card import NOT_TRAINED_FOR_IT, goes_on_from_masks

    with sentences():
        loaded = load_model(model, settings.device, settings.precision)
        written = Output(
            folder=output,
            format=file_format,
            all_iterations=all_iterations,
            probabilities=probabilities,
            level=level,
            into_image=into_image,
        )
        planned = plan(
            images, written, loaded.card, settings, pattern=pattern, axes=axes, start=start, overwrite=overwrite
        )
        for note in planned.found.notes:
            typer.echo(note, err=True)
        if start is not None and not goes_on_from_masks(loaded.card):
            typer.echo(NOT_TRAINED_FOR_IT.format(title=loaded.card.title), err=True)
        with who_works(loaded, settings.device, workers, scheduler) as cluster, _progress() as progress:
            teller = _Teller(progress, len(planned.found.images))
            tally = carry_out(planned, loaded, teller, estimates=teller.say, cluster=cluster)
    typer.echo(_said(tally, loaded.card.id, output))
    if tally.problems:
        raise typer.Exit(1)


class _Teller:
    """Shows how far a batch is, and each sentence as it comes."""

    def __init__(self, progress: "Progress", total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("Segmenting", total=total)
        self._done = 0

    def say(self, sentence: str) -> None:
        """Show a sentence above the bar."""
        self._progress.console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def __call__(self, job: "Job", share: float, end: "Outcome | Exception | None") -> None:
        if isinstance(end, Exception):
            self.say(str(end))
        self._done += end is not None
        completed = self._done + (share if end is None else 0)
        self._progress.update(self._task, completed=completed, description=job.image.name)


def _progress() -> "Progress":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _said(tally: "Tally", model: str, output: Path) -> str:
    total = tally.done + tally.skipped + len(tally.problems)
    before = f"; {tally.skipped} had been finished before" if tally.skipped else ""
    return f"Segmented {tally.done} of {total} images with {model} into {output}{before}."
