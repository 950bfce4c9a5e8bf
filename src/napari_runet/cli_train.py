"""The command ``train``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_runet.cli_common import LARGEST_SEED, Device, Json, check_json, sentences, write_json
from napari_runet.cli_finetune import ctrl_c

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_runet.training.loop import TrainingReport


def train(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A TOML file, a shipped model's id, or a network's name.")
    ],
    data: Annotated[Path, typer.Option("--data", help="Folder with train/ and val/, each with images/ and masks/.")],
    output: Annotated[Path, typer.Option("--output", help="Folder for the model, its curves and checkpoint.")],
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the output folder.")] = False,
    start_from: Annotated[
        str | None, typer.Option("--from", metavar="ID_OR_FOLDER", help="Begin with the weights of this model.")
    ] = None,
    encoder_weights: Annotated[
        Path | None,
        typer.Option("--encoder-weights", metavar="FILE", help="ImageNet weights, as torchvision names them."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides first weights and crops.")] = 0,
    device: Device = "auto",
    json_file: Json = None,
) -> None:
    """Train a model by a recipe. Ctrl-C stops and keeps the best model so far; --resume goes on."""
    from napari_runet.inference.devices import choose_device
    from napari_runet.models.store import CARD_FILE, ModelError, ModelStore, read_card
    from napari_runet.networks.encoder_weights import has_encoder
    from napari_runet.settings import SegmentationSettings
    from napari_runet.training.loop import train as run
    from napari_runet.training.recipe import read_recipe
    from napari_runet.training.trainer import TrainingError

    with sentences(TrainingError):
        check_json(json_file)
        chosen = choose_device(SegmentationSettings.model_validate({"device": device}).device)
        plan = read_recipe(_recipe_path(recipe))
        if (output / CARD_FILE).exists() and not resume:
            raise ModelError(f"There is a model in {output} already; choose another folder, or --resume.")
        start = None if start_from is None else ModelStore().find(start_from)
        if has_encoder(plan.network) and encoder_weights is None and start is None and not resume:
            typer.echo(
                f"The encoder of {plan.network.name} starts with random weights; "
                "--encoder-weights FILE loads ImageNet's.",
                err=True,
            )
        with ctrl_c() as pressed:
            reports = run(
                plan,
                data,
                output,
                seed=seed,
                device=chosen.name,
                resume=resume,
                start_from=start,
                encoder_weights=encoder_weights,
                stop=lambda: bool(pressed),
                tell=lambda note: typer.echo(note, err=True),
            )
            last = _follow(reports, plan.training_steps)
        if not (output / CARD_FILE).exists():
            raise TrainingError(f"Training stopped before its first step, so there is no model in {output}.")
        card = read_card(output)
        steps = card.training["training_steps"] if last is None else last.training_step
        if json_file is not None:
            figures = {"model": card.id, "sha256": card.sha256, "training_steps": steps, "metrics": card.metrics}
            write_json(json_file, {**figures, "seed": card.training["seed"], "device": chosen.name})
    if steps < plan.training_steps and not pressed:
        typer.echo(f"Stopped early: the last {plan.patience} validations were no better than the one before them.")
    dice = ", ".join(f"{value:.4f}" for value in card.metrics["val"]["dice"])
    typer.echo(f"{steps} training steps; the model of step {card.training['training_steps']} is kept.")
    typer.echo(f"Dice on val at iteration 1, 2, ...: {dice}. Written: {output}")


def _recipe_path(name: str) -> Path:
    """A recipe's file: that of a shipped model, of a row of the paper's table, or the one named."""
    from napari_runet.models.store import shipped_folder
    from napari_runet.training.recipe import RecipeError, table_recipes

    named = {path.parent.name: path for path in sorted(shipped_folder().glob("*/recipe.toml"))} | table_recipes()
    if name not in named and not Path(name).exists():
        raise RecipeError(f"There is no recipe {name}; give a TOML file, or one of {', '.join(named)}.")
    return named.get(name, Path(name))


def _follow(reports: "Iterator[TrainingReport]", total: int) -> "TrainingReport | None":
    """Show reports as they come, in a file a line for each validation; returns the last."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    last, dice = None, ""
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Preparing", total=total)
        for last in reports:
            if last.dice is not None:
                dice = f", Dice {last.dice[-1]:.3f}"
                if not console.is_terminal:
                    typer.echo(f"step {last.training_step} of {total}: loss {last.loss:.3f}{dice}", err=True)
            progress.update(task, completed=last.training_step, description=f"loss {last.loss:.3f}{dice}")
    return last
