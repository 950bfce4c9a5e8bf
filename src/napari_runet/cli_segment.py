"""The command ``segment``."""

from pathlib import Path
from typing import Annotated

import typer

from napari_runet.cli_common import Device, Iterations, Model, Threshold, sentences


def segment(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    model: Model,
    output: Annotated[Path, typer.Option("--output", help="Folder for the masks.")],
    iterations: Iterations = None,
    device: Device = "auto",
    threshold: Threshold = None,
    file_format: Annotated[str, typer.Option("--format", help="tif or png.")] = "tif",
    all_iterations: Annotated[bool, typer.Option("--all-iterations", help="A mask for each iteration too.")] = False,
    probabilities: Annotated[bool, typer.Option("--probabilities", help="Write probabilities too.")] = False,
) -> None:
    """Segment image files: one label image a file."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_runet.settings import SegmentationSettings

    with sentences():
        settings = SegmentationSettings.model_validate(
            {"iterations": iterations, "threshold": threshold, "device": device}
        )
    from napari_runet.inference.files import Output, check_output, segment_file
    from napari_runet.inference.segmenter import load_model

    written_to = Output(output, file_format, all_iterations, probabilities)
    with sentences():
        loaded = load_model(model, settings.device)
        total = settings.iterations or loaded.card.iterations
        check_output(images, written_to, total)
    failed = 0
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Segmenting", total=len(images))
        for number, path in enumerate(images):
            progress.update(task, description=path.name)

            def report(iteration: int, done: int, tiles: int, number: int = number) -> None:
                progress.update(task, completed=number + (iteration - 1 + done / tiles) / total)

            try:
                segment_file(path, loaded, settings, written_to, report)
            except (ValueError, OSError) as error:
                failed += 1
                progress.console.print(str(error), markup=False, highlight=False, soft_wrap=True)
            progress.update(task, completed=number + 1)
    typer.echo(f"Segmented {len(images) - failed} of {len(images)} images with {loaded.card.id} into {output}.")
    if failed:
        raise typer.Exit(1)
