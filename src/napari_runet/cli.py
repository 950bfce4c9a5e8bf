"""The command line. Each command imports what it needs when it runs, so that ``--help`` is instant."""

import typer

from napari_runet.cli_evaluate import evaluate
from napari_runet.cli_finetune import register
from napari_runet.cli_models import add_model_commands, doctor
from napari_runet.cli_segment import segment
from napari_runet.cli_train import train

app = typer.Typer(
    name="napari-runet",
    help="Segment thin and odd structures with a recurrent U-Net.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="List, inspect and manage models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
app.command()(segment)
app.command()(evaluate)
app.command()(train)
app.command()(doctor)
add_model_commands(models_app)
register(app, models_app)


# ---- demo ---------------------------------------------------------------------------------------------------------


# ---- end of demo --------------------------------------------------------------------------------------------------


if __name__ == "__main__":
    app()
