"""Does *Next* lead to the mistakes? The share of a mask's true mistakes that lie in the first 10, 20 and 50 places.

A mistake is a connected piece of at least 8 wrong pixels further than 2 pixels from what it is mistaken for: found
foreground that is nowhere near true foreground, or true foreground that is nowhere near what was found. It counts as
found when a place's box touches it; beside that stands the share of all such pixels that lie inside the boxes. All
orders use boxes of the same size that do not overlap.

    next        the score of napari_runet.reviewing
    closeness   closeness to the threshold alone
    random      boxes at random, the mean of ten draws
    best        the order that finds most, with the truth at hand (greedy)

    python benchmarks/review.py --model retina --data ../shared/data/retina/val --json figures.json
"""

import argparse
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy import ndimage

from napari_runet.images.thresholding import labels_from, quantise
from napari_runet.inference.segmenter import LoadedModel, load_model, segment
from napari_runet.reviewing.doubt import Doubt, doubt
from napari_runet.reviewing.places import rank, side_of_places
from napari_runet.training.pairs import Pair, known_labels, read_pairs

PLACES = (10, 20, 50)
TOLERANCE = 2
SMALLEST = 8
DRAWS = 10
Boxes = list[tuple[slice, slice]]


def mistakes(shown: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(Y, X) int: 0, or the number of the mistake a pixel belongs to."""
    known = truth != 255
    right, found = known & (truth > 0), shown > 0
    invented = found & (ndimage.distance_transform_edt(~right) > TOLERANCE)
    missed = right & (ndimage.distance_transform_edt(~found) > TOLERANCE)
    wrong = (invented | missed | (found & right & (shown != truth))) & known
    pieces, _ = ndimage.label(wrong, structure=np.ones((3, 3), int))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    kept = np.flatnonzero(sizes >= SMALLEST)
    number = np.zeros(len(sizes), int)
    number[kept] = np.arange(1, len(kept) + 1)
    return number[pieces]


def shares(pieces: np.ndarray, boxes: Boxes) -> list[tuple[float, float]]:
    """Share of the mistakes, and of their pixels, in the first boxes, for each of `PLACES`."""
    count, pixels = int(pieces.max()), int((pieces > 0).sum())
    seen, inside, rows = set(), np.zeros(pieces.shape, bool), []
    for number in range(max(PLACES)):
        if number < len(boxes):
            seen.update(np.unique(pieces[boxes[number]]).tolist())
            inside[boxes[number]] = True
        if number + 1 in PLACES:
            rows.append((len(seen - {0}) / count, float((inside & (pieces > 0)).sum()) / pixels))
    return rows


def by_score(found: Doubt) -> Boxes:
    return [place.box for place in rank(found, max(PLACES))]


def at_random(truth: np.ndarray, rng: np.random.Generator) -> Boxes:
    """Boxes around known pixels, drawn until they do not overlap, as far as there is room."""
    side, rows, columns = side_of_places(truth.shape), *np.nonzero(truth != 255)
    boxes, taken = [], np.zeros(truth.shape, bool)
    for pick in rng.integers(0, len(rows), 2000):
        y = int(np.clip(rows[pick] - side // 2, 0, truth.shape[0] - side))
        x = int(np.clip(columns[pick] - side // 2, 0, truth.shape[1] - side))
        box = slice(y, y + side), slice(x, x + side)
        if not taken[box].any():
            boxes.append(box)
            taken[box] = True
        if len(boxes) == max(PLACES):
            break
    return boxes


def at_best(pieces: np.ndarray) -> Boxes:
    """Boxes that each touch as many new mistakes as possible."""
    side, left, boxes = side_of_places(pieces.shape), pieces.copy(), []
    step = side // 4
    corners = [(y, x) for y in range(0, pieces.shape[0] - step, step) for x in range(0, pieces.shape[1] - step, step)]
    contents = {corner: set(np.unique(left[box_at(corner, side)]).tolist()) - {0} for corner in corners}
    for _ in range(max(PLACES)):
        corner = max(contents, key=lambda at: len(contents[at]))
        found = set(contents[corner])
        if not found:
            break
        boxes.append(box_at(corner, side))
        contents = {at: content - found for at, content in contents.items()}
    return boxes


def box_at(corner: tuple[int, int], side: int) -> tuple[slice, slice]:
    return slice(corner[0], corner[0] + side), slice(corner[1], corner[1] + side)


def closeness_alone(found: Doubt, settled: np.ndarray) -> Doubt:
    """The same places, were closeness to the threshold the whole score."""
    probability, t = found.last.max(axis=0) / 255, found.threshold
    near = 1 - np.where(probability >= t, (probability - t) / (1 - t), (t - probability) / t)
    return replace(found, score=quantise(np.where(settled, 0, near)))


def orders(pair: Pair, model: LoadedModel) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """What each order finds on one image."""
    prediction, truth = segment(pair.image, model), known_labels(pair)
    foreground = prediction.foreground
    last = foreground[-1] if foreground.dtype == np.uint8 else quantise(foreground[-1])
    pieces = mistakes(labels_from(last, prediction.threshold), truth)
    if not pieces.any():
        return
    settled = truth == 255
    found = doubt(foreground[-1], foreground[-2] if len(foreground) > 1 else None, prediction.threshold, settled)
    yield "next", shares(pieces, by_score(found))
    yield "closeness", shares(pieces, by_score(closeness_alone(found, settled)))
    rng = np.random.default_rng(0)
    draws = [shares(pieces, at_random(truth, rng)) for _ in range(DRAWS)]
    yield "random", [tuple(row) for row in np.mean(draws, axis=0)]
    yield "best", shares(pieces, at_best(pieces))


def measure(pairs: list[Pair], model: LoadedModel, say: Callable[[str], None]) -> dict[str, object]:
    """Means over images."""
    rows: dict[str, list[list[tuple[float, float]]]] = {}
    for pair in pairs:
        for name, row in orders(pair, model):
            rows.setdefault(name, []).append(row)
    say(f"{'':10s} " + "   ".join(f"{f'first {k}':>16s}" for k in PLACES) + "     (mistakes / their pixels)")
    result: dict[str, object] = {"images": len(next(iter(rows.values()), []))}
    for name, values in rows.items():
        means = np.mean(values, axis=0)
        say(f"{name:10s} " + "   ".join(f"{count:7.1%} / {pixels:6.1%}" for count, pixels in means))
        result[name] = {str(k): {"mistakes": m[0], "pixels": m[1]} for k, m in zip(PLACES, means.tolist(), strict=True)}
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="id, or folder with a path separator")
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and masks/ or labels/")
    parser.add_argument("--most", type=int, default=1000, help="at most this many images, evenly spread")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    pairs = read_pairs(options.data)
    pairs = pairs[:: max(1, -(-len(pairs) // options.most))]
    result = measure(pairs, load_model(options.model, "cpu"), lambda line: print(line, flush=True))
    if options.json:
        options.json.write_text(json.dumps({"model": options.model, **result}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
