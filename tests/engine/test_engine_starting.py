"""Going on from a mask in the worker: the same as in this process, on a part of a plane."""

import warnings

import numpy as np
import pytest

import napari_runet
from napari_runet.engine.messages import Finished, IterationDone
from napari_runet.engine.requests import PlaneStart
from napari_runet.images.drawn import draw_moving_hand
from napari_runet.images.image_input import ImageInput
from napari_runet.images.normalisation import measure_range
from napari_runet.images.pixel_size import PixelSize
from napari_runet.images.prediction import Prediction
from napari_runet.images.thresholding import quantise
from napari_runet.inference.segmenter import iterate
from napari_runet.inference.starting import Start
from napari_runet.settings import SegmentationSettings


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_a_part_of_a_plane_goes_on_as_in_this_process(listen, tiny_model, photograph, scale):
    model = napari_runet.load_model(tiny_model, device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = quantise(napari_runet.segment(photograph, model).foreground[-1])
    box = slice(20, 120), slice(50, 180)
    pinned = np.full(photograph.shape[:2], 255, np.uint8)
    pinned[40:60, 70:90] = 1
    pinned[80:90, 100:120] = 0

    whole = ImageInput.from_array(photograph)
    intensities = measure_range(whole, (), 0.5, 99.5, per_channel=True)
    settings = SegmentationSettings(device="cpu", iterations=2)
    start = Start(foreground=before[:, *box], pinned=pinned[box])
    expected = [
        step.foreground
        for step in iterate(
            ImageInput.from_array(photograph[box]),
            model,
            settings,
            start=start,
            intensities=intensities,
            pixel_size=PixelSize(scale),
        )
    ]

    engine = listen()
    request = engine.client.segment(
        lambda: photograph[box],
        folder=tiny_model,
        name="photo",
        settings=settings,
        start=PlaneStart(before[:, *box], pinned[box], scale),
        intensities=lambda: intensities,
    )
    engine.wait_for(Finished, request_id=request)
    assert engine.seen[-1].scale == scale
    done = [event for event in engine.seen if isinstance(event, IterationDone)]
    assert [event.iteration for event in done] == [1, 2]
    for event, foreground in zip(done, expected, strict=True):
        found = engine.client.read(event.foreground)
        np.testing.assert_allclose(found.astype(int), np.rint(255 * foreground).astype(int), atol=1)
        np.testing.assert_array_equal(found[0][pinned[box] == 1], 255)
        np.testing.assert_array_equal(found[0][pinned[box] == 0], 0)


def test_frames_of_a_movie_go_on_as_in_this_process(listen, tiny_model):
    movie = draw_moving_hand(1, 130, 3)[0]
    model = napari_runet.load_model(tiny_model, device="cpu")
    expected = list(napari_runet.segment_planes(movie, model, follow_time=True, follow_iterations=2))

    engine, before = listen(), np.zeros(0, np.uint8)
    settings = SegmentationSettings(device="cpu", follow_time=True, follow_iterations=2)
    for frame, prediction in zip(movie, expected, strict=True):
        request = engine.client.segment(frame, folder=tiny_model, name="frame", settings=settings, chain="movie")
        finished = engine.wait_for(Finished, request_id=request)
        done = [event for event in engine.seen if isinstance(event, IterationDone) and event.id == request]
        assert finished.iterations == len(done) == len(prediction.foreground)
        assert finished.goes_on == (len(done) == 2)
        found = np.array(engine.client.read(done[-1].foreground))
        start = Prediction(before[None], 0.5, "", "") if finished.goes_on else None
        here = napari_runet.segment(frame, model, iterations=len(done), start=start, rescale=False)
        assert abs(found.astype(int) - quantise(here.foreground[-1])).max() <= 1  # another number of threads
        before = found
    alone = engine.client.segment(movie[2], folder=tiny_model, name="frame", settings=settings)
    assert not engine.wait_for(Finished, request_id=alone).goes_on
