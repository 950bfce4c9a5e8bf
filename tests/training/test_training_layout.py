"""The memory layout of training: chosen by the processor, and the same numbers in either."""

import pytest
import torch

from napari_runet.images.drawn import draw_fundus
from napari_runet.networks import build
from napari_runet.training.loop import card_of
from napari_runet.training.pairs import Pair
from napari_runet.training.precision import training_layout
from napari_runet.training.recipe import Recipe
from napari_runet.training.samples import prepare
from napari_runet.training.trainer import Trainer


@pytest.fixture
def processor(monkeypatch):
    return lambda name: monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: name)


@pytest.mark.parametrize(
    ("capability", "device", "expected"),
    [
        ("AVX2", "cpu", torch.contiguous_format),
        ("AVX512", "cpu", torch.channels_last),
        ("DEFAULT", "cpu", torch.channels_last),
        ("AVX2", "cuda", torch.channels_last),
        ("AVX2", "mps", torch.channels_last),
    ],
)
def test_layout_is_that_of_the_processor(processor, capability, device, expected):
    processor(capability)
    assert training_layout(device) == expected


def test_either_layout_learns_the_same(processor):
    image, truth = draw_fundus(0, 128)
    plan = Recipe.model_validate(
        {
            "id": "t",
            "title": "T",
            "sentence": "T.",
            "network": {"base_channels": 4, "hidden_channels": 8},
            "classes": [{"name": "ground", "color": "#000000"}, {"name": "line", "color": "#ffffff"}],
            "training_steps": 4,
            "batch_size": 2,
            "crop_size": 64,
        }
    )
    losses = {}
    for capability in ("AVX2", "AVX512"):
        processor(capability)
        torch.manual_seed(0)
        card = card_of(plan, 0, "")
        samples = [prepare(Pair("drawn", image, (truth > 0).astype("uint8")), card)]
        trainer = Trainer(plan, card, build(plan.network), samples, "cpu", 0)
        weights = next(weight for weight in trainer.network.parameters() if weight.dim() == 4 and weight.shape[1] > 1)
        assert weights.is_contiguous() is (capability == "AVX2")
        losses[capability] = [trainer.train_step() for _ in range(4)]
    assert losses["AVX2"] == pytest.approx(losses["AVX512"], rel=1e-3)
