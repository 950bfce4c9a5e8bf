import numpy as np
import pytest
from napari.layers import Image

from napari_runet.images.image_input import Region
from napari_runet.models.card import ModelCard
from napari_runet.plugin.reading import read_layer
from napari_runet.plugin.results import KEPT_IN_MEMORY, IterationResult, Result, keep

RNG = np.random.default_rng(3)


def make(card: ModelCard, region: Region | None = None, classes: int = 1) -> Result:
    source = read_layer(Image(np.zeros((20, 30))), (0.0, 0.0))
    result = Result("photo", card, "run", source, region, 0.5)
    for _ in range(3):
        foreground = RNG.integers(0, 256 // classes, (classes, *result.plane_shape), np.uint8)
        result.iterations.append(IterationResult(foreground, 0.9))
    return result


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.5, 0.99])
def test_a_threshold_acts_on_kept_probabilities(card: ModelCard, threshold: float) -> None:
    result = make(card)
    result.threshold = threshold
    expected = (result.iterations[1].foreground[0] / 255 >= threshold).astype(np.uint8)
    np.testing.assert_array_equal(result.labels(2), expected)


def test_changes_are_what_flipped_since_the_iteration_before(card: ModelCard) -> None:
    result = make(card)
    first, second = result.labels(1).astype(bool), result.labels(2).astype(bool)
    changes = result.changes(2)
    np.testing.assert_array_equal(changes == 1, second & ~first)
    np.testing.assert_array_equal(changes == 2, first & ~second)
    np.testing.assert_array_equal(result.changes(1), first.astype(np.uint8))
    assert result.uncounted == [1, 2, 3]
    assert [result.changed_pixels(t) for t in (1, 2)] == [int(first.sum()), int((first ^ second).sum())]
    assert result.uncounted == [3]
    result.threshold = 0.9
    assert result.uncounted == [1, 2, 3]


def test_confidence_is_that_of_the_most_probable_class(card: ModelCard) -> None:
    foreground = make(card).iterations[0].foreground
    result = make(card)
    result.iterations[0] = IterationResult(foreground, 0.9)
    probability = foreground[0] / 255
    np.testing.assert_allclose(result.confidence(1), np.maximum(probability, 1 - probability), atol=1e-6)
    assert result.confidence(1).dtype == np.float32


def test_a_region_covers_its_box_and_nothing_outside_its_mask(card: ModelCard) -> None:
    mask = RNG.random((6, 7)) < 0.5
    result = make(card, Region(4, 5, 6, 7, mask))
    assert result.labels(1).shape == (6, 7)
    assert not result.labels(1)[~mask].any()
    whole = result.whole_plane(1)
    assert whole.shape == (20, 30)
    np.testing.assert_array_equal(whole[4:10, 5:12], result.labels(1))
    assert whole.sum() == result.labels(1).sum()


def test_small_planes_are_copied_and_large_ones_stay_in_their_file() -> None:
    small = np.zeros((1, 8, 8), np.uint8)
    assert not np.shares_memory(keep(small), small)
    large = np.broadcast_to(np.uint8(0), (1, 4097, KEPT_IN_MEMORY // 4096))
    assert keep(large) is large
