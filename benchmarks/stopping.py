"""What stopping early would be worth: tiles whose mask hardly changes do no further iterations.

    python benchmarks/stopping.py --data FOLDER_OF_SETS [--split val] [--models retina,roads,hands] [--images 12]
        [--tiles 0,512]

A tile stops after iteration t >= 2 when fewer than a share of its foreground changed since iteration t - 1; its last
mask then stands for all later ones. Every iteration is computed, and what the rule would have left out is counted:
the gain is the work of all iterations over that of those that the rule keeps, the network being all of the work. Tiles
of 0 are whole images. Smaller ones take their masks from the whole image's run, as though their neighbours went on.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_runet import load_model
from napari_runet.images.image_input import ImageInput
from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.segmenter import iterate
from napari_runet.settings import SegmentationSettings
from napari_runet.training.losses import UNKNOWN
from napari_runet.training.metrics import overlap
from napari_runet.training.pairs import known_labels, read_pairs

SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0)


def boxes(shape: tuple[int, int], side: int) -> Iterator[tuple[slice, slice]]:
    """Squares that cover a plane; all of it when `side` is 0."""
    rows, columns = (side or length for length in shape)
    for y in range(0, shape[0], rows):
        for x in range(0, shape[1], columns):
            yield slice(y, y + rows), slice(x, x + columns)


def stopped(masks: list[np.ndarray], side: int, share: float) -> tuple[np.ndarray, int]:
    """The mask that the rule comes to, and how many pixels were computed, counted at each iteration."""
    result, work = masks[-1].copy(), 0
    for box in boxes(result.shape, side):
        last = len(masks)
        for number in range(2, len(masks)):
            now, before = masks[number - 1][box], masks[number - 2][box]
            if np.count_nonzero(now != before) <= share * max(1, np.count_nonzero(now)):
                last = number
                break
        result[box] = masks[last - 1][box]
        work += last * result[box].size
    return result, work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--models", default="retina,roads,hands")
    parser.add_argument("--images", type=int, default=12, help="so many of each set, evenly spread")
    parser.add_argument("--tiles", default="0,512")
    options = parser.parse_args()
    print("| model  | images | tiles | share | gain | Dice, all iterations | stopped | difference |")
    print("|--------|--------|-------|-------|------|----------------------|---------|------------|")
    for name in options.models.split(","):
        model = load_model(name, "cpu")
        pairs = list(read_pairs(options.data / name / options.split))
        runs = []
        for number in np.unique(np.linspace(0, len(pairs) - 1, options.images).astype(int)):
            pair = pairs[number]
            source = ImageInput.from_array(pair.image, name=pair.name)
            steps = iterate(source, model, SegmentationSettings())
            masks = [labels_from(quantise(step.foreground), model.card.threshold) for step in steps]
            if (known_labels(pair) == 1).any():
                runs.append((masks, known_labels(pair)))
        for side in map(int, options.tiles.split(",")):
            full = np.mean([dice(masks[-1], truth) for masks, truth in runs])
            for share in SHARES:
                found = [stopped(masks, side, share) for masks, _ in runs]
                gain = sum(len(masks) * masks[0].size for masks, _ in runs) / sum(work for _, work in found)
                less = np.mean([dice(mask, truth) for (mask, _), (_, truth) in zip(found, runs, strict=True)])
                print(
                    f"| {name:<6} | {len(runs):6d} | {side:5d} | {share:5.2f} | {gain:4.2f} | {full:20.4f} "
                    f"| {less:7.4f} | {less - full:10.4f} |",
                    flush=True,
                )


def dice(labels: np.ndarray, truth: np.ndarray) -> float:
    """Of the foreground, where the truth is known."""
    known = truth != UNKNOWN
    found = overlap(labels[known], truth[known])["dice"]
    assert found is not None
    return found


if __name__ == "__main__":
    main()
