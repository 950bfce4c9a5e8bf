"""Plays an annotator: how much better does a model get on a new camera, for a few strokes and a minute of CPU?

A model that has not seen the target images is corrected on them, one image a round: the mistakes of some views are
painted, at most 200 pixels in all, and those views marked as reviewed. It is scored on other images of the same kind.
Printed is quality against painted pixels and seconds, for our fine-tuning, for none, for plain fine-tuning on the same
evidence, and for a random forest on multi-scale features.

    python benchmarks/annotation.py --scenario chase-to-hrf --seeds 3 --runs runs/annotation/test --json figures.json

Starting and reference models are trained once from a fixed number of training steps and kept by digest (`--cache`).
Each run of a rival is kept under `--runs`, so that a command that was broken off goes on where it was; a folder holds
runs of one choice of options.
The data folder is $NAPARI_RUNET_DATA, else ../shared/data. `--tiny` runs everything in a minute to see that it works.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skimage.feature import multiscale_basic_features
from sklearn.ensemble import RandomForestClassifier

from annotator_in_view import AnnotatorInView
from camera_changes import SCENARIOS, dice, middle, pairs_of, trained
from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, segment
from napari_runet.settings import FineTuningSettings
from napari_runet.training.correction_loss import CorrectionLoss
from napari_runet.training.correction_trainer import Tuning
from napari_runet.training.fine_tuning import fine_tune
from napari_runet.training.pairs import Pair, known_labels

RIVALS = ("none", "ours", "plain", "forest")
LEAST_LOST = 0.03
"""A scenario that loses less is reported beside the mean, not in it."""

DECIDING = ("split", "rounds", "seconds", "round_steps", "strength", "training_steps", "images", "crop")
"""The options that a run's figures depend on."""


class Network:
    """A network as rivals are called: `answer` an image, `learn` from corrected ones."""

    def __init__(self, model: LoadedModel, settings: FineTuningSettings, kind: str) -> None:
        self.model, self.settings, self.kind = model, settings, kind

    def answer(self, pair: Pair) -> np.ndarray:
        return segment(pair.image, self.model).labels[-1].astype(np.uint8)

    def learn(self, pairs: list[Pair], looked_at: Pair) -> tuple[bool, str]:
        """Fine-tune, and decide; returns whether the model is another now, and how that was decided.

        Where the judge cannot tell, the annotator compares both masks on the image that was just corrected.
        """
        if self.kind == "none":
            return False, ""
        plain = self.kind == "plain"
        tuning = Tuning(loss=CorrectionLoss(keep=0.0), anywhere=0, batch_size=8, moves=(1.0,)) if plain else None
        *_, report = fine_tune(self.model, pairs, self.settings, tuning=tuning)
        candidate = report.candidate
        if candidate is None:
            return False, "no candidate"
        new = Network(LoadedModel(candidate.card, candidate.network().eval(), choose_device("cpu")), self.settings, "")
        better, how = candidate.figures.better, "judged"
        if plain:
            better, how = True, "always taken"
        elif better is None:
            better, how = dice(new.answer, [looked_at]) > dice(self.answer, [looked_at]), "seen"
        if better:
            self.model = new.model
        figures = candidate.figures.as_json()
        return better, f"{how}: {'better' if better else 'not better'} ({figures['before']} to {figures['after']})"


class Forest:
    """A pixel classifier on multi-scale features, as in scikit-image's trainable segmentation."""

    def __init__(self, model: LoadedModel, seed: int) -> None:
        self.start, self.seed = model, seed
        self.forest: RandomForestClassifier | None = None

    def answer(self, pair: Pair) -> np.ndarray:
        if self.forest is None:
            return segment(pair.image, self.start).labels[-1].astype(np.uint8)
        features = _features(pair.image)
        return self.forest.predict(features.reshape(-1, features.shape[-1])).reshape(features.shape[:2])

    def learn(self, pairs: list[Pair], looked_at: Pair) -> tuple[bool, str]:
        values = [_features(pair.image)[pair.labels != 255] for pair in pairs]
        labels = np.concatenate([pair.labels[pair.labels != 255] for pair in pairs])
        if len(np.unique(labels)) > 1:
            self.forest = RandomForestClassifier(50, max_depth=10, max_samples=0.5, n_jobs=1, random_state=self.seed)
            self.forest.fit(np.concatenate(values), labels)
        return self.forest is not None, "always taken"


def _features(image: np.ndarray) -> np.ndarray:
    return multiscale_basic_features(image, channel_axis=-1, sigma_min=1, sigma_max=8)


def play(rival: Network | Forest, pool: list[Pair], test: list[Pair], rounds: int, seed: int) -> list[dict[str, Any]]:
    """Correct one image of the pool a round, learn, and score on the test images."""
    order = np.random.default_rng(seed).permutation(len(pool))
    known = {int(i): np.full(pool[i].labels.shape, 255, np.uint8) for i in order}
    rows = [{"painted": 0, "reviewed": 0, "cpu_seconds": 0.0, "decided": "", "dice": dice(rival.answer, test)}]
    for number in range(rounds):
        which = int(order[number % len(order)])
        shown = np.where(known[which] != 255, known[which], rival.answer(pool[which]))
        done = AnnotatorInView().correct(shown, known_labels(pool[which]), known[which])
        known[which] = done.labels
        corrected = [replace(pool[i], labels=labels, fov=None) for i, labels in known.items() if (labels != 255).any()]
        begin = time.process_time()
        learned, decided = rival.learn(corrected, pool[which])
        spent = time.process_time() - begin
        score = dice(rival.answer, test) if learned else rows[-1]["dice"]
        scored = {"cpu_seconds": round(spent, 1), "decided": decided, "dice": score}
        rows.append({"painted": done.painted, "reviewed": done.reviewed, **scored})
    return rows


@dataclass(frozen=True)
class Prepared:
    """What all rivals of a scenario share; `reference` is the Dice of a network trained on the target."""

    pool: list[Pair]
    test: list[Pair]
    original: list[Pair]
    start: LoadedModel
    reference: float
    settings: FineTuningSettings


def prepared(name: str, options: argparse.Namespace) -> Prepared:
    """Images and models of a scenario."""
    scenario = SCENARIOS[name]
    steps = options.training_steps or scenario.training_steps
    sources = [] if scenario.untrained else pairs_of(scenario, "train", scenario.start, 1000, change=False)
    start = trained(sources, 0 if scenario.untrained else steps, options.cache)
    reference = trained(pairs_of(scenario, "train", scenario.target, 1000, change=True), steps, options.cache)
    pool = pairs_of(scenario, "train", scenario.target, options.images, change=True)
    test = pairs_of(scenario, options.split, scenario.target, options.images, change=True)
    original = [] if scenario.untrained else pairs_of(scenario, options.split, scenario.start, options.images, False)
    if options.crop:
        pool, test, original = ([middle(pair, options.crop) for pair in part] for part in (pool, test, original))
    settings = FineTuningSettings(
        seconds=options.seconds, training_steps=options.round_steps, strength=options.strength, device="cpu"
    )
    best = dice(Network(reference, settings, "none").answer, test)
    return Prepared(pool, test, original, start, best, settings)


def run(name: str, kind: str, seed: int, given: Prepared, rounds: int) -> dict[str, Any]:
    """One run of a rival."""
    settings = given.settings.model_copy(update={"seed": seed})
    rival = Forest(given.start, seed) if kind == "forest" else Network(given.start, settings, kind)
    rows = play(rival, given.pool, given.test, rounds, seed)
    found = {"scenario": name, "rival": kind, "seed": seed, "reference": given.reference, "rows": rows}
    if kind in ("ours", "plain") and given.original:
        before = dice(Network(given.start, settings, "none").answer, given.original)
        found["change_on_original_images"] = dice(rival.answer, given.original) - before
    return found


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds for each scenario and rival, and what was won back in the mean over scenarios."""
    table: dict[str, Any] = {}
    won: dict[str, list[float]] = {}
    for name, kind in sorted({(found["scenario"], found["rival"]) for found in runs}):
        some = [found for found in runs if (found["scenario"], found["rival"]) == (name, kind)]
        curve = np.mean([[row["dice"] for row in found["rows"]] for found in some], axis=0)
        lost = some[0]["reference"] - curve[0]
        changes = [found["change_on_original_images"] for found in some if "change_on_original_images" in found]
        spent = [row["cpu_seconds"] for found in some for row in found["rows"]]
        table.setdefault(name, {"reference": some[0]["reference"], "lost": lost})[kind] = {
            "seeds": len(some),
            "dice": curve.tolist(),
            "won_back": (curve[-1] - curve[0]) / lost if lost >= LEAST_LOST else None,
            "change_on_original_images": float(np.mean(changes)) if changes else None,
            "most_cpu_seconds_in_a_round": max(spent),
            "most_painted_in_a_round": max(row["painted"] for found in some for row in found["rows"]),
        }
        if lost >= LEAST_LOST and not SCENARIOS[name].untrained:
            won.setdefault(kind, []).append(table[name][kind]["won_back"])
    return {"scenarios": table, "won_back": {kind: float(np.mean(values)) for kind, values in won.items()}}


def _print(found: dict[str, Any]) -> None:
    for name, scenario in found["scenarios"].items():
        print(f"{name}: lost {scenario['lost']:.3f} of {scenario['reference']:.3f}")
        for kind in (rival for rival in RIVALS if rival in scenario):
            row = scenario[kind]
            won, own = row["won_back"], row["change_on_original_images"]
            print(
                f"  {kind:7s} {'  '.join(f'{value:.3f}' for value in row['dice'])}"
                f"  won back {'-' if won is None else f'{won:.0%}'}  own images {'-' if own is None else f'{own:+.3f}'}"
                f"  a round at most {row['most_painted_in_a_round']} px, {row['most_cpu_seconds_in_a_round']:.0f} CPU s"
            )
    print("won back, mean over scenarios:", {kind: f"{value:.0%}" for kind, value in found["won_back"].items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), action="append", help="all by default")
    parser.add_argument("--rival", choices=RIVALS, action="append", help="all by default")
    parser.add_argument("--split", choices=("val", "test"), default="test", help="val to choose by, test to report")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=60, help="time to train each round")
    parser.add_argument("--round-steps", type=int, help="training steps each round, instead of a time")
    parser.add_argument("--strength", type=float, default=0.5, help="how far ours may move where nobody corrected it")
    parser.add_argument("--training-steps", type=int, help="of starting and reference models, instead of the recipe's")
    parser.add_argument("--images", type=int, default=8, help="at most this many images to correct, and to score on")
    parser.add_argument("--crop", type=int, default=0, help="use only the middle of each image, of this side")
    parser.add_argument("--cache", type=Path, default=Path("runs/annotation"))
    parser.add_argument("--runs", type=Path, help="folder of finished runs; those in it are not run again")
    parser.add_argument("--json", type=Path, help="write the table and all runs")
    parser.add_argument("--tiny", action="store_true", help="see that it works")
    options = parser.parse_args()
    if options.tiny:
        options.seeds, options.rounds, options.round_steps = 1, 1, 3
        options.training_steps, options.images, options.crop = 3, 2, 192
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", min(2, os.cpu_count() or 1))))
    asked = {key: getattr(options, key) for key in DECIDING}
    done: list[dict[str, Any]] = []
    given: dict[str, Prepared] = {}
    # seed by seed, so that what was broken off is a whole table of fewer seeds
    for seed, name, kind in product(range(options.seeds), options.scenario or SCENARIOS, options.rival or RIVALS):
        kept = options.runs / f"{name}-{kind}-{seed}.json" if options.runs else None
        if kept is None or not kept.exists():
            if name not in given:
                given[name] = prepared(name, options)
            found = {**run(name, kind, seed, given[name], options.rounds), "options": asked}
            print(json.dumps(found), flush=True)
            if kept:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(found) + "\n", encoding="utf-8")
        else:
            found = json.loads(kept.read_text(encoding="utf-8"))
            if found.get("options") != asked:
                parser.error(f"{kept} is of a run with other options ({found.get('options')}); name another folder")
        done.append(found)
    table = summary(done)
    _print(table)
    if options.json:
        options.json.write_text(json.dumps({**table, "runs": done}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
