"""How much of its quality does a model keep on images as other cameras, other light and other files would have them?

    python benchmarks/changed_images.py --model retina --data ../shared/data/retina/val --images 12

Each image is changed in one way, segmented as one click does it, and measured against its own mask. The changes are
drawn with a fixed seed. Choose by validation images: `docs/results/<model>-changed-val.json` is what the models' pages
show. Sizes of pixels are the matter of `pixel_size.py`.
"""

import argparse
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy import ndimage

from napari_runet.inference.segmenter import load_model, segment
from napari_runet.training.pairs import read_pairs
from pixel_size import dice

RESULTS = Path(__file__).parents[1] / "docs" / "results"
Change = Callable[[np.ndarray], np.ndarray]
"""(Y, X, 3) float in [0, 1], to the same; what leaves [0, 1] is cut off."""


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """As it comes out of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray((255 * pixels).round().astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)) / 255


def shaded(pixels: np.ndarray) -> np.ndarray:
    """Twice as bright on one side as on the other."""
    return pixels * np.linspace(0.5, 1, pixels.shape[1])[None, :, None]


CHANGES: dict[str, Change] = {
    "as it is": lambda pixels: pixels,
    "blurred, sigma 1": lambda pixels: ndimage.gaussian_filter(pixels, (1, 1, 0)),
    "blurred, sigma 2": lambda pixels: ndimage.gaussian_filter(pixels, (2, 2, 0)),
    "noise, sigma 0.06": lambda pixels: pixels + np.random.default_rng(0).normal(0, 0.06, pixels.shape),
    "JPEG, quality 30": lambda pixels: jpeg(pixels, 30),
    "darker (gamma 1.6)": lambda pixels: pixels**1.6,
    "brighter (gamma 0.6)": lambda pixels: pixels**0.6,
    "half the contrast": lambda pixels: 0.25 + 0.5 * pixels,
    "shaded": shaded,
    "warm light": lambda pixels: pixels * np.array([1.15, 1, 0.75]),
    "grey": lambda pixels: np.repeat(pixels.mean(axis=2, keepdims=True), 3, axis=2),
    "red and green swapped": lambda pixels: pixels[..., [1, 0, 2]],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=12, help="this many, spread evenly over the set; 0 for all")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    model = load_model(options.model, device="cpu")
    pairs = list(read_pairs(options.data))
    pairs = [
        pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, options.images or len(pairs)).round().astype(int))
    ]
    rows = []
    for name, change in CHANGES.items():
        scores = []
        for pair in pairs:
            changed = np.clip(change(pair.image[..., :3].astype(np.float64) / 255), 0, 1)
            scores.append(dice(segment((255 * changed).round().astype(np.uint8), model).labels[-1], pair))
        rows.append({"change": name, "dice": float(np.mean([score for score in scores if score is not None]))})
        print(f"{name:24s} {rows[-1]['dice']:.3f}", flush=True)
    data = "/".join(options.data.resolve().parts[-2:])
    command = f"python benchmarks/changed_images.py --model {model.card.id} --data {data} --images {len(pairs)}"
    content = {"sha256": model.card.sha256, "images": len(pairs), "command": command, "rows": rows}
    file = RESULTS / f"{model.card.id}-changed-{options.data.resolve().name}.json"
    file.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
