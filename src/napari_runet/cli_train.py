"""The command ``train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_runet.cli_common import Device, Json, sentences, write_json
from napari_runet.cli_finetune import ctrl_c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_runet.training.loop import TrainingReport


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A TOML file, or the id of a shipped model.")],
    data: Annotated[Path, typer.Option("--data", help="Folder with train/ and val/, each with images/ and masks/.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the model, its curves and checkpoint.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the output folder.")] = False,
    start_from: Annotated[
        str | None, typer.Option("--from", metavar="ID_OR_FOLDER", help="Begin with the weights of this model.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides first weights and crops.")] = 0,
    device: Device = "auto",
    json_file: Json = None,
) -> None:
    """Train a model by a recipe. Ctrl-C stops and keeps the best model so far; --resume goes on."""
    from napari_runet.inference.devices import choose_device
    from napari_runet.models.card import MODEL_ID_PATTERN
    from napari_runet.models.store import CARD_FILE, ModelError, ModelStore, read_card, shipped_folder
    from napari_runet.settings import SegmentationSettings
    from napari_runet.training.loop import TrainingError
    from napari_runet.training.loop import train as run
    from napari_runet.training.recipe import read_recipe

    with sentences(TrainingError):
        import re

        chosen = choose_device(SegmentationSettings.model_validate({"device": device}).device)
        shipped = shipped_folder() / recipe / "recipe.toml"
        named = re.fullmatch(MODEL_ID_PATTERN, recipe) is not None and shipped.is_file()
        plan = read_recipe(shipped if named else Path(recipe))
        if (output / CARD_FILE).exists() and not resume:
            raise ModelError(f"There is a model in {output} already; choose another folder, or --resume.")
        start = None if start_from is None else ModelStore().find(start_from)
        with ctrl_c() as pressed:
            reports = run(
                plan,
                data,
                output,
                seed=seed,
                device=chosen.name,
                resume=resume,
                start_from=start,
                stop=lambda: bool(pressed),
            )
            last = _follow(reports, plan.training_steps)
        if not (output / CARD_FILE).exists():
            raise TrainingError(
                f"Training stopped before the first validation, so there is no model in {output} yet; go on "
                "by --resume."
            )
        card = read_card(output)
        steps = card.training.get("training_steps") if last is None else last.training_step
        if json_file is not None:
            figures = {"model": card.id, "sha256": card.sha256, "training_steps": steps, "metrics": card.metrics}
            write_json(json_file, {**figures, "seed": seed, "device": chosen.name})
    typer.echo(f"{steps} training steps. Dice on val: {card.metrics.get('val', {}).get('dice')}. Written: {output}")


def _follow(reports: "Iterator[TrainingReport]", total: int) -> "TrainingReport | None":
    """Show reports as they come; returns the last."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last, dice = None, ""
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Preparing", total=total)
        for last in reports:
            if last.dice is not None:
                dice = f", Dice {last.dice[-1]:.3f}"
            progress.update(task, completed=last.training_step, description=f"loss {last.loss:.3f}{dice}")
    return last
