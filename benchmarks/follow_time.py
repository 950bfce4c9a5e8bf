"""Following time against starting each frame anew: ``python benchmarks/follow_time.py [--seeds 4] [--frames 16]``.

On drawn movies at several speeds (a hand that moves, or a camera that pans and turns over a drawn retina or over drawn
land), or with ``--images FOLDER`` (of ``images`` and ``masks``) on real frames that are moved by known transforms, as a
camera that pans and turns over an image would show them: processor seconds a frame, IoU with the truth, the IoU of each
mask with that of the frame before (temporal IoU; that of the truth stands beside it), and flicker, the share of pixels
of the structure that flip from frame to frame where the truth does not. Each way is the mean over all frames but the
first of each scene. The last lines say what equal quality costs.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy import ndimage

import napari_runet
from napari_runet.images.drawn import draw_aerial, draw_fundus, draw_moving_hand
from napari_runet.training.pairs import read_pairs

MODELS = {"hand": "hands", "retina": "retina", "land": "roads"}
NOISE = 4.0
"""Standard deviation that each frame of a camera has of its own, of 255."""


@dataclass(frozen=True)
class Figures:
    seconds: float
    iou: float
    temporal: float
    flicker: float


def draw(scene: str, seed: int, size: int, frames: int, speed: float) -> tuple[np.ndarray, np.ndarray]:
    """A movie (T, Y, X, 3) and its truth (T, Y, X); with speed 1, a fiftieth of a frame's side from frame to frame."""
    if scene == "hand":
        return draw_moving_hand(seed, size, frames, speed)
    picture, truth = (draw_fundus if scene == "retina" else draw_aerial)(seed, 3 * size)
    return film(picture, truth, seed, size, frames, speed)


def film(
    picture: np.ndarray, truth: np.ndarray, seed: int, size: int, frames: int, speed: float
) -> tuple[np.ndarray, np.ndarray]:
    """What a camera sees that pans and turns over a picture (Y, X, 3); what lies outside of it is its mirror image."""
    rng = np.random.default_rng(seed)
    way, turn = rng.uniform(0, 2 * np.pi), rng.uniform(-0.01, 0.01)
    movie, truths = [], []
    for number in range(frames):
        distance, angle = speed * size / 50 * (number - frames / 2), speed * turn * number
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.array(truth.shape) / 2 + distance * np.array([np.sin(way), np.cos(way)])
        offset = centre - rotation @ np.full(2, size / 2)
        seen = [
            ndimage.affine_transform(channel.astype(np.float32), rotation, offset, (size, size), order=1, mode="mirror")
            for channel in np.moveaxis(picture, -1, 0)
        ]
        frame = np.stack(seen, axis=-1) + rng.normal(0, NOISE, (size, size, 3))
        movie.append(np.clip(frame, 0, 255).astype(np.uint8))
        truths.append(ndimage.affine_transform(truth, rotation, offset, (size, size), order=0, mode="mirror"))
    return np.stack(movie), np.stack(truths)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    union = np.count_nonzero(one | other)
    return np.count_nonzero(one & other) / union if union else 1.0


def measure(masks: np.ndarray, truth: np.ndarray, seconds: float) -> Figures:
    """Of masks and truth (T, Y, X) bool."""
    pairs = list(zip(pairwise(masks), pairwise(truth), strict=True))
    size = max(1.0, np.count_nonzero(truth) / len(truth))
    flips = [
        np.count_nonzero((before ^ now) & ~(true_before ^ true_now)) / size
        for (before, now), (true_before, true_now) in pairs
    ]
    return Figures(
        seconds,
        float(np.mean([overlap(*both) for both in zip(masks[1:], truth[1:], strict=True)])),
        float(np.mean([overlap(*both) for both in pairwise(masks)])),
        float(np.mean(flips)),
    )


def run(movie: np.ndarray, truth: np.ndarray, model, *, follow: int, iterations: int) -> Figures:
    """Segment a movie; `follow` iterations a frame that goes on, or 0 for starting each anew with `iterations`."""
    options = {"follow_time": True, "follow_iterations": follow} if follow else {}
    planes = napari_runet.segment_planes(movie, model, axes="TYXC", iterations=iterations, **options)
    masks, seconds = [], []
    started = time.process_time()
    for prediction in planes:
        seconds.append(time.process_time() - started)
        masks.append(prediction.labels_at(len(prediction.foreground)) > 0)
        started = time.process_time()
    return measure(np.stack(masks), truth > 0, float(np.mean(seconds[1:])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scene", choices=MODELS, default="retina")
    parser.add_argument("--images", type=Path, help="a folder of real images and masks, instead of a drawn scene")
    parser.add_argument("--model", default="", help="by default the one for the scene")
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--speeds", type=float, nargs="+", default=[0.5, 1.0, 2.0])
    arguments = parser.parse_args()
    model = napari_runet.load_model(arguments.model or MODELS[arguments.scene], "cpu")
    whole = model.card.iterations
    ways = {f"anew, {n}": {"follow": 0, "iterations": n} for n in range(1, whole + 1)}
    ways |= {f"follow, {n}": {"follow": n, "iterations": whole} for n in range(1, whole)}
    size = arguments.size
    real = [] if arguments.images is None else read_pairs(arguments.images)
    real = real[:: max(1, len(real) // arguments.seeds)][: arguments.seeds]
    what = f"{arguments.images.name if real else arguments.scene}, model {model.card.id}"
    print(f"{arguments.seeds} movies of {arguments.frames} frames of {size} x {size} pixels, {what}")
    for speed in arguments.speeds:
        found: dict[str, list[Figures]] = {name: [] for name in ways}
        own = []
        for seed in range(arguments.seeds):
            if real:
                pair = real[seed]
                movie, truth = film(np.asarray(pair.image), pair.labels == 1, seed, size, arguments.frames, speed)
            else:
                movie, truth = draw(arguments.scene, seed, size, arguments.frames, speed)
            own.append(measure(truth > 0, truth, 0).temporal)
            for name, way in ways.items():
                found[name].append(run(movie, truth, model, **way))
        means = {
            name: Figures(*np.mean([[f.seconds, f.iou, f.temporal, f.flicker] for f in each], axis=0))
            for name, each in found.items()
        }
        print(f"\nspeed {speed}; temporal IoU of the truth {np.mean(own):.3f}")
        print(f"{'':12} {'s/frame':>8} {'IoU':>7} {'temporal':>9} {'flicker':>8}")
        for name, each in means.items():
            print(f"{name:12} {each.seconds:8.3f} {each.iou:7.3f} {each.temporal:9.3f} {each.flicker:8.4f}")
        for name, each in means.items():
            if name.startswith("follow"):
                print(equal_quality(name, each, means))


def equal_quality(name: str, following: Figures, means: dict[str, Figures]) -> str:
    """What the cheapest way to start anew costs that is as good, to a thousandth of IoU."""
    anew = {n: f for n, f in means.items() if n.startswith("anew") and f.iou >= following.iou - 0.001}
    if not anew:
        return f"{name}: no way to start anew is as good"
    cheapest = min(anew, key=lambda n: anew[n].seconds)
    ratio = anew[cheapest].seconds / following.seconds
    return f"{name}: the cheapest that is as good is {cheapest}, at {ratio:.2f} times the cost"


if __name__ == "__main__":
    main()
