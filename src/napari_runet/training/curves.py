"""The curves of a training: a CSV that grows, and a picture of it."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from napari_runet.io.atomic import write_atomically

CURVES_FILE = "curves.csv"
PICTURE_FILE = "curves.svg"
COLUMNS = ("training_step", "loss", "learning_rate", "seconds", "dice", "best")
COLOURS = ("#9ecae1", "#4292c6", "#08519c", "#08306b")


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """One row: `loss` is the mean since the row before; `dice` has one entry an iteration, or none at all."""

    training_step: int
    loss: float
    learning_rate: float
    seconds: float
    dice: tuple[float, ...] = ()
    best: bool = False


def write_curves(folder: Path, points: Sequence[CurvePoint]) -> None:
    """Write the CSV and the picture, each whole or not at all.

    Raises
    ------
    OSError
        When one cannot be written.
    """
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for point in points:
        dice = " ".join(f"{value:.4f}" for value in point.dice)
        row = (point.training_step, repr(point.loss), repr(point.learning_rate), f"{point.seconds:.1f}", dice)
        writer.writerow((*row, int(point.best)))
    write_atomically(folder / CURVES_FILE, stream.getvalue().encode())
    write_atomically(folder / PICTURE_FILE, picture(points).encode())


def read_curves(folder: Path, up_to: int) -> list[CurvePoint]:
    """The rows of an interrupted training up to a training step; none where the file is missing or not ours."""
    try:
        with (folder / CURVES_FILE).open(newline="", encoding="utf-8") as stream:
            points = [
                CurvePoint(
                    int(row["training_step"]),
                    float(row["loss"]),
                    float(row["learning_rate"]),
                    float(row["seconds"]),
                    tuple(float(value) for value in row["dice"].split()),
                    row["best"] == "1",
                )
                for row in csv.DictReader(stream)
            ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []
    return [point for point in points if point.training_step <= up_to]


def picture(points: Sequence[CurvePoint]) -> str:
    """An SVG of loss (above) and Dice on val by iteration (below) against the training step."""
    losses = [(point.training_step, point.loss) for point in points]
    measured = [point for point in points if point.dice]
    iterations = max((len(point.dice) for point in measured), default=0)
    dice = [[(point.training_step, point.dice[t]) for point in measured] for t in range(iterations)]
    last = max((point.training_step for point in points), default=1)
    best = [(point.training_step, point.dice[-1]) for point in measured if point.best]
    kept = f"; kept: {best[-1][1]:.3f}, of step {best[-1][0]}" if best else ""
    colours = [COLOURS[min(len(COLOURS) - 1, t + max(0, 3 - iterations))] for t in range(iterations)]
    names = [f"iteration {t}" for t in range(1, iterations + 1)]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="720" height="560" viewBox="0 0 720 560" '
        'font-family="sans-serif" font-size="12">\n<rect width="720" height="560" fill="white"/>\n'
        + _panel(24, "Loss", last, [losses], ["#d95f0e"])
        + _panel(294, f"Dice on val{kept}", last, dice, colours, names, marked=best[-1:])
        + '<text x="390" y="548" text-anchor="middle">training step</text>\n</svg>\n'
    )


def _panel(
    top: int,
    title: str,
    last: int,
    lines: Sequence[Sequence[tuple[float, float]]],
    colours: Sequence[str],
    names: Sequence[str] = (),
    marked: Sequence[tuple[float, float]] = (),
) -> str:
    """One plot of 600 x 200 pixels whose upper edge is at `top`, with ticks, lines and a legend."""
    values = [value for line in lines for _, value in line]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    ticks = _ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def at(step: float, value: float) -> tuple[float, float]:
        return 90 + 600 * step / last, top + 20 + 200 * (high - value) / (high - low)

    parts = [f'<text x="90" y="{top + 10}" font-weight="bold">{title}</text>']
    for value in ticks:
        _, y = at(0, value)
        parts.append(f'<line x1="90" y1="{y:.1f}" x2="690" y2="{y:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="82" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    for step in _ticks(0, last):
        if step <= last:
            parts.append(f'<text x="{at(step, low)[0]:.1f}" y="{top + 237}" text-anchor="middle">{step:g}</text>')
    for line, colour in zip(lines, colours, strict=True):
        path = " ".join("{:.1f},{:.1f}".format(*at(*point)) for point in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>')
    for step, value in marked:
        x, y = at(step, value)
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="none" stroke="black" stroke-width="1.5"/>')
    for number, (name, colour) in enumerate(zip(names, colours, strict=False)):
        x = 690 - 90 * (len(names) - number)
        parts.append(f'<line x1="{x}" y1="{top + 6}" x2="{x + 16}" y2="{top + 6}" stroke="{colour}" stroke-width="3"/>')
        parts.append(f'<text x="{x + 20}" y="{top + 10}">{name}</text>')
    return "\n".join(parts) + "\n"


def _ticks(low: float, high: float) -> list[float]:
    """Three to seven round numbers that enclose the range, or nearly."""
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** np.floor(np.log10(span / 3))
    size = next(power * step for step in (1, 2, 5, 10) if span / (power * step) <= 6)
    first, final = np.floor(low / size), np.ceil(high / size)
    ticks = [round(float(size * n), 10) for n in np.arange(first, final + 1)]
    return ticks if all(a < b for a, b in pairwise(ticks)) and len(ticks) > 1 else [low, low + span]
