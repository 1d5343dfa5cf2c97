"""What square brackets select, read, written and differentiated, against NumPy: random keys on random shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from clnd import autograd, nd

SIZES = st.integers(1, 4)


@st.composite
def keys(draw):
    """A shape, and a key for it as NumPy takes it."""
    shape = tuple(draw(st.lists(SIZES, min_size=1, max_size=4)))
    common = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    key, axis, dots = [], 0, False
    while axis < len(shape):
        n = shape[axis]
        kind = draw(st.sampled_from(["slice", "integer", "array", "array", "array", "mask", "none", "dots", "end"]))
        if kind == "slice":
            key.append(draw(st.slices(n)))
        elif kind == "integer":
            key.append(draw(st.integers(-n, n - 1)))
        elif kind == "array":
            sizes = tuple(m if draw(st.booleans()) else 1 for m in common)
            key.append(draw(arrays.arrays(draw(st.sampled_from(["int8", "int32", "int64"])), sizes, elements=st.integers(-n, n - 1))))
        elif kind == "mask":
            covered = draw(st.integers(1, len(shape) - axis))
            key.append(draw(arrays.arrays(bool, shape[axis : axis + covered])))
            axis += covered - 1
        elif kind == "none":
            key.append(None)
        elif kind == "dots" and not dots:
            key.append(Ellipsis)
            dots = True
            axis += draw(st.integers(0, len(shape) - axis)) - 1
        elif kind == "end" and not dots:
            break
        axis += kind not in ("none", "end") and not (kind == "dots" and key[-1] is not Ellipsis)
    return shape, tuple(key)


def on_device(key):
    """Every other array as an NDArray."""
    return tuple(nd.array(k, dtype=k.dtype) if isinstance(k, np.ndarray) and k.ndim and i % 2 else k for i, k in enumerate(key))


def numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@settings(max_examples=100)
@given(keys())
def test_keys_select_what_they_select_in_numpy(drawn):
    shape, key = drawn
    x = numbers(shape, 0)
    try:
        expected = np.array(x[key])
    except IndexError:
        with pytest.raises((IndexError, ValueError)):
            nd.array(x)[on_device(key)]
        return
    assume(expected.size or any(isinstance(k, np.ndarray) for k in key))
    a = nd.array(x)
    a.attach_grad()
    head = numbers(expected.shape, 1)
    with autograd.record():
        z = a[on_device(key)]
    assert z.shape in (expected.shape, expected.shape or (1,))
    np.testing.assert_array_equal(z.asnumpy().reshape(expected.shape), expected)
    z.backward(nd.array(head.reshape(z.shape)))
    gradient = np.zeros_like(x)
    np.add.at(gradient, key, head)
    np.testing.assert_allclose(a.grad.asnumpy(), gradient, atol=1e-5)


@settings(max_examples=100)
@given(keys())
def test_keys_write_what_they_write_in_numpy(drawn):
    shape, key = drawn
    x = numbers(shape, 0)
    try:
        selected = x[key].shape
    except IndexError:
        return
    v = numbers(selected, 1)
    expected = x.copy()
    expected[key] = v
    a, b, head = nd.array(x), nd.array(v), numbers(shape, 2)
    a[on_device(key)] = b
    np.testing.assert_array_equal(a.asnumpy(), expected)

    a = nd.array(x)
    a.attach_grad()
    b.attach_grad()
    with autograd.record():
        y = a * 1
        y[on_device(key)] = b * 1
        z = (y * nd.array(head)).sum() + (a * 0).sum() + (b * 0).sum()
    z.backward()
    from_source = np.full(shape, -1)  # the number of the element that was written last
    from_source[key] = np.arange(v.size).reshape(v.shape)
    np.testing.assert_array_equal(a.grad.asnumpy(), np.where(from_source < 0, head, 0))
    gradient = np.zeros(v.size, "float32")
    gradient[from_source[from_source >= 0]] = head[from_source >= 0]
    np.testing.assert_array_equal(b.grad.asnumpy().reshape(-1), gradient)


@pytest.mark.parametrize("key", [[0, 3], ([0, 1], [0, -5]), (slice(None), [4]), [[0, -4]]])
def test_indices_out_of_range_are_refused(key):
    x = nd.zeros((3, 4))
    with pytest.raises(IndexError, match="out of bounds"):
        x[key]
    with pytest.raises(IndexError, match="out of bounds"):
        x[key] = 1
    np.testing.assert_array_equal(x.asnumpy(), np.zeros((3, 4)))


def test_other_keys_are_refused():
    x = nd.zeros((3, 4))
    for key in (1.5, True, "a", nd.array(True, dtype="bool"), [[1], [1, 2]], ["a"]):
        with pytest.raises(TypeError):
            x[key]
    with pytest.raises(ValueError, match="zero"):
        x[::0]
    with pytest.raises(IndexError, match="mask"):
        x[np.ones(4, bool)]


def test_keys_that_are_equal_and_not_the_same():
    """What a key of plain numbers selects is kept; 1 == True == 1.0."""
    x = nd.array(np.arange(12.0).reshape(3, 4))
    for _ in range(2):
        np.testing.assert_array_equal(x[1].asnumpy(), [4, 5, 6, 7])
        np.testing.assert_array_equal(x[1:2, 0].asnumpy(), [4])
        np.testing.assert_array_equal(x[np.int64(1)].asnumpy(), [4, 5, 6, 7])
        for key in (True, 1.0, slice(1.0, 2), (slice(True, 2.0), 0)):
            with pytest.raises(TypeError):
                x[key]
        with pytest.raises(IndexError):
            x[3]
        with pytest.raises(IndexError):
            x[1, 4]
    np.testing.assert_array_equal(nd.zeros((4, 3))[3].asnumpy(), np.zeros(3))


def test_an_ellipsis_of_no_axes_keeps_indices_apart():
    x = np.arange(24, dtype="float32").reshape(2, 3, 4)
    for key in ((slice(None), [0, 2], Ellipsis, [1, 3]), (slice(None), 0, Ellipsis, [1, 3]), (slice(None), [0, 2], [1, 3], Ellipsis)):
        np.testing.assert_array_equal(nd.array(x)[key].asnumpy(), x[key])


def test_in_place_operators_write_repeated_indices_once():
    x = nd.zeros((4, 2))
    x[[1, 1, 3]] += 1
    np.testing.assert_array_equal(x.asnumpy(), [[0, 0], [1, 1], [0, 0], [1, 1]])


def test_floats_are_cut_off_and_the_host_dtypes_are_taken():
    x = nd.arange(4)
    np.testing.assert_array_equal(x[nd.array([1.7, -0.5])].asnumpy(), [1, 0])
    np.testing.assert_array_equal(x[np.array([1, -1], "int16")].asnumpy(), [1, 3])
    assert x[[]].shape == (0,)


def test_a_write_in_place_costs_no_new_buffer():
    x = nd.zeros((1000,))
    x.wait_to_read()
    before = id(x.value.buffer)
    x[[1, -1]] = 5
    assert id(x.value.buffer) == before
    y = x + 0
    view, kept = x[1:3], x.copy()
    x[[1, 1]] = nd.array([6, 7])
    np.testing.assert_array_equal([x.asnumpy()[1], view.asnumpy()[0], kept.asnumpy()[1], y.asnumpy()[1]], [7, 7, 5, 5])


def test_second_derivatives():
    x = nd.array([1, 2, 3])
    x.attach_grad()
    with autograd.record():
        y = x * x
        y[[0, 0]] = x[[1, 2]] ** 3  # the first of the two is written over
        first = autograd.grad((y * y)[[0, 1, 1]].sum(), [x], create_graph=True)[0]
        z = first.sum()
    z.backward()  # of x2 ** 6 + 2 * x1 ** 4
    np.testing.assert_allclose(x.grad.asnumpy(), [0, 24 * 2**2, 30 * 3**4])


def test_slice_assign():
    x = nd.zeros((3, 4))
    assert x.slice_assign(nd.ones((2, 2)), (0, 1), (2, 3), (1, 1)) is x
    x.slice_assign_scalar(7, (2, None), (1, None), (-1, 2))
    np.testing.assert_array_equal(x.asnumpy(), [[0, 1, 1, 0], [0, 1, 1, 0], [7, 0, 7, 0]])
    with pytest.raises(ValueError, match="cannot be broadcast"):
        x.slice_assign(nd.ones((3, 2)), (0, 1), (2, 3))


@pytest.mark.parametrize(
    ("name", "arrays", "attributes"),
    [
        ("diag", [(2, 3)], {"k": 5}),
        ("diag", [(2, 3)], {"axis1": 1}),
        ("slice_like", [(2, 3), (3, 3)], {}),
        ("slice_like", [(2, 3), (3,)], {}),
        ("Crop", [(1, 1, 2, 2)], {"h_w": (3, 1)}),
        ("Crop", [(1, 1, 2, 2)], {}),
        ("batch_take", [(3, 2), (2,)], {}),
        ("fill_element_0index", [(3, 2), (2,), (3,)], {}),
        ("gather_nd", [(3,), (2, 2)], {}),
        ("scatter_nd", [(3,), (1, 2)], {"shape": (4,)}),
        ("ravel_multi_index", [(3, 2)], {"shape": (2, 2)}),
        ("slice", [(3,)], {"begin": (0,), "end": (2,), "step": (0,)}),
    ],
)
def test_what_does_not_fit_is_refused(name, arrays, attributes):
    with pytest.raises(ValueError, match=f"^{name}"):
        getattr(nd, name)(*(nd.zeros(shape) for shape in arrays), **attributes)
