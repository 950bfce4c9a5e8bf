"""Commands that make models of models: ``finetune``, ``models new``, ``models compare``."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_runet.cli_common import LARGEST_SEED, Device, Json, Precision, check_json, sentences, write_json

if TYPE_CHECKING:
    from types import FrameType

    from napari_runet.training.fine_tuning import FineTuningReport

Data = Annotated[Path, typer.Option("--data", help="Folder with images/ and labels/ (255 = unknown) or masks/.")]


def register(app: typer.Typer, models: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("finetune")(finetune)
    models.command("new")(new)
    models.command("compare")(compare)


def finetune(
    model: Annotated[str, typer.Option("--model", help="Id, or folder (with a path separator).")],
    data: Data,
    output: Annotated[str, typer.Option("--output", help="Id, or folder (with a path separator), of the new model.")],
    seconds: Annotated[float | None, typer.Option("--seconds", help="Time to train; 60 by default.")] = None,
    training_steps: Annotated[int | None, typer.Option("--training-steps", help="Train this many steps.")] = None,
    strength: Annotated[float, typer.Option("--strength", help="How far the model may move, 0.05 to 1.")] = 0.5,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the corrections that only judges, 0 to 0.5; 0 for none.")
    ] = 0.2,
    thin_structures: Annotated[
        bool, typer.Option("--thin-structures", help="Also keep lines connected (soft clDice), where all was reviewed.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Decides crops and what is held out.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    json_file: Json = None,
) -> None:
    """Fine-tune a model on corrections, and write the candidate with its figures.

    Ctrl-C keeps the best so far.
    """
    from napari_runet.inference.segmenter import load_model
    from napari_runet.settings import FineTuningSettings
    from napari_runet.training.fine_tuning import fine_tune
    from napari_runet.training.pairs import read_pairs
    from napari_runet.training.trainer import TrainingError

    if seconds is not None and training_steps is not None:
        raise typer.BadParameter("give --seconds or --training-steps, not both")
    with sentences(TrainingError):
        time = {} if seconds is None else {"seconds": seconds}
        settings = FineTuningSettings.model_validate(
            {
                **time,
                "training_steps": training_steps,
                "strength": strength,
                "held_out": held_out,
                "thin_structures": thin_structures,
                "seed": seed,
                "device": device,
                "precision": precision,
            }
        )
        check_json(json_file)
        folder = new_folder(output)
        loaded = load_model(find(model), settings.device, settings.precision)
        pairs = read_pairs(data)
        with ctrl_c() as pressed:
            last = _follow(fine_tune(loaded, pairs, settings, stop=lambda: bool(pressed)))
        if last.candidate is None:
            raise RuntimeError("Fine-tuning ended without a candidate.")
        card = last.candidate.save(folder, folder.name if is_id(output) else None)
    figures = last.candidate.figures
    typer.echo(figures.reason)
    typer.echo(f"{figures.training_steps} training steps in {figures.seconds:.0f} s. Written: {folder}")
    if json_file is not None:
        with sentences():
            write_json(json_file, {"model": card.id, "sha256": card.sha256, "parent": card.parent, **figures.as_json()})


def new(
    model_id: Annotated[str, typer.Argument(metavar="ID")],
    classes: Annotated[list[str], typer.Option("--classes", help="Names of what it shall find, one or more.")],
    more: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Further names.")] = None,
    parent: Annotated[str | None, typer.Option("--from", help="Start with the layers of this model.")] = None,
    channels: Annotated[
        int | None, typer.Option("--channels", min=1, max=64, help="Channels of its images; 3 by default.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides the first weights.")] = 0,
) -> None:
    """Make a model of one's own, to be taught by corrections and finetune."""
    from napari_runet.models.classes import named_classes
    from napari_runet.training.new_model import new_model

    with sentences():
        names = named_classes([*classes, *(more or [])])
        folder = new_folder(model_id)
        card = new_model(
            folder,
            folder.name,
            names,
            channels=channels,
            parent=find(parent) if parent is not None else None,
            seed=seed,
        )
    typer.echo(f"Made {card.id} with the classes {', '.join(card.class_names)}: {folder}")


def compare(
    first: Annotated[str, typer.Argument(metavar="A")],
    second: Annotated[str, typer.Argument(metavar="B")],
    data: Data,
    device: Device = "auto",
    precision: Precision = "auto",
    json_file: Json = None,
) -> None:
    """Print the Dice coefficient of two models side by side, image by image, at each one's last iteration."""
    from napari_runet.inference.segmenter import load_model
    from napari_runet.settings import SegmentationSettings
    from napari_runet.training.pairs import read_pairs
    from napari_runet.training.validation import validate

    with sentences():
        chosen = SegmentationSettings.model_validate({"device": device, "precision": precision})
        check_json(json_file)
        loaded = [load_model(find(name), chosen.device, chosen.precision) for name in (first, second)]
        pairs = [pair for pair in read_pairs(data) if ((pair.labels > 0) & (pair.labels < 255)).any()]
        if not pairs:
            raise ValueError(f"No image in {data} has a labelled foreground, so there is nothing to compare on.")
        rows: list[dict[str, Any]] = []
        for pair in pairs:
            dice = [validate(model.card, model.runner, [pair], model.card.iterations)[-1] for model in loaded]
            rows.append({"name": pair.name, "dice": dice})
            typer.echo(f"{pair.name:<32} {dice[0]:.4f}  {dice[1]:.4f}  {dice[1] - dice[0]:+.4f}")
        means = [sum(row["dice"][i] for row in rows) / len(rows) for i in range(2)]
        typer.echo(f"{'mean':<32} {means[0]:.4f}  {means[1]:.4f}  {means[1] - means[0]:+.4f}")
        if json_file is not None:
            content = {"models": [model.card.id for model in loaded], "dice": means, "per_image": rows}
            write_json(json_file, content)


def is_id(name: str) -> bool:
    """Whether a name on the command line is an id, not a folder."""
    return "/" not in name and os.sep not in name


def find(name: str) -> Path:
    """The folder of a model that is there."""
    from napari_runet.models.store import ModelStore

    return ModelStore().find(name)


def new_folder(name: str) -> Path:
    """Where a new model goes; it can be written there, as far as can be told before anything is computed.

    Raises
    ------
    ModelError
        When there is something already, the name is no id, or the folder cannot be made.
    """
    import tempfile

    from napari_runet.io.masks import why_not_written
    from napari_runet.models.managing import free_folder
    from napari_runet.models.store import ModelError, ModelStore

    folder = free_folder(ModelStore(), name) if is_id(name) else Path(name)
    try:
        if folder.exists():
            raise ModelError(f"{folder} is there already; choose another name, nothing is ever overwritten.")
        with tempfile.TemporaryDirectory(dir=next(path for path in folder.absolute().parents if path.exists())):
            return folder
    except OSError as error:
        raise ModelError(why_not_written(folder, error)) from error


@contextmanager
def ctrl_c() -> Iterator[list[int]]:
    """Collect the first Ctrl-C instead of ending; the second one ends."""
    pressed: list[int] = []

    def note(number: int, frame: "FrameType | None") -> None:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(number)
        typer.echo("Stopping; the best so far is kept. Press again to end at once.", err=True)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


def _follow(reports: "Iterator[FineTuningReport]") -> "FineTuningReport":
    """Show reports as they come; returns the last."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Preparing")
        report = None
        for report in reports:
            loss = "" if report.loss is None else f", loss {report.loss:.3f}"
            score = "" if report.after is None else f", Dice {report.before:.3f} -> {report.after:.3f}"
            left = "" if report.seconds_left is None else f", {report.seconds_left:.0f} s left"
            progress.update(task, description=f"{report.phase}: step {report.training_step}{loss}{score}{left}")
    if report is None:
        raise RuntimeError("Fine-tuning gave no report.")
    return report
