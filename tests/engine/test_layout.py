"""Layouts against NumPy: a layout of positions is what NumPy makes of an array of positions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clnd.engine.layout import (
    Layout,
    broadcast,
    compact,
    extent,
    is_compact,
    merge,
    repeats,
    reshape,
    row_major,
    transpose,
    window,
)


@pytest.fixture(autouse=True)
def context():
    """No device is needed."""


def positions(layout: Layout) -> np.ndarray:
    """The position of each element, by the definition of a layout."""
    result = np.full(layout.shape, layout.offset)
    for axis, (n, stride) in enumerate(zip(layout.shape, layout.strides)):
        if n <= 1:
            continue  # its stride may be any, and too large for NumPy
        result += (np.arange(n) * stride).reshape((n,) + (1,) * (len(layout.shape) - axis - 1))
    return result


@st.composite
def viewed(draw):
    """A layout after some views, and the positions that NumPy has after the same views."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4).map(tuple))
    layout, array = compact(shape), np.arange(np.prod(shape, dtype=int)).reshape(shape)
    for _ in range(draw(st.integers(0, 3))):
        how = draw(st.sampled_from(["window", "transpose", "broadcast"]))
        if how == "transpose":
            axes = tuple(draw(st.permutations(range(array.ndim))))
            layout, array = transpose(layout, axes), array.transpose(axes)
        elif how == "broadcast":
            wide = tuple(draw(st.integers(1, 3)) if n == 1 else n for n in array.shape)
            wide = tuple(draw(st.lists(st.integers(1, 3), max_size=1))) + wide
            layout, array = broadcast(layout, wide), np.broadcast_to(array, wide)
        else:
            slices = [draw(st.slices(n)) for n in array.shape]
            ranges = [range(*s.indices(n)) for s, n in zip(slices, array.shape)]
            count = tuple(len(r) for r in ranges)
            layout = window(layout, tuple(r.start for r in ranges), count, tuple(r.step for r in ranges))
            array = array[(*slices, ...)]
    return layout, array


@given(viewed())
def test_views_are_those_of_numpy(pair):
    layout, array = pair
    assert layout.shape == array.shape
    np.testing.assert_array_equal(positions(layout), array)


@given(viewed(), st.data())
def test_reshape_makes_a_view_where_numpy_does(pair, data):
    layout, array = pair
    sizes, rest = [], array.size
    while rest > 1 and data.draw(st.booleans()):
        n = data.draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0]))
        sizes.append(n)
        rest //= n
    sizes.append(rest)
    shape = tuple(data.draw(st.permutations(sizes)))
    seen = reshape(layout, shape)
    expected = array.reshape(shape)
    if array.size and not np.shares_memory(array, expected):
        assert seen is None
    else:
        assert seen is not None
        assert seen.shape == shape
        np.testing.assert_array_equal(positions(seen), expected)


def test_reshape_of_one_element_and_none():
    assert reshape(Layout((1, 1), (7, 9), 3), ()) == Layout((), (), 3)
    assert reshape(compact(()), (1, 1)) is not None
    assert reshape(compact((0, 3)), (3, 0, 2)).shape == (3, 0, 2)


@given(viewed())
def test_merged_axes_walk_the_same_positions(pair):
    layout, _ = pair
    if 0 in layout.shape:
        return
    second = compact(layout.shape)
    sizes, rows = merge(layout.shape, [layout.strides, second.strides])
    for row, whole in zip(rows, (layout, second)):
        walked = positions(Layout(tuple(sizes), tuple(row), whole.offset))
        np.testing.assert_array_equal(walked.ravel(), positions(whole).ravel())
    assert 1 not in sizes
    for i in range(len(sizes) - 1):  # no pair of axes is left that could be merged
        assert any(row[i] != row[i + 1] * sizes[i + 1] for row in rows)


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        pytest.param((2, 3, 4), [(12, 4, 1)], ([24], [[1]]), id="compact"),
        pytest.param((2, 3, 4), [(12, 4, 1), (0, 0, 0)], ([24], [[1], [0]]), id="beside a scalar"),
        pytest.param((2, 3, 4), [(12, 4, 1), (4, 0, 1)], ([2, 3, 4], [[12, 4, 1], [4, 0, 1]]), id="beside a broadcast middle"),
        pytest.param((2, 3, 4), [(12, 4, 1), (0, 0, 1)], ([6, 4], [[4, 1], [0, 1]]), id="beside a row"),
        pytest.param((5, 1, 1), [(1, 9, 9)], ([5], [[1]]), id="axes of one element"),
        pytest.param((), [()], ([], [[]]), id="no axes"),
    ],
)
def test_merge(shape, strides, expected):
    assert merge(shape, strides) == expected


@given(viewed())
def test_extent_is_one_past_the_last_position(pair):
    layout, array = pair
    assert extent(layout) == (array.max() + 1 if array.size else 0)


@given(viewed())
def test_repeats_and_is_compact(pair):
    layout, array = pair
    if array.size:
        assert repeats(layout) == (len(np.unique(array)) < array.size)
        assert is_compact(layout) == bool((array.ravel() == array.min() + np.arange(array.size)).all())


def test_row_major():
    assert row_major((2, 3, 4)) == (12, 4, 1)
    assert row_major(()) == ()
