from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image

from napari_runet.plugin.plane_queue import PlaneJob, PlaneQueue, distance, planes_meant
from napari_runet.plugin.reading import read_layer

SHOWN = (2, 1)


@pytest.mark.parametrize(
    "scope,ranges,planes",
    [
        ("shown", {"T": (0, 1)}, [SHOWN]),
        ("all", {"T": (0, 1)}, [(t, z) for t in range(4) for z in range(3)]),
        ("range", {}, [(t, z) for t in range(4) for z in range(3)]),
        ("range", {"T": (1, 2), "Z": (2, 2)}, [(1, 2), (2, 2)]),
        ("range", {"T": (3, 2), "Z": (0, 0)}, [(2, 0), (3, 0)]),
        ("range", {"T": (-5, 99), "Z": (7, 9)}, [(0, 2), (1, 2), (2, 2), (3, 2)]),
    ],
)
def test_which_planes_are_meant(scope: str, ranges: dict[str, tuple[int, int]], planes: list[tuple[int, ...]]) -> None:
    assert planes_meant(scope, SHOWN, "TZ", (4, 3), ranges) == planes


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), unique=True), st.tuples(st.just(4), st.just(5)))
def test_near_planes_come_first_and_later_ones_before_earlier_ones(
    planes: list[tuple[int, int]], centre: tuple[int, int]
) -> None:
    ordered = sorted(planes, key=lambda plane: distance(plane, centre))
    apart = [abs(t - 4) + abs(z - 5) for t, z in ordered]
    assert apart == sorted(apart)
    assert [t for t, z in sorted([(t, 5) for t in range(10)], key=lambda p: distance(p, centre))][:4] == [4, 5, 3, 6]


@pytest.fixture
def job() -> Callable[..., PlaneJob]:
    image = Image(np.zeros((12, 20, 30)), name="movie")

    def make(plane: int, of: Image = image, chain: str = "") -> PlaneJob:
        source = read_layer(of, (0.0,) * of.ndim)
        return PlaneJob(of, replace(source, index=(plane,) if source.index else ()), lambda: None, chain)

    return make


def test_the_queue_follows_what_is_on_show_but_not_against_time(job: Callable[..., PlaneJob]) -> None:
    queue = PlaneQueue([job(plane) for plane in range(12)])
    assert [queue.take(lambda image: (5,)).source.index[0] for _ in range(4)] == [5, 6, 4, 7]
    assert queue.take(lambda image: (11,)).source.index == (11,)
    assert queue.take(lambda image: None).source.index == (0,)
    chained = PlaneQueue([job(plane, chain="one") for plane in range(3)])
    assert [chained.take(lambda image: (2,)).source.index[0] for _ in range(3)] == [0, 1, 2]
    assert chained.take(lambda image: (2,)) is None


def test_what_is_told_of_many_planes(job: Callable[..., PlaneJob]) -> None:
    queue = PlaneQueue([job(plane) for plane in range(4)], ["A problem."], begin=-1e9)
    first = queue.take(lambda image: None)
    assert (first.name, queue.place(queue.begun)) == ("movie, frame 1", "1 of 4: ")
    assert queue.seconds_left(first, 0.5, 2.0) == pytest.approx(2 + 3 * 4)
    assert queue.summary() == ""
    queue.finish(first, complete=True)
    second = queue.take(lambda image: None)
    assert queue.fraction(second, 0.5) == pytest.approx(1.5 / 4)
    assert queue.seconds_left(second, 0.5, 2.0) == pytest.approx(1e9 / 1.5 * 2.5, rel=1e-3)
    assert queue.summary().startswith("movie: 1 of 4 frames segmented in ")
    queue.problems += ["Another."] * 9 + [f"Plane {n}." for n in range(5)]
    assert queue.told_problems() == ["A problem.", "Another.", "Plane 0.", "The same or the like of 4 more."]

    other = Image(np.zeros((20, 30)), name="photo")
    both = PlaneQueue([job(0), job(0, of=other)])
    assert both.drop(other) and not both.drop(other)
    assert both.take(lambda image: (0,)).image is not other and both.take(lambda image: None) is None
