"""Every network of the paper trains, is saved, and comes back as the same function."""

import pytest
import torch
from torch.nn import functional

from napari_runet.models.card import ClassInfo, ModelCard
from napari_runet.models.weights import load_network, save_network
from napari_runet.networks import NETWORK_NAMES, build


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_three_training_steps_then_saved_and_loaded(name, tmp_path):
    torch.manual_seed(0)
    classes = tuple(ClassInfo(name=f"class {k}", color="#000000") for k in range(3))
    heavy = "16" in name or "50" in name
    network = build(name, classes=3)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.001 if heavy else 0.1, momentum=0.9)
    images = torch.randn(2, 3, 64, 64)
    target = (images[:, 0] > 0).long() + (images[:, 1] > 1)
    losses = []
    for _ in range(3):
        logits = network(images, 1 if heavy else 2)
        loss = torch.stack([functional.cross_entropy(step, target) for step in logits]).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    idle = [key for key, value in network.named_parameters() if value.grad is None]
    assert not idle, "these parameters are part of no computation"
    card = ModelCard(id="one", title="One", sentence="For tests.", network=network.config, classes=classes)
    save_network(tmp_path / "one", card, network)
    loaded_card, loaded = load_network(tmp_path / "one")
    assert loaded_card.network == network.config
    with torch.inference_mode():
        for one, other in zip(network.eval()(images[:1], 2), loaded(images[:1], 2), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)
    (tmp_path / "one" / "model.safetensors").unlink()  # up to 600 MB
