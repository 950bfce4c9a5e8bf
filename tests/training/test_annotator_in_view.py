"""The simulated person of the fine-tuning benchmark keeps to the budget, and vouches only for what looks right."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "annotator_in_view.py"


@pytest.fixture(scope="module")
def annotator_class():
    spec = importlib.util.spec_from_file_location("annotator_in_view", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.AnnotatorInView


def lines(size=160):
    """Truth with lines, and a mask that misses some, draws some thinner, and finds what is not there."""
    truth = np.zeros((size, size), np.uint8)
    truth[8::24] = truth[9::24] = truth[10::24] = 1
    shown = truth.copy()
    shown[10::24, :80] = 0  # thinner by one pixel: nobody sees that
    shown[56:59, 20:60] = 0
    shown[100:110, 100:110] = 1
    return truth, shown


def test_painted_pixels_are_right_and_within_the_budget(annotator_class):
    truth, shown = lines()
    for pixels in (5, 60, 200):
        unknown = np.full(truth.shape, 255, np.uint8)
        done = annotator_class(pixels=pixels, strokes=pixels // 2).correct(shown, truth, unknown)
        known = done.labels != 255
        changed = known & (done.labels != shown)
        assert 0 < changed.sum() <= done.painted <= pixels
        assert (done.labels == truth)[changed].all()
        assert done.reviewed == known.sum() - done.painted
        again = annotator_class(pixels=pixels, strokes=pixels // 2).correct(shown, truth, done.labels)
        assert (again.labels[known] == done.labels[known]).all()  # what was said stays


def test_what_is_reviewed_is_what_is_shown_and_no_visible_mistake_stays(annotator_class):
    truth, shown = lines()
    annotator = annotator_class()
    done = annotator.correct(shown, truth, np.full(truth.shape, 255, np.uint8))
    known = done.labels != 255
    assert done.reviewed > 2000
    assert not annotator.seen(np.where(known, done.labels, shown), truth)[known].any()
    left = known & (done.labels != truth)
    # what stays lies along the outlines of true lines: most of it where they are shown too thin
    rows = np.nonzero(left)[0] % 24
    assert rows.size and set(rows) <= {7, 8, 9, 10, 11} and (rows == 10).mean() > 0.8


def test_nothing_is_said_where_nobody_can_tell(annotator_class):
    truth, shown = lines()
    truth[:, 90:] = 255
    done = annotator_class().correct(shown, truth, np.full(truth.shape, 255, np.uint8))
    assert (done.labels[:, 90:] == 255).all()
