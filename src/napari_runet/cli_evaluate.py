"""The command ``evaluate``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_runet.cli_common import (
    Device,
    Flips,
    Iterations,
    Json,
    Precision,
    Rescale,
    Scales,
    Threshold,
    check_json,
    sentences,
    write_json,
)

if TYPE_CHECKING:
    from napari_runet.settings import SegmentationSettings
    from napari_runet.training.evaluation import Evaluation

ROWS = {
    "dice": "Dice", "iou": "IoU", "precision": "precision", "recall": "recall", "auc": "AUC", "miou": "mIoU",
    "mprec": "mPrec", "mrec": "mRec", "mf1": "mF1", "relaxed_precision": "relaxed precision",
    "relaxed_recall": "relaxed recall", "relaxed_f1": "relaxed F1", "cldice": "clDice",
    "betti0_error": "Betti-0 error", "ece": "ECE",
}  # fmt: skip
FORMS = {"betti0_error": ".1f"}


def evaluate(
    data: Annotated[Path, typer.Option("--data", help="Folder with images/, masks/ or labels/, perhaps fov/.")],
    model: Annotated[str | None, typer.Option("--model", help="Id, or folder (with a path separator).")] = None,
    models: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="More, with --compare.")] = None,
    compare: Annotated[str | None, typer.Option("--compare", help="Print models side by side: A B ...")] = None,
    by_prefix: Annotated[
        bool, typer.Option("--by-prefix", help="Also by the letters that the images' names begin with.")
    ] = False,
    iterations: Iterations = None,
    threshold: Threshold = None,
    rescale: Rescale = True,
    flips: Flips = False,
    scales: Scales = False,
    device: Device = "auto",
    precision: Precision = "auto",
    json_file: Json = None,
) -> None:
    """Measure a model, or several side by side, on labelled images."""
    names = [name for name in (model, compare, *(models or [])) if name is not None]
    if not names or (compare is None and (len(names) > 1 or model is None)):
        raise typer.BadParameter("name one model by --model, or several by --compare A B ...")
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
            }
        )
        check_json(json_file)
        evaluations = _measure(names, data, settings)
        from napari_runet.training.summary import difference, summary

        results = [summary(each, by_prefix=by_prefix) for each in evaluations]
        if compare is None:
            _print_all(results[0])
            content = results[0]
        else:
            differences = [difference(evaluations[0], other) for other in evaluations[1:]]
            _print_side_by_side(results, differences)
            content = {"models": results, "differences": differences}
        if json_file is not None:
            write_json(json_file, content)


def _measure(names: list[str], data: Path, settings: "SegmentationSettings") -> "list[Evaluation]":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from napari_runet.inference.segmenter import load_model
    from napari_runet.training.evaluation import evaluate as measure
    from napari_runet.training.pairs import PairFolder

    loaded = [load_model(name, settings.device, settings.precision) for name in names]
    pairs = PairFolder(data)
    evaluations = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        for each in loaded:
            task = progress.add_task(each.card.id, total=len(pairs))

            def report(done: int, task: Any = task) -> None:
                progress.update(task, completed=done)

            evaluations.append(measure(each, pairs, settings, report))
    for note in pairs.notes:
        typer.echo(note, err=True)
    return evaluations


def _print_all(result: dict[str, Any]) -> None:
    """One model: all its images, then each group."""
    _print_iterations(result["model"], result)
    for prefix, group in result.get("groups", {}).items():
        typer.echo("")
        _print_iterations(f"{result['model']}, {prefix or 'other names'}", group)


def _print_iterations(title: str, result: dict[str, Any]) -> None:
    """A row a figure, a column an iteration."""
    rows = result["iterations"]
    typer.echo(f"{title}: {_counted(result)}")
    typer.echo(f"{'iteration':<18}" + "".join(f"{row['iteration']:>9}" for row in rows) + "   95 % at the last")
    for name, shown in ROWS.items():
        form = FORMS.get(name, ".4f")
        cells = "".join(f"{_number(row[name], form):>9}" for row in rows)
        typer.echo(f"{shown:<18}{cells}   {_interval(rows[-1]['intervals'].get(name), form)}".rstrip())
    if len(rows[-1]["classes"]) > 2:
        for each in rows[-1]["classes"]:
            typer.echo(f"{'IoU of ' + each['name']:<18}{_number(each['iou']):>{9 * len(rows)}}")


def _print_side_by_side(results: list[dict[str, Any]], differences: list[dict[str, Any]]) -> None:
    """A row a figure at the last iteration, a column a model; groups below, if there are some."""
    typer.echo(f"{_counted(results[0])}; each model at its last iteration")
    _print_columns([result["model"] for result in results], results)
    for prefix in results[0].get("groups", {}):
        groups = [result["groups"][prefix] for result in results]
        typer.echo(f"\n{prefix or 'other names'}: {_counted(groups[0])}")
        _print_columns([result["model"] for result in results], groups)
    for each in differences:
        interval = _interval(each["interval"])
        typer.echo(
            f"Dice of {each['model']} less that of {each['against']}: {_number(each['difference'], '+.4f')}"
            + (f" (95 %: {interval})" if interval else "")
        )


def _print_columns(models: list[str], results: list[dict[str, Any]]) -> None:
    width = max(10, *(len(model) + 2 for model in models))
    typer.echo(f"{'':<18}" + "".join(f"{model:>{width}}" for model in models))
    rows = [result["iterations"][-1] for result in results]
    for name, shown in ROWS.items():
        form = FORMS.get(name, ".4f")
        typer.echo(f"{shown:<18}" + "".join(f"{_number(row[name], form):>{width}}" for row in rows))


def _counted(result: dict[str, Any]) -> str:
    empty = f", {result['n_empty']} without foreground" if result["n_empty"] else ""
    return f"{result['n']} image{'s' if result['n'] != 1 else ''}{empty}"


def _number(value: float | None, form: str = ".4f") -> str:
    return "-" if value is None else format(value, form)


def _interval(interval: list[float] | None, form: str = ".4f") -> str:
    return "" if interval is None else " to ".join(format(bound, form) for bound in interval)
