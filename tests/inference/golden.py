"""What the shipped weights give for one small input, kept in golden/: ``python tests/inference/golden.py`` writes it.

Run it when weights are shipped anew, never to make a test pass: a change in the code must not change these.
"""

import json
from pathlib import Path

import numpy as np
import torch

import napari_runet

FOLDER = Path(__file__).parent / "golden"
ITERATIONS = 3


def probabilities(name):
    """(T, 8, 8), the foreground's probability at every eighth pixel, of an input made of waves."""
    y, x = np.mgrid[:64, :64] / 64
    waves = np.stack([np.sin(9 * x + 4 * y), np.cos(7 * y * x + 1), np.sin(11 * np.hypot(x - 0.4, y - 0.6))])
    network = napari_runet.load_model(name, device="cpu").network
    with torch.inference_mode():
        logits = network(torch.from_numpy(waves[None]).float(), ITERATIONS)
    return np.stack([torch.softmax(each, dim=1)[0, 1, ::8, ::8].numpy() for each in logits])


def kept(name):
    """What was written for a model: the sha256 of its weights, and its probabilities."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def main():
    from napari_runet.models.store import ModelStore

    FOLDER.mkdir(exist_ok=True)
    for model in ModelStore().models():
        if model.shipped:
            values = np.round(probabilities(model.card.id).astype(float), 5).tolist()
            content = {"sha256": model.card.sha256, "probabilities": values}
            (FOLDER / f"{model.card.id}.json").write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    main()
