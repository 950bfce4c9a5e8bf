"""The command line. Each command imports what it needs when it runs, so that ``--help`` is instant."""

import errno
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from napari_runet.cli_evaluate import evaluate
from napari_runet.cli_finetune import register
from napari_runet.cli_model_files import add_model_file_commands
from napari_runet.cli_models import add_model_commands, doctor
from napari_runet.cli_places import places
from napari_runet.cli_segment import segment
from napari_runet.cli_train import train


class _CommandLine(typer.Typer):
    """Ends with a sentence where the disk has no room for what a command prints, which can happen in any line."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().__call__(*args, **kwargs)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            typer.echo("The disk that the output goes to is full; make room, and run the command again.", err=True)
            raise SystemExit(1) from None


app = _CommandLine(
    name="napari-runet",
    help="Segment thin and odd structures with a recurrent U-Net.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="List, inspect and manage models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.command()(segment)
app.command()(places)
app.command()(evaluate)
app.command()(train)
app.command()(doctor)
add_model_commands(models_app)
add_model_file_commands(models_app)
register(app, models_app)


# ---- demo ---------------------------------------------------------------------------------------------------------


class DemoTask(StrEnum):
    """What the demo shows."""

    RETINA = "retina"
    ROADS = "roads"
    HANDS = "hands"


@app.command()
def demo(
    task: Annotated[DemoTask, typer.Argument(help="Which sample and model.")] = DemoTask.RETINA,
    image: Annotated[Path | None, typer.Option(help="An image file instead of the sample.")] = None,
    screenshot: Annotated[Path | None, typer.Option(help="Save the finished window here, and quit.")] = None,
) -> None:
    """Open napari with a sample, segment it, and show the iterations."""
    from napari_runet import demo as window
    from napari_runet.io.images import FileError

    if screenshot is not None and not screenshot.absolute().parent.is_dir():
        raise typer.BadParameter(f"there is no folder {screenshot.absolute().parent}", param_hint="--screenshot")
    try:
        window.demo(task.value, image, screenshot)
    except (window.DemoError, FileError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error


# ---- end of demo --------------------------------------------------------------------------------------------------


if __name__ == "__main__":
    app()
