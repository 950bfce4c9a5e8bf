"""Following time: what a frame begins from, and where the scene cuts."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_runet.images.axes import Axes
from napari_runet.images.drawn import draw_moving_hand
from napari_runet.images.image_input import ImageError, ImageInput, Region
from napari_runet.images.pixel_size import PixelSize
from napari_runet.images.thresholding import quantise
from napari_runet.inference import segmenter
from napari_runet.inference.devices import choose_device
from napari_runet.inference.following import Beginning, TimeFollower, coarse_picture, is_cut
from napari_runet.inference.iterations import Iteration, iterate_plane
from napari_runet.inference.planes import StackSegmenter, segment_planes
from napari_runet.inference.segmenter import LoadedModel, segment
from napari_runet.inference.starting import Start
from napari_runet.models.card import ClassInfo, ModelCard, NetworkConfig
from napari_runet.networks import build
from napari_runet.settings import SegmentationSettings

CUT_AT = 4


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    torch.manual_seed(5)
    network = NetworkConfig(in_channels=3, classes=2, base_channels=2, hidden_channels=4)
    classes = (ClassInfo(name="background", color="#000000"), ClassInfo(name="hand", color="#ff0000"))
    card = ModelCard(
        id="some", title="Some", sentence="For tests.", network=network, classes=classes, tile_size=96, tile_overlap=16
    )
    return LoadedModel(card, build(network).eval(), choose_device("cpu"))


@pytest.fixture(scope="module")
def movie() -> np.ndarray:
    """Two scenes of `CUT_AT` frames each."""
    return draw_moving_hand(1, 130, 2 * CUT_AT, scenes=2)[0]


@pytest.mark.parametrize("seed,speed", [(0, 1), (1, 3), (2, 3)])
def test_a_cut_is_told_from_motion_and_from_light(seed: int, speed: float) -> None:
    frames = draw_moving_hand(seed, 160, 8, speed, scenes=2)[0]
    pictures = [coarse_picture(frame) for frame in frames]
    cuts = [is_cut(before, now) for before, now in pairwise(pictures)]
    assert cuts == [number == 3 for number in range(7)]
    darker = coarse_picture((frames[0] * 0.6 + 20).astype(np.uint16))
    assert not is_cut(pictures[0], darker)


def test_a_picture_is_the_mean_of_its_blocks_of_any_size_and_dtype() -> None:
    rng = np.random.default_rng(0)
    plane = rng.random((32, 48, 2))
    expected = plane.reshape(16, 2, 16, 3, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(coarse_picture(plane), expected, rtol=1e-5)
    assert coarse_picture(np.full((3, 1, 1), np.nan)).shape == (3, 1, 1)
    flat = np.full((20, 20, 1), 7, np.uint16)
    assert not is_cut(coarse_picture(flat), coarse_picture(flat))
    assert is_cut(coarse_picture(flat), coarse_picture(flat + 1))


def test_a_frame_goes_on_from_the_mask_of_the_one_before_and_anew_at_a_cut(
    model: LoadedModel, movie: np.ndarray
) -> None:
    found = list(segment_planes(movie, model, follow_time=True, follow_iterations=2))
    assert [len(prediction.foreground) for prediction in found] == ([3] + [2] * (CUT_AT - 1)) * 2
    for frame in (0, CUT_AT):
        np.testing.assert_array_equal(found[frame].foreground, segment(movie[frame], model).foreground)
    start = Start(foreground=quantise(found[0].foreground[-1]))
    expected = iterate_plane(
        model.card,
        model.network,
        ImageInput.from_array(movie[1]),
        iterations=2,
        tile_size=96,
        tile_overlap=16,
        start=start,
    )
    for step in expected:
        np.testing.assert_array_equal(found[1].foreground[step.number - 1], step.foreground)


def test_the_pixel_size_is_estimated_once_a_scene(
    model: LoadedModel, movie: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = iter([PixelSize(0.5, 9.0), PixelSize(2.0, 3.0)])
    monkeypatch.setattr(segmenter, "pixel_size_of", lambda *_: next(sizes))
    planes = StackSegmenter(
        ImageInput.from_array(movie, axes=Axes("TYXC")), model, SegmentationSettings(follow_time=True)
    )
    seen = [[*planes.iterate((frame,))][-1].pixel_size.scale for frame in range(2 * CUT_AT)]
    assert seen == [0.5] * CUT_AT + [2.0] * CUT_AT


def test_without_it_every_plane_is_by_itself(model: LoadedModel, movie: np.ndarray) -> None:
    for frame, prediction in zip(movie, segment_planes(movie[:3], model, axes="TYXC"), strict=False):
        np.testing.assert_array_equal(prediction.foreground, segment(frame, model).foreground)


def test_each_plane_of_a_movie_of_stacks_has_its_own_past(model: LoadedModel, movie: np.ndarray) -> None:
    first, second = movie[:2], movie[CUT_AT : CUT_AT + 2]
    stacks = np.stack([first, second], axis=1)
    both = list(segment_planes(stacks, model, axes="TZYXC", follow_time=True))
    assert [len(prediction.foreground) for prediction in both] == [3, 3, 1, 1]
    alone = list(segment_planes(second, model, axes="TYXC", follow_time=True))
    np.testing.assert_array_equal(both[3].foreground, alone[1].foreground)
    # Z is no time
    assert [len(p.foreground) for p in segment_planes(movie[:2], model, axes="ZYXC", follow_time=True)] == [3, 3]


def test_what_was_not_finished_is_not_gone_on_from(model: LoadedModel, movie: np.ndarray) -> None:
    image, mask = ImageInput.from_array(movie), np.zeros((1, 130, 130), np.uint8)
    follower = TimeFollower(model.card, SegmentationSettings(iterations=5, follow_iterations=9))
    assert follower.begin(image, (0,)) == Beginning(5)
    assert follower.begin(image, (1,)) == Beginning(5)
    follower.end(Iteration(5, mask))
    frame = follower.begin(image, (2,))
    start, iterations = frame.start, frame.iterations
    assert start is not None and start.foreground is mask and iterations == 5  # never more than anew
    follower.end(Iteration(5, mask))
    assert follower.begin(image, (3,), Region(0, 0, 50, 50)) == Beginning(5)


def test_a_bad_plane_is_a_sentence(model: LoadedModel, movie: np.ndarray) -> None:
    broken = movie.astype(np.float32)
    broken[1] = np.nan
    with pytest.raises(ImageError, match="no finite number"):
        list(segment_planes(broken, model, follow_time=True))
