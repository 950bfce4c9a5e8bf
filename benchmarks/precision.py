"""What bfloat16 costs: Dice of the base backend's masks in float32 and in bfloat16, image by image.

python benchmarks/precision.py --data FOLDER_OF_SETS [--split val] [--models retina,roads,hands] [--images 12]
"""

import argparse
from pathlib import Path

import numpy as np

from napari_runet import load_model
from napari_runet.training.evaluation import evaluate
from napari_runet.training.pairs import read_pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--models", default="retina,roads,hands")
    parser.add_argument("--images", type=int, default=12, help="so many of each set, evenly spread")
    options = parser.parse_args()
    print("| model  | images | Dice float32 | Dice bfloat16 | mean difference | largest of an image |")
    print("|--------|--------|--------------|---------------|-----------------|---------------------|")
    for name in options.models.split(","):
        pairs = list(read_pairs(options.data / name / options.split))
        chosen = [pairs[i] for i in np.unique(np.linspace(0, len(pairs) - 1, options.images).astype(int))]
        dice = []
        for backend in ("float32", "bfloat16"):
            found = evaluate(load_model(name, "cpu", backend), chosen)
            dice.append(np.array([image[-1].figures["dice"] for image in found.images if image[-1].figures]))
        plain, half = dice
        print(
            f"| {name:<6} | {len(plain):6d} | {plain.mean():12.4f} | {half.mean():13.4f} "
            f"| {half.mean() - plain.mean():15.4f} | {np.abs(half - plain).max():19.4f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
