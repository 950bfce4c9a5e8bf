"""Models that have not seen the camera whose images they are to segment, and what they lose by it."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_runet.inference.segmenter import LoadedModel, load_model
from napari_runet.models.weights import save_state
from napari_runet.networks import build
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
    training_steps: int = 1000


SCENARIOS = {
    "chase-to-hrf": Scenario("retina", ("chase",), ("hrf",)),
    "hrf-to-chase": Scenario("retina", ("hrf",), ("chase",)),
    "hgr-to-other-hands": Scenario("hands", ("hgr",), ("rf", "heb")),
    "roads-other-camera": Scenario("roads", ("",), ("",), other_camera, training_steps=3000),
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


def middle(pair: Pair, size: int) -> Pair:
    """The middle of an image and its labels, at most `size` pixels wide and high."""
    y, x = (max(0, (length - size) // 2) for length in pair.labels.shape)
    part = slice(y, y + size), slice(x, x + size)
    return Pair(pair.name, pair.image[part], pair.labels[part], None if pair.fov is None else pair.fov[part])
