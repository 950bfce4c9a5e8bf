import numpy as np
import pytest
from engine_helpers import save_tiny_model

from napari_runet.engine.segmenting import ModelCache, ProgressReport, summarise


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
    assert 18 <= len(channel.events) <= 22
    assert [(event.iteration, event.done) for event in channel.events if event.done == 100] == [(1, 100), (2, 100)]
    for event in channel.events:
        assert event.seconds_left == pytest.approx((200 - 100 * (event.iteration - 1) - event.done) * 0.01)


def test_a_summary_in_bands_is_that_of_the_whole():
    logits = np.random.default_rng(0).normal(size=(4, 1100, 37))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=0)
    quantised, confidence, labels = summarise(probabilities[1:].astype(np.float32), 0.5)
    assert np.abs(quantised / 255 - probabilities[1:]).max() <= 0.5 / 255 + 1e-6
    assert confidence == pytest.approx(probabilities.max(axis=0).mean(), abs=1e-6)
    sure = np.sort(probabilities, axis=0)[-1] - np.sort(probabilities, axis=0)[-2] > 0.2
    clear = sure & ((probabilities[0] > 0.5) | (labels > 0))
    np.testing.assert_array_equal(labels[clear], probabilities.argmax(axis=0)[clear])


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
