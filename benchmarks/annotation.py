"""Plays an annotator: how much better does a model get on a new camera, for a few strokes and a minute of CPU?

A model that has not seen the target images is corrected on them with strokes of a brush on its worst mistakes, round
by round, and scored on other images of the same kind. Printed is quality against painted pixels and seconds, for our
fine-tuning, for none, for plain fine-tuning on the strokes alone, and for a random forest on multi-scale features.

    python benchmarks/annotation.py --scenario chase-to-hrf --seeds 3 --json figures.json

Starting and reference models are trained once from a fixed number of training steps and kept by digest (`--cache`).
The data folder is $NAPARI_RUNET_DATA, else ../shared/data. `--tiny` runs everything in a minute to see that it works.
"""

import argparse
import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from napari_runet.corrections.annotator import Annotator
from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, load_model, segment
from napari_runet.models.weights import save_state
from napari_runet.networks import build
from napari_runet.settings import FineTuningSettings
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_trainer import Tuning
from napari_runet.training.fine_tuning import fine_tune
from napari_runet.training.loop import Trainer, card_of
from napari_runet.training.pairs import Pair, known_labels, read_pairs
from napari_runet.training.recipe import Recipe
from napari_runet.training.samples import prepare

DATA = Path(os.environ.get("NAPARI_RUNET_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
CLASSES = ({"name": "background", "color": "#000000"}, {"name": "foreground", "color": "#ff2fd0"})


def other_camera(pair: Pair) -> Pair:
    """The same picture with other colours and contrast."""
    pixels = pair.image.astype(np.float32) / 255
    pixels = 0.3 + 0.5 * pixels[..., [1, 0, 2]] ** 1.5
    return replace(pair, image=(255 * pixels.clip(0, 1)).astype(np.uint8))


@dataclass(frozen=True)
class Scenario:
    """A start, and where it is brought: which images, by the start of their names, and how they are changed."""

    folder: str
    start: tuple[str, ...]
    target: tuple[str, ...]
    change: Callable[[Pair], Pair] = lambda pair: pair
    untrained: bool = False


RIVALS = ("none", "ours", "plain", "forest")
SCENARIOS = {
    "chase-to-hrf": Scenario("retina", ("chase",), ("hrf",)),
    "hrf-to-chase": Scenario("retina", ("hrf",), ("chase",)),
    "hgr-to-other-hands": Scenario("hands", ("hgr",), ("rf", "heb")),
    "roads-other-camera": Scenario("roads", ("",), ("",), other_camera),
    "new-structure": Scenario("retina", (), ("chase",), untrained=True),
}


def pairs_of(scenario: Scenario, split: str, names: tuple[str, ...], most: int, change: bool) -> list[Pair]:
    """Up to `most` images of a split; of the roads, one half starts and the other half, changed, is the target."""
    pairs = [pair for pair in read_pairs(DATA / scenario.folder / split) if pair.name.lower().startswith(names)]
    if scenario.start == scenario.target:
        pairs = pairs[1::2] if change else pairs[::2]
    step = max(1, len(pairs) // most)
    return [scenario.change(pair) if change else pair for pair in pairs[::step][:most]]


def trained(pairs: list[Pair], training_steps: int, cache: Path) -> LoadedModel:
    """A model trained on dense masks with a fixed recipe, from the cache where it is there."""
    fixed = {"batch_size": 4, "crop_size": 160, "average_decay": 0.99, "dice_weight": 0.5}
    steps = {"training_steps": max(1, training_steps), "single_iteration_steps": round(0.7 * training_steps)}
    # only what is named here and the images decide the digest: code that changes elsewhere trains nothing anew
    digest = hashlib.sha256(json.dumps({**fixed, **steps, "untrained": training_steps == 0}).encode())
    for pair in pairs:
        digest.update(pair.image.tobytes() + known_labels(pair).tobytes())
    folder = cache / digest.hexdigest()[:24]
    if not (folder / "card.json").exists():
        named = {"id": "benchmark", "title": "Benchmark", "sentence": "For a benchmark.", "classes": CLASSES}
        recipe = Recipe.model_validate({**named, **fixed, **steps})
        torch.manual_seed(0)
        card, network = card_of(recipe, 0, ""), build(recipe.network)
        state = network.state_dict()
        if training_steps:
            trainer = Trainer(recipe, card, network, [prepare(pair, card) for pair in pairs], "cpu", 0)
            for _ in range(training_steps):
                trainer.train_step()
            state = trainer.average
        save_state(folder, card.model_copy(update={"training": {"training_steps": training_steps}}), state)
    return load_model(folder, "cpu")


def dice(answer: Callable[[Pair], np.ndarray], pairs: list[Pair]) -> float:
    """Mean Dice of the foreground over images."""
    scores = []
    for pair in pairs:
        truth = known_labels(pair)
        known, found = truth != 255, answer(pair) > 0
        total = (found & known).sum() + ((truth > 0) & known).sum()
        scores.append(2 * (found & (truth == 1)).sum() / total if total else np.nan)
    return float(np.nanmean(scores))


class Network:
    """A network as rivals are called: `answer` an image, `learn` from corrected ones."""

    def __init__(self, model: LoadedModel, settings: FineTuningSettings, kind: str) -> None:
        self.model, self.settings, self.kind = model, settings, kind

    def answer(self, pair: Pair) -> np.ndarray:
        return segment(pair.image, self.model).labels[-1]

    def learn(self, pairs: list[Pair]) -> None:
        if self.kind == "none":
            return
        plain = self.kind == "plain"
        tuning = Tuning(loss=CorrectionLoss(keep=0.0), anywhere=0, batch_size=8, moves=(1.0,)) if plain else None
        *_, report = fine_tune(self.model, pairs, self.settings, tuning=tuning)
        candidate = report.candidate
        if candidate is not None and (plain or candidate.figures.better is not False):
            print(f"  {self.kind}: moved {candidate.figures.moved:g}. {candidate.figures.reason}", flush=True)
            self.model = LoadedModel(candidate.card, candidate.network().eval(), choose_device("cpu"))


class Forest:
    """A pixel classifier on multi-scale features, as in scikit-image's trainable segmentation."""

    def __init__(self, model: LoadedModel, seed: int) -> None:
        self.start, self.seed = model, seed
        self.forest: RandomForestClassifier | None = None

    def answer(self, pair: Pair) -> np.ndarray:
        if self.forest is None:
            return segment(pair.image, self.start).labels[-1]
        features = _features(pair.image)
        return self.forest.predict(features.reshape(-1, features.shape[-1])).reshape(features.shape[:2])

    def learn(self, pairs: list[Pair]) -> None:
        values = [_features(pair.image)[pair.labels != 255] for pair in pairs]
        labels = np.concatenate([pair.labels[pair.labels != 255] for pair in pairs])
        if len(np.unique(labels)) > 1:
            self.forest = RandomForestClassifier(50, max_depth=10, max_samples=0.5, n_jobs=1, random_state=self.seed)
            self.forest.fit(np.concatenate(values), labels)


def _features(image: np.ndarray) -> np.ndarray:
    return multiscale_basic_features(image, channel_axis=-1, sigma_min=1, sigma_max=8)


def play(rival: Network | Forest, pool: list[Pair], test: list[Pair], rounds: int, seed: int) -> list[dict[str, float]]:
    """Correct one image of the pool a round, learn, and score on the test images."""
    order = np.random.default_rng(seed).permutation(len(pool))
    known = {int(i): np.full(pool[i].labels.shape, 255, np.uint8) for i in order}
    rows = [{"round": 0, "painted": 0, "cpu_seconds": 0.0, "dice": dice(rival.answer, test)}]
    spent = 0.0
    for number in range(rounds):
        which = int(order[number % len(order)])
        shown = np.where(known[which] != 255, known[which], rival.answer(pool[which]))
        known[which] = Annotator().correct(shown, known_labels(pool[which]), known[which])
        corrected = [replace(pool[i], labels=labels, fov=None) for i, labels in known.items() if (labels != 255).any()]
        begin = time.process_time()
        rival.learn(corrected)
        spent += time.process_time() - begin
        painted = sum(int((labels != 255).sum()) for labels in known.values())
        rows.append({"round": number + 1, "painted": painted, "cpu_seconds": spent, "dice": dice(rival.answer, test)})
    return rows


def run_scenario(name: str, options: argparse.Namespace) -> dict[str, object]:
    """All rivals and seeds of one scenario."""
    scenario = SCENARIOS[name]
    target = pairs_of(scenario, "train", scenario.target, options.images, change=True)
    test = pairs_of(scenario, options.split, scenario.target, options.images, change=True)
    sources = [] if scenario.untrained else pairs_of(scenario, "train", scenario.start, 1000, change=False)
    start = trained(sources, 0 if scenario.untrained else options.training_steps, options.cache)
    reference = trained(
        pairs_of(scenario, "train", scenario.target, 1000, change=True), options.training_steps, options.cache
    )
    settings = FineTuningSettings(seconds=options.seconds, training_steps=options.round_steps, device="cpu")
    original = [] if scenario.untrained else pairs_of(scenario, options.split, scenario.start, options.images, False)
    if options.crop:
        target, test, original = ([_middle(pair, options.crop) for pair in part] for part in (target, test, original))
    result: dict[str, object] = {"reference": dice(Network(reference, settings, "none").answer, test)}
    for kind in options.rival or RIVALS:
        runs, forgetting = [], []
        for seed in range(options.seeds):
            seeded = settings.model_copy(update={"seed": seed})
            rival = Forest(start, seed) if kind == "forest" else Network(start, seeded, kind)
            runs.append(play(rival, target, test, options.rounds, seed))
            if kind in ("ours", "plain") and original:
                before = dice(Network(start, settings, "none").answer, original)
                forgetting.append(dice(rival.answer, original) - before)
        result[kind] = {"runs": runs, "change_on_original_images": forgetting}
        _print_row(name, kind, runs, float(result["reference"]), forgetting)  # type: ignore[arg-type]
    return result


def _middle(pair: Pair, size: int) -> Pair:
    y, x = (max(0, (length - size) // 2) for length in pair.labels.shape)
    part = slice(y, y + size), slice(x, x + size)
    return Pair(pair.name, pair.image[part], pair.labels[part], None if pair.fov is None else pair.fov[part])


def _print_row(
    name: str, kind: str, runs: list[list[dict[str, float]]], reference: float, forgetting: list[float]
) -> None:
    curve = np.mean([[row["dice"] for row in run] for run in runs], axis=0)
    lost = reference - curve[0]
    won = f"{(curve[-1] - curve[0]) / lost:6.0%}" if lost >= 0.03 else "     -"
    print(
        f"{name:20s} {kind:7s} {'  '.join(f'{value:.3f}' for value in curve)}  of lost {lost:.3f} won back {won}"
        f"  painted {runs[0][-1]['painted']:.0f}  CPU {np.mean([run[-1]['cpu_seconds'] for run in runs]):.0f} s"
        + (f"  on its own images {np.mean(forgetting):+.3f}" if forgetting else ""),
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append", help="all by default")
    parser.add_argument("--rival", choices=RIVALS, action="append", help="all by default")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="val to choose by, test to report")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="time to train each round")
    parser.add_argument("--round-steps", type=int, help="training steps each round, instead of a time")
    parser.add_argument("--training-steps", type=int, default=1000, help="of starting and reference models")
    parser.add_argument("--images", type=int, default=8, help="at most this many images to correct, and to score on")
    parser.add_argument("--crop", type=int, default=0, help="use only the middle of each image, of this side")
    parser.add_argument("--cache", type=Path, default=Path("runs/annotation"))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true", help="see that it works")
    options = parser.parse_args()
    if options.tiny:
        options.seeds, options.rounds, options.round_steps = 1, 1, 3
        options.training_steps, options.images, options.crop = 3, 2, 192
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", min(2, os.cpu_count() or 1))))
    results = {name: run_scenario(name, options) for name in options.scenario or SCENARIOS}
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
