"""Figures of merit against scikit-learn, naive loops, and cases worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import label
from skimage.morphology import skeletonize
from sklearn import metrics as sklearn_metrics
from sklearn.calibration import calibration_curve

from napari_runet.training import metrics

SIDE = st.integers(1, 9)


@st.composite
def two_masks(draw):
    shape = (draw(SIDE), draw(SIDE))
    return draw(hnp.arrays(bool, shape)), draw(hnp.arrays(bool, shape))


@given(two_masks())
@settings(max_examples=40, deadline=None)
def test_overlap_is_scikit_learns(masks):
    a, b = masks
    found = metrics.overlap(a, b)
    flat = b.ravel(), a.ravel()
    expected = {
        "dice": sklearn_metrics.f1_score(*flat, zero_division=np.nan),
        "iou": sklearn_metrics.jaccard_score(*flat, zero_division=0) if (a | b).any() else np.nan,
        "precision": sklearn_metrics.precision_score(*flat, zero_division=np.nan),
        "recall": sklearn_metrics.recall_score(*flat, zero_division=np.nan),
    }
    for name, value in expected.items():
        assert found[name] is None if math.isnan(value) else found[name] == pytest.approx(value), name


def test_overlap_of_several_classes_is_scikit_learns_over_the_foreground():
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(0, 5, (2, 40, 30)).astype(np.uint8)
    found = metrics.overlap(predicted, truth)
    options = {"labels": [1, 2, 3, 4], "average": "micro"}
    flat = truth.ravel(), predicted.ravel()
    assert found["dice"] == pytest.approx(sklearn_metrics.f1_score(*flat, **options))
    assert found["iou"] == pytest.approx(sklearn_metrics.jaccard_score(*flat, **options))
    assert found["precision"] == pytest.approx(sklearn_metrics.precision_score(*flat, **options))
    assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(*flat, **options))


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
@settings(max_examples=20, deadline=None)
def test_class_means_are_scikit_learns(seed, classes):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, 200)]).astype(np.uint8)
    predicted = np.concatenate([np.arange(classes), rng.integers(0, classes, 200)]).astype(np.uint8)
    confusion = metrics.confusion_matrix(predicted, truth, classes)
    np.testing.assert_array_equal(confusion, sklearn_metrics.confusion_matrix(truth, predicted))
    means = metrics.class_means(confusion)
    assert means["miou"] == pytest.approx(sklearn_metrics.jaccard_score(truth, predicted, average="macro"))
    assert means["mprec"] == pytest.approx(sklearn_metrics.precision_score(truth, predicted, average="macro"))
    assert means["mrec"] == pytest.approx(sklearn_metrics.recall_score(truth, predicted, average="macro"))
    assert means["mf1"] == pytest.approx(sklearn_metrics.f1_score(truth, predicted, average="macro"))


def test_a_class_that_is_nowhere_is_left_out_of_the_means():
    means = metrics.class_means(np.array([[3, 1, 0], [1, 3, 0], [0, 0, 0]]))
    assert means == {"miou": pytest.approx(0.6), "mprec": 0.75, "mrec": 0.75, "mf1": 0.75}
    assert set(metrics.class_means(np.zeros((2, 2), np.int64)).values()) == {None}


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_auc_is_scikit_learns_with_and_without_ties(seed, levels):
    rng = np.random.default_rng(seed)
    truth = rng.random(60) < 0.3
    truth[:2] = True, False
    scores = (rng.integers(0, levels, 60) / levels).astype(np.float32)
    assert metrics.area_under_curve(scores, truth) == pytest.approx(sklearn_metrics.roc_auc_score(truth, scores))


def test_auc_of_one_class_is_undefined():
    assert metrics.area_under_curve(np.ones(3, np.float32), np.ones(3, bool)) is None
    assert metrics.area_under_curve(np.ones(0, np.float32), np.ones(0, bool)) is None


@given(two_masks(), st.sampled_from([0.0, 1.0, 1.5, 3.0]))
@settings(max_examples=40, deadline=None)
def test_relaxed_figures_are_those_of_a_naive_loop(masks, pixels):
    predicted, truth = masks

    def share(of, among):
        points, others = np.argwhere(of), np.argwhere(among)
        near = [any(math.dist(p, q) <= pixels for q in others) for p in points]
        return sum(near) / len(near) if near else None

    found = metrics.relaxed(predicted, truth, pixels)
    precision, recall = share(predicted, truth), share(truth, predicted)
    assert found["relaxed_precision"] == precision
    assert found["relaxed_recall"] == recall
    if precision and recall:
        assert found["relaxed_f1"] == pytest.approx(2 / (1 / precision + 1 / recall))


def test_cldice_of_a_line_is_about_its_course_not_its_width():
    thin, thick, half = (np.zeros((40, 40), bool) for _ in range(3))
    thin[20, 5:35] = thick[18:23, 5:35] = half[20, 5:20] = True
    assert metrics.centreline_dice(thin, thick) > 0.95  # Dice is 0.5; the ends of a thick skeleton bend
    assert metrics.centreline_dice(half, thin) == pytest.approx(2 / 3)  # all of it right, half of it found
    assert metrics.centreline_dice(np.zeros_like(thin), thin) is None


@given(two_masks())
@settings(max_examples=40, deadline=None)
def test_betti0_error_and_cldice_are_those_of_scikit_image_and_scikit_learn(masks):
    a, b = masks
    assert metrics.betti0_error(a, b) == abs(label(a, connectivity=2).max() - label(b, connectivity=2).max())
    bones = skeletonize(a), skeletonize(b)
    shares = [sklearn_metrics.recall_score(*(m.ravel() for m in pair), zero_division=np.nan)
              for pair in ((bones[0], b), (bones[1], a))]  # fmt: skip
    found = metrics.centreline_dice(a, b)
    if any(math.isnan(share) for share in shares):
        assert found is None
    else:
        assert found == pytest.approx(2 * math.prod(shares) / sum(shares) if sum(shares) else 0)


def test_betti0_error_counts_pieces_with_corners_touching():
    one, three = np.eye(6, dtype=bool), np.zeros((6, 6), bool)
    three[0, 0] = three[3, 3] = three[5, 0] = True
    assert metrics.betti0_error(one, three) == 2
    assert metrics.betti0_error(one, one) == metrics.betti0_error(one & False, one & False) == 0


def test_calibration_error_over_images_is_that_of_scikit_learns_curve():
    rng = np.random.default_rng(0)
    parts = [(rng.random(500, np.float32), rng.random(500) < 0.4) for _ in range(3)]
    calibration = metrics.Calibration(bins=10)
    for probabilities, truth in parts:
        one = metrics.Calibration(bins=10)
        one.add(probabilities, truth)
        calibration = calibration + one
    p, y = (np.concatenate(each) for each in zip(*parts, strict=True))
    positives, confidence = calibration_curve(y, p, n_bins=10)
    share = np.histogram(p, bins=10, range=(0, 1))[0] / p.size
    assert calibration.error() == pytest.approx(float((share * np.abs(positives - confidence)).sum()), rel=1e-4)
    assert metrics.Calibration().error() is None


def test_the_bootstrap_interval_is_near_the_normal_one_and_repeats():
    values = list(np.random.default_rng(1).normal(0.8, 0.1, 200))
    low, high = metrics.bootstrap_interval(values)
    error = 1.96 * np.std(values) / np.sqrt(len(values))
    assert low == pytest.approx(np.mean(values) - error, abs=0.003)
    assert high == pytest.approx(np.mean(values) + error, abs=0.003)
    assert metrics.bootstrap_interval(values) == (low, high)
    assert metrics.bootstrap_interval([0.5, None]) is None


def test_certain_probabilities_are_counted_in_the_last_bin():
    calibration = metrics.Calibration()
    calibration.add(np.array([1, 1, 1, 0.935, 0], np.float32), np.array([True, True, False, True, True]))
    # the first four share the last of 15 bins: 3.935 were expected of them, 3 came; of the other none, and 1 came
    assert calibration.error() == pytest.approx((0.935 + 1) / 5)


def test_a_road_may_be_off_by_three_pixels():
    truth, near, far = np.zeros((3, 9, 20), bool)
    truth[1], near[4], far[5] = True, True, True
    assert metrics.relaxed(near, truth) == {"relaxed_precision": 1, "relaxed_recall": 1, "relaxed_f1": 1}
    assert metrics.relaxed(far, truth) == {"relaxed_precision": 0, "relaxed_recall": 0, "relaxed_f1": 0}


def test_two_values_have_an_interval():
    assert metrics.bootstrap_interval([0.25, None, 0.75]) == (0.25, 0.75)
