"""The commands ``models list | show | path`` and ``doctor``."""

from typing import Annotated

import typer

from napari_runet.cli_common import sentences

ModelId = Annotated[str, typer.Argument(metavar="ID", help="Id, or folder (with a path separator).")]


def add_model_commands(models: typer.Typer) -> None:
    """Add the commands to ``models``."""
    models.command("list")(list_models)
    models.command("show")(show)
    models.command("path")(path)


def list_models() -> None:
    """List the shipped models and yours."""
    from napari_runet.models.store import ModelStore

    store = ModelStore()
    for model in store.models():
        typer.echo(f"{model.card.id:<24} {'shipped' if model.shipped else 'yours':<8} {model.card.sentence}")
    for problem in store.problems():
        typer.echo(problem, err=True)


def show(model: ModelId) -> None:
    """Print a model's card as JSON."""
    from napari_runet.models.store import ModelStore, read_card

    with sentences():
        typer.echo(read_card(ModelStore().find(model)).model_dump_json(indent=2))


def path(model: ModelId) -> None:
    """Print a model's folder."""
    from napari_runet.models.store import ModelStore

    with sentences():
        typer.echo(str(ModelStore().find(model)))


def doctor() -> None:
    """Print versions, devices, threads, the model folder, and why the GPU is or is not used."""
    from napari_runet.inference.doctor import diagnosis

    for name, value in diagnosis():
        typer.echo(f"{name:<16} {value}")
