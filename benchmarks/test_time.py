"""What more iterations, and averages over flips and scales, are worth on labelled images.

    python benchmarks/test_time.py run --data FOLDER_OF_SETS [--models retina,roads,hands] [--images 12]
    python benchmarks/test_time.py show     # docs/images/iterations.png, from what was measured

Each model segments its images at the size that they have: once with ten iterations, whose masks are all measured, and
with the card's iterations for each option of test time. The time of an option is a ratio: both are run on one image
after the other, and the sums are compared. `run` writes docs/results/test-time-val.json, which `paper_table.py show`
draws its tables from.
"""

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_runet import load_model
from napari_runet.images.image_input import ImageInput
from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.segmenter import LoadedModel, iterate
from napari_runet.settings import MAX_ITERATIONS, SegmentationSettings
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.metrics import overlap
from napari_runet.training.pairs import Pair, known_labels, read_pairs

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results" / "test-time-val.json"
PICTURE = ROOT / "docs" / "images" / "iterations.png"
OPTIONS = {
    "plain": {},
    "flips": {"flips": True},
    "scales": {"scales": True},
    "flips and scales": {"flips": True, "scales": True},
}
COLOURS = {"retina": "#d0119f", "roads": "#c98a00", "hands": "#007fa3"}


def measured(model: LoadedModel, pair: Pair, **options: Any) -> tuple[list[float], float]:
    """Dice of the foreground at each iteration, and the seconds that all of them took."""
    source = ImageInput.from_array(pair.image, name=pair.name)
    settings = SegmentationSettings(device="cpu", rescale=False, **options)
    truth = known_labels(pair)
    known = truth != UNKNOWN
    started = time.perf_counter()
    steps = [step.foreground for step in iterate(source, model, settings)]
    seconds = time.perf_counter() - started
    masks = [labels_from(quantise(step), model.card.threshold) for step in steps]
    return [overlap(mask[known], truth[known])["dice"] or 0.0 for mask in masks], seconds


def model_results(name: str, folder: Path, images: int, averages: bool) -> dict[str, Any]:
    """The curve and, where `averages` are asked for, the options of one model."""
    model = load_model(name, "cpu", "float32")
    pairs = [pair for pair in read_pairs(folder) if (known_labels(pair) == 1).any()]
    chosen = np.unique(np.linspace(0, len(pairs) - 1, images or len(pairs)).round().astype(int))
    measured_options = OPTIONS if averages else {}
    curves, dice, seconds = [], {name: [] for name in OPTIONS}, dict.fromkeys(OPTIONS, 0.0)
    for number in chosen:
        curves.append(measured(model, pairs[number], iterations=MAX_ITERATIONS)[0])
        for option, settings in measured_options.items():
            found, took = measured(model, pairs[number], **settings)
            dice[option].append(found[-1])
            seconds[option] += took
    curve = np.mean(curves, axis=0)
    worst = np.min(np.array(curves)[:, -1] - np.array(curves)[:, model.card.iterations - 1])
    print(
        f"{name}, {len(chosen)} images; Dice by iteration: " + " ".join(f"{value:.4f}" for value in curve), flush=True
    )
    rows = []
    for option in measured_options:
        gain = np.array(dice[option]) - dice["plain"]
        rows.append(
            {
                "option": option,
                "dice": float(np.mean(dice[option])),
                "gain": float(gain.mean()),
                "standard_error": float(gain.std(ddof=1) / np.sqrt(len(gain))),
                "cost": seconds[option] / seconds["plain"],
            }
        )
        print(
            "  {option:18} Dice {dice:.4f} ({gain:+.4f} +- {standard_error:.4f}), time x {cost:.1f}".format(**rows[-1])
        )
    return {
        "model": name,
        "sha256": model.card.sha256,
        "images": len(chosen),
        "trained_iterations": model.card.iterations,
        "dice_by_iteration": [float(value) for value in curve],
        "worst_change_of_an_image": float(worst),
        "options": rows,
    }


def draw(models: list[dict[str, Any]]) -> None:
    """One curve a model: how far Dice is from that of the iteration at which training stopped."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    import pyqtgraph as pg
    from pyqtgraph.exporters import ImageExporter

    pg.setConfigOptions(antialias=True, background="w", foreground="k")
    application = pg.mkQApp()
    plot = pg.PlotItem()
    view = pg.GraphicsView()
    view.setCentralItem(plot)
    view.resize(640, 360)
    plot.setLabels(bottom="iteration", left="Dice, less that of the last trained iteration")
    plot.getAxis("left").enableAutoSIPrefix(False)
    plot.getAxis("left").setWidth(72)
    plot.showGrid(y=True, alpha=0.2)
    plot.addLegend(offset=(-20, -20))
    dashes = pg.mkPen("#888888", style=pg.QtCore.Qt.PenStyle.DashLine)
    plot.addItem(pg.InfiniteLine(models[0]["trained_iterations"], pen=dashes))
    for each in models:
        dice = np.array(each["dice_by_iteration"])
        change = dice - dice[each["trained_iterations"] - 1]
        pen = pg.mkPen(COLOURS[each["model"]], width=2)
        plot.plot(np.arange(1, len(dice) + 1), change, pen=pen, symbol="o", symbolSize=6, name=each["model"],
                  symbolBrush=COLOURS[each["model"]], symbolPen=None)  # fmt: skip
    application.processEvents()
    ImageExporter(plot).export(str(PICTURE))
    print(f"Written: {PICTURE.relative_to(ROOT)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "show"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--models", default="retina,roads,hands")
    parser.add_argument("--no-averages", action="store_true", help="measure the iterations alone")
    parser.add_argument("--images", type=int, default=12, help="so many of each set, evenly spread; 0 for all")
    options = parser.parse_args()
    content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"models": {}}
    if options.what == "run":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
        for name in options.models.split(","):
            found = model_results(name, options.data / name / "val", options.images, not options.no_averages)
            command = f"python benchmarks/test_time.py run --models {name} --images {options.images}"
            command += " --no-averages" * options.no_averages
            content["models"][name] = {**found, "command": command, "date": time.strftime("%Y-%m-%d")}
            RESULTS.write_text(json.dumps(content, indent=1) + "\n")
    draw([content["models"][name] for name in COLOURS if name in content["models"]])


if __name__ == "__main__":
    main()
