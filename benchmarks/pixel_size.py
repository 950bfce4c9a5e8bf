"""Does a model still see what it knows when the pixels are larger or smaller?

Each image of a set is enlarged or reduced by a factor and segmented at the size that it then has, and with the
estimate of the width of its structures and the rescaling that follows from it. The masks are brought back to the
image's own size, so that all rows are measured against the same truth.

    python benchmarks/pixel_size.py --model hands --data ../shared/data/hands/val --factors 0.5 1 2 3
    python benchmarks/pixel_size.py --model hands --data ../shared/data/hands/val --widths 15 40 90

`--widths LOW BEST HIGH` stand for the `structure_width` of the card; without them and without one there, the widths of
the structures in the model's own masks are all that is printed.
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from napari_runet.images.structure_width import structure_width
from napari_runet.inference.segmenter import LoadedModel, load_model, segment
from napari_runet.models.card import StructureWidth
from napari_runet.training.pairs import Pair, read_pairs


def dice(found: np.ndarray, pair: Pair) -> float | None:
    """Dice of the foreground where the pair counts; None for an image with none."""
    counted = pair.labels != 255
    if pair.fov is not None:
        counted &= pair.fov
    truth, found = (pair.labels > 0) & counted, (found > 0) & counted
    total = int(truth.sum() + found.sum())
    return 2 * int((truth & found).sum()) / total if truth.any() else None


def at(array: np.ndarray, shape: tuple[int, int], how: Image.Resampling) -> np.ndarray:
    """An image or mask of another size."""
    return np.asarray(Image.fromarray(array).resize(shape[::-1], how))


def measured(pair: Pair, factor: float, model: LoadedModel) -> Iterator[tuple[str, float | None]]:
    """Dice as it is and rescaled, by how much it was rescaled, and the width of the structures that were found."""
    shape = pair.labels.shape
    larger = tuple(max(1, round(length * factor)) for length in shape)
    image = at(pair.image, larger, Image.Resampling.BICUBIC)
    for name, rescale in (("plain", False), ("rescaled", True)):
        if rescale and model.card.structure_width is None:
            continue
        prediction = segment(image, model, rescale=rescale)
        mask = prediction.labels[-1]
        yield name, dice(at(mask, shape, Image.Resampling.NEAREST), pair)
        if rescale:
            yield "scale", prediction.scale
        else:
            yield "width", structure_width(mask > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--factors", type=float, nargs="+", default=[0.5, 1.0, 2.0, 3.0])
    parser.add_argument("--widths", type=float, nargs=3, metavar=("LOW", "BEST", "HIGH"))
    parser.add_argument("--prefix", default="", help="only images whose names begin so")
    parser.add_argument("--images", type=int, default=0, help="this many, spread evenly over the set; 0 for all")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    model = load_model(options.model, device="cpu")
    if options.widths:
        low, best, high = options.widths
        widths = StructureWidth(low=low, best=best, high=high)
        model = replace(model, card=model.card.model_copy(update={"structure_width": widths}))
    pairs = [pair for pair in read_pairs(options.data) if pair.name.startswith(options.prefix)]
    if options.images:
        pairs = [pairs[k] for k in np.unique(np.linspace(0, len(pairs) - 1, options.images).round().astype(int))]
    rows = []
    print(f"{options.model}, {len(pairs)} images of {options.data}", flush=True)
    for factor in options.factors:
        values: dict[str, list[float]] = {}
        for pair in pairs:
            for name, value in measured(pair, factor, model):
                values.setdefault(name, []).extend([] if value is None else [value])
        row = {name: float(np.mean(of)) for name, of in values.items() if of}
        quartiles = np.percentile(values.get("width") or [np.nan], [10, 50, 90])
        rows.append({"factor": factor, **row, "width_10_50_90": [float(width) for width in quartiles]})
        spread = " ".join(f"{width:.1f}" for width in quartiles)
        rescaled = f", rescaled {row['rescaled']:.3f} (scale {row['scale']:.2f})" if "rescaled" in row else ""
        print(f"x{factor:<4g} plain {row['plain']:.3f}{rescaled}; widths found, 10 50 90 %: {spread}", flush=True)
    if options.json:
        content = {"model": options.model, "images": len(pairs), "rows": rows}
        options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
