"""What is kept of a large plane: strips, files and states, without a change in the result."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from test_iterations import run, tiny_model

from napari_runet.inference import tile_states
from napari_runet.inference.blending import BlendedPlane
from napari_runet.inference.tile_states import TileStates
from napari_runet.inference.tiling import tiles
from napari_runet.io import scratch
from napari_runet.networks import State


@given(st.integers(1, 300), st.integers(1, 90), st.integers(16, 64), st.integers(0, 31), st.booleans())
def test_a_plane_from_strips_is_the_weighted_sum_of_its_tiles(height, width, size, overlap, quantised):
    generator = np.random.default_rng(height)
    grid = list(tiles(height, width, size, min(overlap, size // 2)))
    expected = np.zeros((2, height, width))
    plane = BlendedPlane(expected.shape, grid[0].height, quantised=quantised)
    for tile in grid:
        part = generator.random((2, tile.height, tile.width), dtype=np.float32)
        expected[:, tile.rows, tile.columns] += part * tile.weight
        plane.add(tile, part)
    found = plane.finish()
    assert found.dtype == (np.uint8 if quantised else np.float32)
    np.testing.assert_allclose(found / (255 if quantised else 1), expected, atol=0.501 / 255 if quantised else 1e-5)


@pytest.mark.parametrize("name", ["dru-4", "dru-2", "unet-g"])
@pytest.mark.parametrize("feedback", ["probabilities", "logits"])
def test_files_change_nothing(monkeypatch, name, feedback):
    image = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    card, network = tiny_model(name=name, feedback=feedback)
    in_memory = run(image, model=(card, network))
    monkeypatch.setattr(scratch, "KEPT_IN_MEMORY", 0)
    monkeypatch.setattr(tile_states, "KEPT_IN_MEMORY", 0)
    for one, other in zip(in_memory, run(image, model=(card, network)), strict=True):
        assert isinstance(other, np.memmap)
        np.testing.assert_array_equal(one, other)


def test_uint8_is_what_the_float_rounds_to():
    image = np.random.default_rng(0).integers(0, 256, (150, 130, 3), dtype=np.uint8)
    for exact, rounded in zip(run(image), run(image, quantised=True), strict=True):
        np.testing.assert_array_equal(np.rint(exact * 255), rounded)


@pytest.mark.parametrize("limit", [0, 1 << 30])
def test_states_come_back_as_they_were(monkeypatch, limit):
    monkeypatch.setattr(tile_states, "KEPT_IN_MEMORY", limit)
    states = TileStates(3)
    expected = [State(torch.rand(1, 2, 8, 6), torch.rand(1, 4, 1, 3).half() if odd else None) for odd in (1, 1, 1)]
    assert states.get(1) is None
    for _ in range(2):
        for position in (2, 0, 1):
            states.put(position, expected[position])
        expected = [State(*(part + 1 for part in state)) for state in expected]
        for position in (2, 0, 1):
            states.put(position, expected[position])
    for position in range(3):
        for found, wanted in zip(states.get(position), expected[position], strict=True):
            assert found.dtype == wanted.dtype and torch.equal(found, wanted)
