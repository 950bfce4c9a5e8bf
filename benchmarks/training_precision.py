"""What training in bfloat16 costs in quality: the same training in both precisions, seed by seed.

    python benchmarks/training_precision.py fine-tune --models retina roads hands --seeds 5
    python benchmarks/training_precision.py from-nothing --sets retina hands --seeds 3 --training-steps 200

``fine-tune`` brings a shipped model to grey images: a simulated person corrects some of the validation set, the model
learns from that, and is scored on others. ``from-nothing`` trains the table's DRU(4). Both are scored in float32, by
the mean Dice of the foreground. Only a CPU with AMX or AVX512-BF16 has anything to compare.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from annotator_in_view import AnnotatorInView
from camera_changes import DATA, dice, middle
from changed_images import CHANGES
from napari_runet.inference.backends.choosing import has_fast_bfloat16
from napari_runet.inference.devices import choose_device
from napari_runet.inference.segmenter import LoadedModel, load_model, ready, segment
from napari_runet.models.card import ModelCard
from napari_runet.networks import IterativeNetwork, build
from napari_runet.settings import FineTuningSettings
from napari_runet.training.fine_tuning import fine_tune
from napari_runet.training.loop import Trainer, card_of
from napari_runet.training.pairs import Pair, known_labels, read_pairs
from napari_runet.training.recipe import read_recipe, table_recipes
from napari_runet.training.samples import prepare

PRECISIONS: tuple[Literal["float32", "auto"], ...] = ("float32", "auto")
SIDE = 512
CORRECTED, SCORED = 3, 8


def spread(pairs: list[Pair], most: int) -> list[Pair]:
    """Up to `most` of them, evenly over all, each cut to its middle."""
    kept = np.unique(np.linspace(0, len(pairs) - 1, most).round().astype(int))
    return [middle(pairs[k], SIDE) for k in kept]


def grey(pair: Pair) -> Pair:
    """As a grey camera would have seen it."""
    pixels = CHANGES["grey"](pair.image[..., :3].astype(np.float64) / 255)
    return replace(pair, image=(255 * pixels).round().astype(np.uint8))


def answer_of(model: LoadedModel) -> Callable[[Pair], np.ndarray]:
    """One click's mask."""
    return lambda pair: segment(pair.image, model).labels[-1]


def loaded(card: ModelCard, network: IterativeNetwork) -> LoadedModel:
    """Ready to be asked in float32."""
    return ready(card, network, choose_device("cpu"), "float32")


def fine_tuned(name: str, options: argparse.Namespace) -> Iterator[tuple[float, float]]:
    """Dice after fine-tuning in each precision, one pair a seed."""
    model = load_model(name, "cpu", "float32")
    pairs = [grey(pair) for pair in spread(list(read_pairs(DATA / name / "val")), CORRECTED + SCORED)]
    scored, shown = pairs[::2] + pairs[2 * CORRECTED + 1 :: 2], pairs[1 : 2 * CORRECTED : 2]
    corrected = []
    for pair in shown:
        truth = known_labels(pair)
        done = AnnotatorInView(pixels=400, strokes=100).correct(
            answer_of(model)(pair), truth, np.full(truth.shape, 255, np.uint8)
        )
        corrected.append(replace(pair, labels=done.labels))
    print(f"| {name} before | | {dice(answer_of(model), scored):.4f} | | |", flush=True)
    for seed in range(options.seeds):
        found = []
        for precision in PRECISIONS:
            settings = FineTuningSettings(
                training_steps=options.training_steps, device="cpu", precision=precision, seed=seed
            )
            *_, last = fine_tune(model, corrected, settings)
            assert last.candidate is not None
            found.append(dice(answer_of(loaded(model.card, last.candidate.network())), scored))
        yield found[0], found[1]


def trained(name: str, options: argparse.Namespace) -> Iterator[tuple[float, float]]:
    """Dice after training from random weights in each precision, one pair a seed."""
    train, val = (list(read_pairs(DATA / name / split)) for split in ("train", "val"))
    scored = spread(val, SCORED)
    steps = options.training_steps
    for seed in range(options.seeds):
        found = []
        for precision in PRECISIONS:
            recipe = read_recipe(table_recipes()["dru-4"]).model_copy(
                update={"training_steps": steps, "crop_size": 192, "average_decay": 0.97, "precision": precision}
            )
            torch.manual_seed(seed)
            card, network = card_of(recipe, seed, ""), build(recipe.network)
            trainer = Trainer(recipe, card, network, [prepare(pair, card) for pair in train], "cpu", seed)
            for _ in range(steps):
                trainer.train_step()
            found.append(dice(answer_of(loaded(card, trainer.averaged_network().eval())), scored))
        yield found[0], found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fine-tune", "from-nothing"))
    parser.add_argument("--models", "--sets", nargs="+", default=["retina", "roads", "hands"])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--training-steps", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    if not has_fast_bfloat16():
        raise SystemExit("This CPU has no AMX or AVX512-BF16, so that both precisions would be float32.")
    print("| | seed | float32 | bfloat16 | difference |\n|---|---|---|---|---|", flush=True)
    for name in options.models:
        rows = []
        for exact, rounded in (fine_tuned if options.what == "fine-tune" else trained)(name, options):
            rows.append((exact, rounded))
            print(f"| {name} | {len(rows) - 1} | {exact:.4f} | {rounded:.4f} | {rounded - exact:+.4f} |", flush=True)
        mean = np.mean(rows, axis=0)
        error = np.std([b - a for a, b in rows], ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else np.nan
        print(f"| {name} | mean | {mean[0]:.4f} | {mean[1]:.4f} | {mean[1] - mean[0]:+.4f} ± {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()
