"""The command ``evaluate``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from napari_runet.cli_common import Device, Iterations, Json, Threshold, sentences, write_json

COLUMNS = ("dice", "iou", "precision", "recall", "auc", "miou", "mprec", "mrec", "mf1", "relaxed_f1", "cldice",
           "betti0_error", "ece")  # fmt: skip


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Folder with images/, masks/ or labels/, perhaps fov/.")],
    model: Annotated[str | None, typer.Option("--model", help="Id, or folder (with a path separator).")] = None,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="More, with --compare.")] = None,
    compare: Annotated[str | None, typer.Option("--compare", help="Print models side by side: A B ...")] = None,
    iterations: Iterations = None,
    threshold: Threshold = None,
    device: Device = "auto",
    json_file: Json = None,
) -> None:
    """Measure a model, or several side by side, on labelled images."""
    names = [name for name in (model, compare, *(models or [])) if name is not None]
    if not names or (compare is None and (len(names) > 1 or model is None)):
        raise typer.BadParameter("name one model by --model, or several by --compare A B ...")
    from napari_runet.settings import SegmentationSettings

    with sentences():
        settings = SegmentationSettings.model_validate(
            {"iterations": iterations, "threshold": threshold, "device": device}
        )
        results = _measure(names, data, settings)
        for result in results:
            _print(result)
        if json_file is not None:
            write_json(json_file, results[0] if compare is None else {"models": results})


def _measure(names: list[str], data: Path, settings: Any) -> list[dict[str, Any]]:
    from rich.console import Console
    from rich.progress import Progress

    from napari_runet.inference.segmenter import load_model
    from napari_runet.training.evaluation import evaluate as measure
    from napari_runet.training.pairs import read_pairs

    loaded = [load_model(name, settings.device) for name in names]
    pairs = read_pairs(data)
    results = []
    with Progress(console=Console(stderr=True), transient=True) as progress:
        for each in loaded:
            task = progress.add_task(each.card.id, total=len(pairs))
            results.append(
                measure(each, pairs, settings, lambda done, task=task: progress.update(task, completed=done))  # type: ignore[misc]
            )
    return results


def _print(result: dict[str, Any]) -> None:
    typer.echo(f"{result['model']}  {result['n']} images, {result['n_empty']} without foreground")
    typer.echo("iteration  " + "  ".join(f"{name:>10}" for name in COLUMNS) + "   95 % of dice")
    for row in result["iterations"]:
        cells = ("-" if row[name] is None else f"{row[name]:.4f}" for name in COLUMNS)
        low_high = "-" if row["dice_interval"] is None else "{:.4f} to {:.4f}".format(*row["dice_interval"])
        typer.echo(f"{row['iteration']:>9}  " + "  ".join(f"{cell:>10}" for cell in cells) + f"   {low_high}")
