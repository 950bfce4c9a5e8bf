import json

import numpy as np
import pytest
from engine_helpers import save_tiny_model

from napari_runet.engine.arrays import read_array, write_array, write_parts
from napari_runet.engine.messages import SegmentRequest
from napari_runet.engine.segmenting import ModelCache, ProgressReport, masked, segment, summarise
from napari_runet.images.drawn import draw_fundus
from napari_runet.inference.following import Movies
from napari_runet.inference.known_planes import KnownPlanes
from napari_runet.models.store import CARD_FILE, shipped_folder
from napari_runet.settings import SegmentationSettings


class Recorder:
    def __init__(self) -> None:
        self.events = []

    def send(self, event) -> None:
        self.events.append(event)

    def stop_if_cancelled(self, request_id) -> None:
        pass


def test_progress_comes_at_most_ten_times_a_second_and_at_each_end():
    now = 0.0
    channel = Recorder()
    report = ProgressReport(channel, "a", iterations=2, clock=lambda: now)
    for iteration in (1, 2):
        for done in range(1, 101):
            now += 0.01
            report(iteration, done, 100)
        assert channel.events[-1].done < 100  # the masks come first
        report.end_iteration()
    assert 18 <= len(channel.events) <= 22
    assert [(event.iteration, event.done) for event in channel.events if event.done == 100] == [(1, 100), (2, 100)]
    for event in channel.events:
        assert event.seconds_left == pytest.approx((200 - 100 * (event.iteration - 1) - event.done) * 0.01)


def probabilities_of(classes, seed):
    logits = 2 * np.random.default_rng(seed).normal(size=(classes, 1100, 37))
    return np.exp(logits) / np.exp(logits).sum(axis=0)


@pytest.mark.parametrize("classes", [2, 4])
def test_a_summary_in_bands_is_that_of_the_whole(classes):
    before, now = probabilities_of(classes, 0), probabilities_of(classes, 1)
    mask = np.random.default_rng(2).random((1100, 37)) < 0.5
    quantised = [np.rint(255 * each[1:]).astype(np.uint8) for each in (before, now)]
    labels = [np.where(each.max(axis=0) >= 0.5, each.argmax(axis=0), 0) for each in (before, now)]
    for inside, given in ((np.ones_like(mask), None), (mask, mask)):
        confidence, changed = summarise(quantised[1], quantised[0], 0.5, given)
        assert confidence == pytest.approx(now.max(axis=0)[inside].mean(), abs=2e-3)
        if classes == 2:  # with more, rounding decides some ties
            assert changed == pytest.approx((labels[0] != labels[1])[inside].sum(), rel=0.01)
        first = summarise(quantised[1], None, 0.5, given)
        if classes == 2:
            assert first[1] == pytest.approx((labels[1] > 0)[inside].sum(), rel=0.01)
        nothing = summarise(quantised[1], quantised[1], 0.5, given)
        assert nothing == (pytest.approx(confidence), 0)


def test_what_is_outside_a_region_is_nothing(tmp_path):
    foreground = np.random.default_rng(0).integers(1, 256, (3, 1100, 37), dtype=np.uint8)
    mask = np.random.default_rng(1).random((1100, 37)) < 0.5
    for given, expected in ((None, foreground), (mask, foreground * mask)):
        file = write_parts(tmp_path / "a.npy", foreground.shape, foreground.dtype, masked(foreground, given))
        np.testing.assert_array_equal(read_array(file), expected)


def test_an_image_of_other_pixels_is_rescaled_unless_the_settings_say_not_to_and_it_is_said(tmp_path):
    small, _ = draw_fundus(seed=1, size=256, scale=3)
    image = np.kron(small, np.ones((7, 7, 1), np.uint8))
    file, folder = write_array(tmp_path / "image.npy", image), str(shipped_folder() / "retina")
    said, planes = [], KnownPlanes()
    for rescale in (True, False):
        channel = Recorder()
        channel.folder = tmp_path
        settings = SegmentationSettings(device="cpu", iterations=1, rescale=rescale)
        request = SegmentRequest(id=f"r{rescale}", folder=folder, image=file, settings=settings)
        segment(channel, ModelCache(), Movies(), planes, request)
        said.append(channel.events[-1].rescaled)
    assert said[0].startswith("Structures here are about ") and "segmented at 0." in said[0]
    assert said[1] == ""


def test_what_is_known_of_a_plane_is_taken(tmp_path, monkeypatch):
    file, folder = write_array(tmp_path / "image.npy", draw_fundus(1, 128)[0]), str(shipped_folder() / "retina")
    settings = SegmentationSettings(device="cpu", iterations=1)
    models, planes, sent = ModelCache(), KnownPlanes(), []
    for number in range(2):
        channel = Recorder()
        channel.folder = tmp_path
        request = SegmentRequest(id=f"r{number}", folder=folder, image=file, settings=settings)
        segment(channel, models, Movies(), planes, request)
        sent.append(read_array(channel.events[0].foreground))
        monkeypatch.setattr("napari_runet.inference.known_planes.pixel_size_of", None)  # not asked again
        monkeypatch.setattr("napari_runet.inference.segmenter.pixel_size_of", None)
    np.testing.assert_array_equal(*sent)


def test_the_cache_keeps_two_models_and_sees_a_changed_one(tmp_path):
    folders = [str(save_tiny_model(tmp_path / str(seed), seed=seed)) for seed in range(3)]
    cache = ModelCache()
    first = cache.get(folders[0], "cpu")
    cache.get(folders[1], "cpu")
    assert cache.get(folders[0], "cpu") is first
    cache.get(folders[2], "cpu")
    assert cache.get(folders[0], "cpu") is first
    save_tiny_model(tmp_path / "0", seed=9)
    assert cache.get(folders[0], "cpu").card.sha256 != first.card.sha256


def test_a_model_whose_card_was_changed_is_loaded_anew(tmp_path):
    folder = save_tiny_model(tmp_path / "tiny")
    cache = ModelCache()
    model = cache.get(str(folder), "cpu")
    assert cache.get(str(folder), "cpu") is model
    path = folder / CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"threshold": 0.25}))
    assert cache.get(str(folder), "cpu").card.threshold == 0.25
