"""The commands ``models rename | remove | export | import``: models as files."""

from pathlib import Path
from typing import Annotated

import typer

from napari_runet.cli_common import sentences

OwnId = Annotated[str, typer.Argument(metavar="ID", help="Id of one of your models.")]


def add_model_file_commands(models: typer.Typer) -> None:
    """Add the commands to ``models``."""
    models.command("rename")(rename)
    models.command("remove")(remove)
    models.command("export")(export)
    models.command("import")(import_model)


def rename(
    model_id: OwnId,
    new_id: Annotated[str, typer.Argument(metavar="NEW_ID")],
    title: Annotated[str, typer.Option("--title", help="Also give it this title.")] = "",
) -> None:
    """Give one of your models another id; versions tuned from it still know it."""
    from napari_runet.models import managing
    from napari_runet.models.store import ModelStore

    with sentences():
        card = managing.rename(ModelStore(), model_id, new_id, title)
    typer.echo(f"{model_id} is called {card.id} now ({card.title}).")


def remove(
    model_id: OwnId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete one of your models."""
    from napari_runet.models import managing
    from napari_runet.models.store import ModelStore

    with sentences():
        store = ModelStore()
        folder = managing.own_folder(store, model_id)
        if not yes and not typer.confirm(f"Delete {folder}? This cannot be undone."):
            raise typer.Exit(1)
        managing.remove(store, model_id)
    typer.echo(f"Deleted {folder}.")


def export(
    model: Annotated[str, typer.Argument(metavar="ID", help="Id, or folder (with a path separator).")],
    file: Annotated[Path, typer.Argument(metavar="FILE.zip")],
) -> None:
    """Pack a model into a zip file, to give to others."""
    from napari_runet.io.images import FileError
    from napari_runet.io.masks import why_not_written
    from napari_runet.models import managing
    from napari_runet.models.store import ModelStore

    with sentences():
        folder = ModelStore().find(model)
        try:
            managing.export(folder, file)
        except FileExistsError:
            raise
        except OSError as error:
            raise FileError(why_not_written(file, error)) from error
    typer.echo(f"Written: {file}")


def import_model(
    file: Annotated[Path, typer.Argument(metavar="FILE.zip")],
    model_id: Annotated[str, typer.Option("--as", metavar="ID", help="Its id here; by default its own.")] = "",
) -> None:
    """Add a model from a zip file to yours. Nothing in the file is run or trusted; no pickle is read."""
    from napari_runet.models import managing
    from napari_runet.models.store import ModelStore

    with sentences():
        store = ModelStore()
        card = managing.import_zip(store, file, model_id)
    typer.echo(f"Added {card.id} ({card.title}): {store.user / card.id}")
