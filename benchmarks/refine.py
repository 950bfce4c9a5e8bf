"""Does *Refine from here* save strokes? Dice against the number of strokes, on images that the model has not seen.

A simulated person paints one stroke after another, each along the worst mistake that is left. Compared are

    strokes     the strokes alone
    refine      after each stroke, what two further iterations change because of it, and what it grows to by the first
                guess (`corrections.spreading`, `corrections.growing`); all of it is taken, without a look
    choose      the same, by a person who looks through the guesses, as the panel shows them: the best of those is
                taken of which at least two thirds are right and which make the mask better, else none
    tune        as choose, and fine-tuning on the image's corrections after each five strokes (`--tune`)

Printed is the mean Dice over images after each stroke, and the strokes that each needs to come as far as the strokes
alone come with a quarter, a half, three quarters and all of theirs, as a share of those. Besides: of the pixels that
refining changed, the share that became right, and the seconds a stroke took.

    python benchmarks/refine.py --task roads --split val --images 4 --strokes 12 --json figures.json

Images are cut to `--crop` pixels around the middle of what is to be found. A seed moves these crops, and draws those of
fine-tuning. The data folder is $NAPARI_RUNET_DATA, else ../shared/data.
"""

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from napari_runet.corrections.annotator import Annotator
from napari_runet.corrections.correction import UNKNOWN
from napari_runet.corrections.growing import guesses, looks
from napari_runet.corrections.spreading import ITERATIONS, spread, surroundings
from napari_runet.images.image_input import ImageInput, Region
from napari_runet.images.normalisation import IntensityRange, measure_range
from napari_runet.images.thresholding import labels_from
from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, iterate, load_model
from napari_runet.inference.starting import Start
from napari_runet.settings import FineTuningSettings, SegmentationSettings
from napari_runet.training.fine_tuning import fine_tune
from napari_runet.training.pairs import Pair, known_labels, read_pairs

DATA = Path(os.environ.get("NAPARI_RUNET_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TASKS = ("retina", "roads", "hands")
WAYS = ("strokes", "refine", "choose", "tune")
LEVELS = (0.25, 0.5, 0.75, 1.0)
TUNE_EACH = 5


def dice(shown: np.ndarray, truth: np.ndarray) -> float:
    known = truth != UNKNOWN
    found, right = (shown > 0) & known, (truth > 0) & known
    return float(2 * (found & right).sum() / max(1, found.sum() + right.sum()))


def run(
    model: LoadedModel, image: np.ndarray, intensities: IntensityRange, iterations: int, start: Start | None = None
) -> list[np.ndarray]:
    """(K, Y, X) uint8 of each iteration."""
    settings = SegmentationSettings(iterations=iterations, rescale=False)
    steps = iterate(ImageInput.from_array(image), model, settings, start=start, intensities=intensities, quantised=True)
    return [step.foreground for step in steps]


class Sitting:
    """One image that is corrected stroke by stroke."""

    def __init__(self, model: LoadedModel, pair: Pair, intensities: IntensityRange, options: argparse.Namespace):
        self.model, self.pair, self.intensities, self.options = model, pair, intensities, options
        self.truth = known_labels(pair)
        self.known = np.full(self.truth.shape, UNKNOWN, np.uint8)
        self.painted = self.changed = self.right = 0
        self.seconds: list[float] = []
        self.own = self.base = self.predict()

    def predict(self) -> np.ndarray:
        return np.array(run(self.model, self.pair.image, self.intensities, self.model.card.iterations)[-1])

    @property
    def shown(self) -> np.ndarray:
        return np.where(self.known != UNKNOWN, self.known, labels_from(self.base, self.model.card.threshold))

    def stroke(self) -> np.ndarray:
        """Paint along the worst mistake; returns where."""
        annotator = Annotator(pixels=self.options.pixels, mistakes=1)
        before, self.known = self.known, annotator.correct(self.shown, self.truth, self.known)
        return before != self.known

    def refine(self, strokes: np.ndarray, look: bool) -> None:
        """Take what the strokes change around them; with a look, the best guess, and only where it is right enough."""
        begin = time.perf_counter()
        box = surroundings(strokes, Region(0, 0, *strokes.shape))
        if box is None:
            return
        here, known, base = strokes[box.slices], self.known[box.slices], self.base[:, *box.slices]
        image, before = self.pair.image[box.slices], self.shown[box.slices]
        unpinned = np.where(here, UNKNOWN, known).astype(np.uint8)
        moved, unmoved = (
            run(self.model, image, self.intensities, ITERATIONS, Start(foreground=base, pinned=pins))[-1]
            for pins in (known, unpinned)
        )
        threshold = self.model.card.threshold
        said = {"pinned": known, "strokes": here, "threshold": threshold}
        found, taken = spread(base, moved, unmoved, **said), None
        own = self.own[:, *box.slices]
        offered = guesses(found, base, own, looks(image, own), **said)
        self.seconds.append(time.perf_counter() - begin)
        truth, best = self.truth[box.slices], dice(before, self.truth[box.slices])
        for found in offered if look else offered[:1]:
            labels = np.where(known != UNKNOWN, known, labels_from(found, threshold))
            changed = (labels != before) & (truth != UNKNOWN)
            right = int((labels == truth)[changed].sum())
            wrong = int(changed.sum()) - right
            if look and (right < 2 * wrong or dice(labels, truth) <= best):
                continue
            best, taken = dice(labels, truth), (found, right, wrong)
        if taken is None:
            return
        self.base = self.base.copy()
        self.base[:, *box.slices], right, wrong = taken
        self.changed += right + wrong
        self.right += right

    def tune(self, seed: int) -> None:
        """Fine-tune on the corrections of this image, and predict what nobody set anew."""
        settings = FineTuningSettings(training_steps=self.options.tune_steps, seconds=600, device="cpu", seed=seed)
        *_, report = fine_tune(self.model, [replace(self.pair, labels=self.known, fov=None)], settings)
        candidate = report.candidate
        if candidate is not None and candidate.figures.better is not False:
            self.model = LoadedModel(candidate.card, candidate.network().eval(), choose_device("cpu"))
            self.own = self.base = self.predict()


def play(way: str, sitting: Sitting, strokes: int, seed: int) -> list[float]:
    """Dice before the first stroke and after each."""
    curve = [dice(sitting.shown, sitting.truth)]
    for number in range(1, strokes + 1):
        where = sitting.stroke()
        sitting.painted += int(where.sum())
        if way != "strokes":
            sitting.refine(where, look=way != "refine")
        if way == "tune" and number % TUNE_EACH == 0:
            sitting.tune(seed)
        curve.append(dice(sitting.shown, sitting.truth))
    return curve


def cut(pair: Pair, size: int, rng: np.random.Generator) -> Pair:
    """The part around the middle of the foreground, moved a little."""
    truth = known_labels(pair)
    rows, columns = np.nonzero((truth > 0) & (truth != UNKNOWN))
    corner = []
    for middle, length in zip((np.median(rows), np.median(columns)), truth.shape, strict=True):
        moved = int(middle) - size // 2 + int(rng.integers(-size // 8, size // 8 + 1))
        corner.append(int(np.clip(moved, 0, max(0, length - size))))
    part = slice(corner[0], corner[0] + size), slice(corner[1], corner[1] + size)
    return replace(pair, image=pair.image[part], labels=truth[part], fov=None)


def strokes_for(curve: np.ndarray, level: float) -> float | None:
    """How many strokes a mean curve needs to reach a Dice, in between by a straight line; None where it does not."""
    reached = np.flatnonzero(curve >= level - 1e-9)
    if not len(reached):
        return None
    n = int(reached[0])
    return float(n if n == 0 else n - 1 + (level - curve[n - 1]) / (curve[n] - curve[n - 1]))


def run_task(task: str, options: argparse.Namespace) -> dict[str, object]:
    """All ways, images and seeds of one task."""
    model = load_model(task, "cpu")
    pairs = read_pairs(DATA / task / options.split)
    chosen = np.unique(np.linspace(0, len(pairs) - 1, options.images + 2).astype(int)[1:-1])
    how = model.card.normalisation
    curves: dict[str, list[list[float]]] = {way: [] for way in options.ways}
    figures: dict[str, dict[str, object]] = {}
    for way in options.ways:
        sittings = []
        for seed in range(options.seeds):
            rng = np.random.default_rng(seed)
            for number in chosen:
                pair = pairs[int(number)]
                whole = ImageInput.from_array(pair.image)
                low_high = how.low_percentile, how.high_percentile
                intensities = measure_range(whole, (), *low_high, per_channel=how.per_channel)
                sitting = Sitting(model, cut(pair, options.crop, rng), intensities, options)
                curves[way].append(play(way, sitting, options.strokes, seed))
                sittings.append(sitting)
        changed, seconds = sum(s.changed for s in sittings), [t for s in sittings for t in s.seconds]
        figures[way] = {
            "painted_pixels": sum(s.painted for s in sittings) / len(sittings),
            "changed_pixels": changed / len(sittings),
            "right_share": sum(s.right for s in sittings) / changed if changed else 0.0,
            "median_seconds": float(np.median(seconds)) if seconds else 0.0,
        }
    means = {way: np.mean(curve, axis=0) for way, curve in curves.items()}
    base = means["strokes"]
    for way, mean in means.items():
        needed = []
        for share in LEVELS:
            level = float(base[0] + share * (base[-1] - base[0]))
            own, alone = strokes_for(mean, level), strokes_for(base, level)
            needed.append(None if own is None or not alone else own / alone)
        result = figures[way]
        print(
            f"{task:7s} {way:8s} Dice {mean[0]:.4f} to {mean[-1]:.4f}  strokes needed "
            + " ".join("   -" if value is None else f"{value:4.2f}" for value in needed)
            + f"  changed {result['changed_pixels']:.0f} px, right {result['right_share']:.2f}"
            + f"  {result['median_seconds']:.2f} s a stroke",
            flush=True,
        )
        figures[way] = {**result, "dice": [round(float(d), 5) for d in mean], "strokes_needed": needed}
    return {"model_sha256": model.card.sha256, "images": [pairs[int(n)].name for n in chosen], **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=TASKS, action="append", help="all by default")
    parser.add_argument("--split", choices=("train", "val", "test"), default="val")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--strokes", type=int, default=15)
    parser.add_argument("--pixels", type=int, default=100, help="length of a stroke, at most")
    parser.add_argument("--crop", type=int, default=384)
    parser.add_argument("--tune", action="store_true", help="also fine-tune after each five strokes")
    parser.add_argument("--tune-steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    options.ways = WAYS if options.tune else WAYS[:3]
    torch.set_num_threads(options.threads)
    said = {key: value for key, value in vars(options).items() if key not in ("json", "ways", "task")}
    results = {task: run_task(task, options) for task in options.task or TASKS}
    if options.json:
        options.json.write_text(json.dumps({"options": said, **results}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
