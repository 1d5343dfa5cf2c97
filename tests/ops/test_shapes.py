"""Shapes and patches: what the table of operators cannot say. Values and derivatives are in cases_shapes.py and cases_networks.py."""

import numpy as np
import pytest

import clnd as mx
from clnd import nd
from measures import launches


def shapes(arrays):
    return [array.shape for array in arrays]


@pytest.mark.parametrize("method", ["expand_dims", "flatten", "squeeze"])
def test_views_in_place(method):
    arguments = (0,) if method == "expand_dims" else ()
    x = nd.zeros((1, 2))
    getattr(x, method)(*arguments)[:] = 1
    np.testing.assert_array_equal(x.asnumpy(), [[0, 0]])
    view = getattr(x, method)(*arguments, inplace=True)
    assert view.shape == getattr(nd, method)(x, *arguments).shape
    view[:] = 1
    np.testing.assert_array_equal(x.asnumpy(), [[1, 1]])


def test_mxnets_shapes():
    x = nd.zeros((2, 3, 4))
    assert nd.squeeze(nd.zeros((1, 1))).shape == nd.zeros((1, 1)).squeeze().shape == (1,)
    assert nd.squeeze(nd.zeros((1, 2)), axis=()).shape == (1, 2)
    assert nd.Reshape(x, target_shape=(4, 0)).shape == (4, 6)
    assert nd.Reshape(x, target_shape=(0, 0), keep_highest=True).shape == (2, 12)
    assert nd.moveaxis(x, [0, 1], [-1, -2]).shape == (4, 3, 2)
    assert nd.zeros((1, 2, 1)).broadcast_axes(axis=(0, 2), size=(3, 4)).shape == (3, 2, 4)
    assert nd.zeros((1, 2, 1)).broadcast_like(nd.zeros((5, 2, 7)), lhs_axes=(0, 2)).shape == (5, 2, 7)
    assert x.reshape_like(nd.zeros((4, 6))).shape == (4, 6)
    assert x.shape_array().dtype == x.size_array().dtype == np.int64


def test_parts():
    x = nd.array(np.arange(12).reshape(3, 4))
    assert nd.split(x, num_outputs=1).shape == nd.split_v2(x, 1).shape == nd.split_v2(x, ()).shape == (3, 4)
    assert shapes(nd.split(x, num_outputs=4, squeeze_axis=True)) == [(3,)] * 4
    assert shapes(nd.SliceChannel(x, 2)) == [(3, 2)] * 2
    assert shapes(nd.split_v2(x, 3, squeeze_axis=True)) == [(4,)] * 3
    parts = x.split_v2((0, 3), axis=-1)
    assert shapes(parts) == [(3, 0), (3, 3), (3, 1)]
    np.testing.assert_array_equal(parts[1].asnumpy(), x.asnumpy()[:, :3])
    out = [nd.zeros((3, 1)), nd.zeros((3, 3))]
    nd.split_v2(x, (1,), 1, out=out)
    np.testing.assert_array_equal(out[1].asnumpy(), x.asnumpy()[:, 1:])


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64"])
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((40, 33), (1, 0)), ((300, 129), (1, 0)), ((3, 17, 50), (0, 2, 1)), ((20, 3, 33), (2, 1, 0)), ((2, 16, 4, 30), (0, 2, 3, 1))],
)
def test_axes_exchanged_beside_rows_and_columns(shape, axes, dtype):
    x = (np.arange(np.prod(shape)) % 101).reshape(shape).astype(dtype)
    turned = x.transpose(axes)
    row, column = np.arange(turned.shape[-1]).astype(dtype), (np.arange(len(turned)) % 7).astype(dtype).reshape(-1, *[1] * (x.ndim - 1))
    array = nd.array(x, dtype=dtype)
    np.testing.assert_array_equal(array.transpose(axes).asnumpy(), turned)
    got = array.transpose(axes) - nd.array(row, dtype=dtype) + nd.array(column, dtype=dtype) + nd.array(turned, dtype=dtype)
    np.testing.assert_array_equal(got.asnumpy(), turned - row + column + turned)


def test_concatenate():
    x, y = nd.array([[1, 2]]), nd.array([[3, 4]])
    np.testing.assert_array_equal(nd.concatenate([x, y]).asnumpy(), [[1, 2], [3, 4]])
    np.testing.assert_array_equal(nd.concatenate([x, y], axis=1).asnumpy(), [[1, 2, 3, 4]])
    assert nd.concatenate([x], always_copy=False) is x
    assert nd.concatenate([x]) is not x


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda x: nd.split(x, num_outputs=2), "split: an axis of 3 elements cannot be split into 2 equal parts"),
        (lambda x: nd.split(x, axis=2, num_outputs=2, squeeze_axis=True), "split: squeeze_axis needs parts of one element"),
        (lambda x: nd.split_v2(x, 0), "split_v2: an axis of 2 elements cannot be split into 0"),
        (lambda x: nd.split_v2(x, (3, 1), axis=2), r"split_v2: the indices \(3, 1\) must be in order"),
        (lambda x: nd.split_v2(x, (1,), axis=2, squeeze_axis=True), "split_v2: squeeze_axis needs"),
        (lambda x: nd.pad(x, mode="wrap", pad_width=(0,) * 6), "pad: mode 'wrap'"),
        (lambda x: nd.pad(x, mode="edge", pad_width=(0,) * 4), "pad: pad_width"),
        (lambda x: nd.pad(x, mode="reflect", pad_width=(2, 0, 0, 0, 0, 0)), "pad: an axis of 2 elements cannot be padded by 2 and 0"),
        (lambda x: nd.pad(x, mode="constant", pad_width=(-2, -1, 0, 0, 0, 0)), "pad: pad_width .* cuts off more"),
        (lambda x: nd.pad(x[:, :0], mode="edge", pad_width=(0, 0, 1, 0, 0, 0)), "pad: an axis of 0 elements"),
        (lambda x: nd.moveaxis(x, 0, 3), "moveaxis: axis 3"),
        (lambda x: nd.moveaxis(x, [0, 0], [1, 2]), "moveaxis: source"),
        (lambda x: nd.space_to_depth(x, 2), "space_to_depth: data of shape"),
        (lambda x: nd.depth_to_space(nd.zeros((1, 3, 2, 2)), 2), "depth_to_space: axis 1"),
        (lambda x: nd.broadcast_axis(x, axis=0, size=3), "broadcast_axis: axis 0"),
        (lambda x: nd.broadcast_like(x, x, lhs_axes=(0,), rhs_axes=(1,)), "broadcast_like: axis 0"),
        (lambda x: nd.reshape_like(x, nd.zeros(5)), "reshape_like: an array of shape"),
        (lambda x: nd.reshape_like(x, x, lhs_begin=2, lhs_end=1), "reshape_like: lhs_begin 2"),
        (lambda x: nd.stack(x, x, axis=4), "stack: axis 4"),
        (lambda x: nd.concat(x, 3.0), "concat takes one array or more, and was given 3.0"),
        (lambda x: nd.tile(x, reps=-1), "tile: reps"),
        (lambda x: nd.repeat(x, repeats=-1), "repeat: repeats -1"),
        (lambda x: nd.repeat(x, repeats=1.5), "repeat: repeats must be an int, not 1.5"),
    ],
)
def test_what_is_refused(call, text):
    with pytest.raises(mx.MXNetError, match=text):
        call(nd.zeros((2, 3, 4)))


@pytest.mark.parametrize(
    ("geometry", "text"),
    [
        ({"kernel": (2, 2)}, r"kernel is \(2, 2\), but must be 1 whole number"),
        ({"kernel": 5}, r"the kernel \(5,\), dilated by \(1,\), exceeds the image \(4,\) padded by \(0,\)"),
        ({"kernel": 2, "stride": 0}, "stride is 0, but must be"),
        ({"kernel": 2, "pad": -1}, "pad is -1, but must be"),
        ({"kernel": 2.5}, "kernel is 2.5, but must be"),
    ],
)
def test_patches_that_there_are_not(geometry, text):
    with pytest.raises(mx.MXNetError, match=f"im2col: {text}"):
        nd.im2col(nd.zeros((1, 2, 4)), **geometry)
    with pytest.raises(mx.MXNetError, match=f"col2im: {text}"):
        nd.col2im(nd.zeros((1, 4, 3)), output_size=(4,), **geometry)


def test_arrays_without_patches():
    with pytest.raises(mx.MXNetError, match="im2col: data of"):
        nd.im2col(nd.zeros((2, 4)), kernel=2)
    with pytest.raises(mx.MXNetError, match=r"col2im: data of shape .* must be \(batch, channels \* 2, 3\)"):
        nd.col2im(nd.zeros((1, 2, 4)), output_size=4, kernel=2)


@pytest.mark.portability
def test_arrays_are_joined_several_in_a_launch():
    rows = [np.arange(3.0 * n).reshape(3, n) for n in (1, 17, 40, 16, 5, 33, 2, 64, 3, 9, 1, 12, 31, 7, 20, 4, 6, 48, 100)]
    arrays = [nd.array(x) for x in rows]
    arrays[2] = nd.array(rows[2].T.copy()).T  # which does not lie along rows
    arrays[4] = arrays[4] * 1  # which waits
    wide = nd.array(np.tile(rows[9], 2))
    arrays[9] = wide[:, 9:]  # rows of a wider array
    nd.waitall()
    for axis, given, expected in (
        (1, arrays, np.concatenate(rows, 1)),
        (0, [x.T for x in arrays], np.concatenate([x.T for x in rows], 0)),
        (0, [x.reshape((-1,)) for x in arrays], np.concatenate([x.reshape(-1) for x in rows])),
    ):
        np.testing.assert_array_equal(nd.concat(*given, dim=axis).asnumpy(), expected)
    large = [np.arange(4200.0).reshape(60, 70) + i for i in range(20)]  # such that several work-items share them
    lying = [nd.array(x) for x in large]
    assert launches(lambda: nd.concat(*lying, dim=0).wait_to_read()) == launches(lambda: nd.stack(*lying, axis=1).wait_to_read()) == 2
    np.testing.assert_array_equal(nd.stack(*lying, axis=1).asnumpy(), np.stack(large, 1))
    np.testing.assert_array_equal(nd.concat(*lying, dim=0).asnumpy(), np.concatenate(large, 0))


@pytest.mark.portability
@pytest.mark.parametrize("shape", [(7,), (3, 40), (2, 3, 5), (50, 16), (3, 0)], ids=str)
def test_runs_of_any_width_are_repeated(shape):
    x = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    for times in (0, 1, 3, 33):
        for axis in (None, *range(len(shape))):
            np.testing.assert_array_equal(nd.repeat(nd.array(x), repeats=times, axis=axis).asnumpy(), np.repeat(x, times, axis))
        for reps in ((times,), (times, 2), (2, 1, times, 1)):
            np.testing.assert_array_equal(nd.tile(nd.array(x), reps=reps).asnumpy(), np.tile(x, reps))
