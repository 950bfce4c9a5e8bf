"""How long training takes."""

import pytest

from napari_runet.training import budget as module
from napari_runet.training.budget import Budget


def test_preparing_is_not_taken_for_the_time_of_a_step(monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    budget = Budget(60, 30)
    assert budget.left is None
    now = 100.0  # images were read, patches cut, the old model measured
    budget.count()
    assert budget.left is None  # one step says nothing of how long the next one takes
    now = 102.0
    budget.count()
    assert budget.left == pytest.approx(28 * 2)
    now = 104.0
    budget.count()
    assert budget.left == pytest.approx(27 * 2)


def test_a_time_is_counted_down(monkeypatch):
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    budget = Budget(60)
    now = 20.0
    assert budget.left == pytest.approx(40)
    now = 70.0
    assert budget.left == 0
