"""Drawn pictures among the training images."""

import numpy as np

from napari_runet.images.drawn import draw_hand
from napari_runet.training.drawn_pairs import SIDE, drawn_pairs


def test_they_are_always_the_same_labelled_and_not_those_of_the_samples():
    first, second = drawn_pairs({"hand": 2}), drawn_pairs({"hand": 2})
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.image, other.image) and np.array_equal(one.labels, other.labels)
        assert one.image.shape == (SIDE, SIDE, 3) and set(np.unique(one.labels)) == {0, 1}
    # the second is drawn larger than the first, which is half as large as a sample
    assert first[0].labels.mean() < first[1].labels.mean() < draw_hand(seed=0, size=256)[1].mean()
    assert len({pair.name for pair in first}) == 2
