"""Convolutions, pooling, normalisation and dropout as arrays have them: layouts, parts, training, several results, wrong input."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.opencl.counters import counters
from clnd.ops import convolution, direct, winograd
from measures import CONTEXTS, counted, fill_with_nan, zones_untouched
from ops.cases_networks import along

portability = pytest.mark.portability


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


@pytest.fixture
def draw(generator, context):
    return lambda *shape: nd.array(generator.normal(size=shape), ctx=context)


# Layouts.


def channels_last(array):
    return nd.transpose(array, axes=(0, *range(2, array.ndim), 1))


@pytest.mark.parametrize(("name", "weight"), [("Convolution", (6, 2, 3, 2)), ("Deconvolution", (4, 3, 3, 2))])
def test_channels_may_come_last(name, weight, draw):
    data, weight = draw(2, 4, 5, 4), draw(*weight)
    attributes = {"kernel": (3, 2), "num_filter": 6, "num_group": 2, "no_bias": True}
    first = getattr(nd, name)(data, weight, **attributes, layout="NCHW")
    last = getattr(nd, name)(channels_last(data), channels_last(weight), **attributes, layout="NHWC")
    np.testing.assert_allclose(last.asnumpy(), channels_last(first).asnumpy(), rtol=1e-5, atol=1e-5)


def test_pooling_with_channels_last(draw):
    data = draw(2, 4, 5, 4)
    first = nd.Pooling(data, kernel=(3, 2), pool_type="avg")
    last = nd.Pooling(channels_last(data), kernel=(3, 2), pool_type="avg", layout="NHWC")
    np.testing.assert_array_equal(last.asnumpy(), channels_last(first).asnumpy())


# Convolutions and pooling.


@portability
def test_a_batch_is_convolved_in_parts(draw, monkeypatch):
    data, weight = draw(5, 2, 4, 3), draw(3, 2, 2, 2)

    def gradients():
        data.attach_grad()
        weight.attach_grad()
        with autograd.record():
            result = nd.Convolution(data, weight, kernel=(2, 2), num_filter=3, no_bias=True)
            total = (result * result).sum()
        total.backward()
        return [result, data.grad, weight.grad]

    whole = gradients()
    monkeypatch.setattr(convolution, "_PART", 2 * 2 * 4 * 6 * 4)  # two images
    monkeypatch.setattr(direct, "PART", 2 * 2 * 12 * 4)
    for expected, got in zip(whole, gradients(), strict=True):
        np.testing.assert_allclose(got.asnumpy(), expected.asnumpy(), rtol=1e-5, atol=1e-5)


@portability
@pytest.mark.parametrize(
    ("data", "weight", "attributes"),
    [
        ((2, 3, 9, 37), (11, 3, 3, 3), {"pad": (1, 1)}),  # vectors that end with their rows, a tile that is not full
        ((2, 9, 7, 7), (9, 9, 3, 3), {"pad": (1, 1)}),  # rows shorter than a vector
        ((1, 5, 6, 20), (20, 5, 1, 1), {}),  # images as they are, and one long row
        ((40, 2, 12, 12), (6, 2, 5, 5), {}),  # a group of channels at a time
        ((5, 8, 13, 20), (8, 1, 3, 3), {"stride": (2, 2), "pad": (1, 1), "num_group": 8}),  # zeros between the numbers of places
        ((2, 6, 19, 21), (34, 6, 4, 3), {"stride": (2, 3), "dilate": (1, 2), "pad": (0, 5)}),  # phases of several windows
        ((2, 9, 6, 70), (12, 9, 3, 3), {"stride": (2, 2), "pad": (1, 1)}),  # phases stored between one another
        ((2, 4, 9, 18), (12, 2, 2, 2), {"stride": (3, 3), "num_group": 2}),  # elements that no window sees
        ((2, 3, 2500), (2, 3, 7), {"stride": (2,), "dilate": (3,), "pad": (4,)}),  # a row in several bands
        ((5, 4, 3, 5, 17), (8, 1, 2, 2, 3), {"pad": (1, 0, 1), "num_group": 4}),  # small groups of three axes
        ((1, 2, 5, 6, 17), (3, 2, 3, 2, 3), {"stride": (2, 1, 1), "pad": (1, 0, 2)}),
    ],
    ids=str,
)
def test_convolutions_are_those_of_products_of_matrices(data, weight, attributes, draw, monkeypatch):
    fill_with_nan(monkeypatch)  # what was not written counts for nothing
    data, bias, weight = draw(*data), draw(weight[0]), draw(*weight)

    def results():
        for array in (data, weight, bias):
            array.attach_grad()
        with autograd.record():
            result = nd.Convolution(data, weight, bias, kernel=weight.shape[2:], num_filter=weight.shape[0], **attributes)
            total = (result * result).sum()
        total.backward()
        return [x.asnumpy() for x in (result, data.grad, weight.grad, bias.grad)]

    given = results()
    monkeypatch.setattr(direct, "fits", lambda *given: False)
    for got, expected in zip(given, results(), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=2e-5 * np.abs(expected).max())


@portability
def test_convolutions_of_new_shapes_compile_nothing(draw, monkeypatch):
    monkeypatch.setattr(direct, "tile_of", lambda *given: (4, 3))  # else one of a few
    monkeypatch.setattr(winograd, "fits", lambda job: False)  # as this form is, which depends on sizes
    monkeypatch.setattr(direct.Tiling, "of", staticmethod(direct.Tiling.of.__wrapped__))

    def convolve(size, channels, kernel, pad):
        data, weight = draw(3, channels, size, size), draw(8, channels, kernel, kernel)
        data.attach_grad()
        weight.attach_grad()
        with autograd.record():
            result = nd.Convolution(data, weight, kernel=(kernel, kernel), pad=(pad, pad), num_filter=8, no_bias=True)
        result.backward()
        nd.waitall()

    convolve(32, 8, 3, 1)
    before = counters.compilations + counters.loaded
    convolve(48, 8, 5, 2)
    convolve(32, 16, 3, 1)
    assert counters.compilations + counters.loaded == before


@portability
def test_the_first_of_several_maxima_gets_the_gradient(context):
    data = nd.array([[[1, 1, 2, 2, 2, 0, 0, 0]]], ctx=context)
    data.attach_grad()
    with autograd.record():
        result = nd.Pooling(data, kernel=(3,), stride=(2,), pad=(1,))
    result.backward(nd.array([[[1, 2, 3, 4]]], ctx=context))
    np.testing.assert_array_equal(data.grad.asnumpy(), [[[1, 0, 2, 3, 0, 4, 0, 0]]])


@portability
def test_the_largest_of_nothing_and_of_nan(context):
    data = nd.array([[[1, np.nan, 3, 2, 7]]], ctx=context)
    result = nd.Pooling(data, kernel=(2,), stride=(3,), pad=(2,), pooling_convention="full")
    np.testing.assert_array_equal(result.asnumpy(), [[[-np.inf, np.nan, 7, -np.inf]]])


def test_the_gradient_of_a_root_of_zeros_is_zero(context):
    data = nd.zeros((1, 1, 4), ctx=context)
    data.attach_grad()
    with autograd.record():
        result = nd.Pooling(data, kernel=(2,), pool_type="lp", p_value=2)
    result.backward()
    np.testing.assert_array_equal(data.grad.asnumpy(), np.zeros((1, 1, 4)))


# Normalisation.


@portability
@pytest.mark.parametrize("axis", [1, -1])
def test_batch_norm_in_training_and_out_of_it(axis, draw, context):
    data = draw(3, 4, 5) * 3 + 100
    n = data.shape[axis]
    gamma, beta, mean, var = draw(n), draw(n), nd.zeros(n, ctx=context), nd.ones(n, ctx=context)
    attributes = {"eps": 0.01, "fix_gamma": False, "axis": axis, "output_mean_var": True}
    with autograd.record():
        result, found, root = nd.BatchNorm(data, gamma, beta, mean, var, momentum=0.75, **attributes)
    x = data.asnumpy().astype(float)
    others = tuple(i for i in range(3) if i != axis % 3)
    scale, shift = (along(array.asnumpy(), axis, 3) for array in (gamma, beta))
    expected = (x - x.mean(others, keepdims=True)) / np.sqrt(x.var(others, keepdims=True) + 0.01) * scale + shift
    np.testing.assert_allclose(result.asnumpy(), expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.asnumpy(), x.mean(others), rtol=1e-6)
    np.testing.assert_allclose(root.asnumpy(), 1 / np.sqrt(x.var(others) + 0.01), rtol=1e-5)
    np.testing.assert_allclose(mean.asnumpy(), 0.25 * x.mean(others), rtol=1e-6)
    np.testing.assert_allclose(var.asnumpy(), 0.75 + 0.25 * x.var(others), rtol=1e-5)
    moved = mean.asnumpy(), var.asnumpy()
    result = nd.BatchNorm(data, gamma, beta, mean, var, **attributes)[0]
    expected = (x - along(moved[0], axis, 3)) / np.sqrt(along(moved[1], axis, 3) + 0.01) * scale + shift
    np.testing.assert_allclose(result.asnumpy(), expected, rtol=1e-4)
    np.testing.assert_array_equal(mean.asnumpy(), moved[0])


@portability
@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("shape", [(5, 3, 7, 9), (2, 4, 100), (6, 2, 3)], ids=str)
def test_batch_norm_moves_the_averages_and_has_gradients_by_kernels_and_by_parts(shape, fixed, draw, context):
    data, head, n = draw(*shape) + 2, draw(*shape), shape[1]
    gamma, beta, mean, var = draw(n), draw(n), nd.zeros(n, ctx=context), nd.ones(n, ctx=context)
    found, moved = [], []
    for parts in (False, True):
        arrays = [array.copy() for array in (data, gamma, beta)]
        averages = mean.copy(), var.copy()
        for array in arrays:
            array.attach_grad()
        with autograd.record():
            result = nd.BatchNorm(*arrays, *averages, eps=0.01, fix_gamma=fixed, output_mean_var=parts)
        result = result[0] if parts else result
        result.backward(head)
        found.append([result.asnumpy(), *(array.grad.asnumpy() for array in arrays)])
        moved.append([array.asnumpy() for array in averages])
    for got, expected in zip(found[0] + moved[0], found[1] + moved[1], strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_layer_is_normalised_by_one_kernel_and_back_by_two(draw):
    data, gamma, beta, head = arrays = draw(300, 70), draw(70), draw(70), draw(300, 70)
    for array in arrays:
        array.attach_grad()
        array.grad.wait_to_read()
    with engine.eager(False), counted() as counts:
        nd.LayerNorm(data, gamma, beta).wait_to_read()
    assert counts.launches == 1
    for function, given, launches in ((nd.LayerNorm, (data, gamma, beta), 3), (nd.softmax, (data,), 2)):
        with engine.eager(False), counted() as counts:
            with autograd.record():
                result = function(*given)
            result.backward(head)
            data.grad.wait_to_read()
        assert counts.launches == launches


@portability
@pytest.mark.parametrize("length", [1, 3, 10, 16, 17, 31, 50, 67, 130])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_row_of_any_length_gives_the_same_wherever_it_stands(length, dtype, generator, context):
    row, head, gamma = (generator.normal(size=length).astype(dtype).astype(float) for _ in range(3))
    powers = np.exp(row - row.max())
    shares, deviation, middle = powers / powers.sum(), np.sqrt(row.var() + 1e-5), row - row.mean()
    flow, normal = head * gamma, middle / deviation
    expected = {
        "softmax": (shares, (head - (head * shares).sum()) * shares),
        "log_softmax": (np.log(shares), head - shares * head.sum()),
        "LayerNorm": (normal * gamma + gamma, (flow - flow.mean() - normal * (flow * normal).mean()) / deviation),
    }
    for name, both in expected.items():
        data, heads, scale = (
            nd.array(np.tile(x, shape), ctx=context, dtype=dtype) for x, shape in ((row, (37, 1)), (head, (37, 1)), (gamma, 1))
        )
        data.attach_grad()
        with autograd.record():
            result = getattr(nd, name)(data, *[scale] * 2 if name == "LayerNorm" else [])
        result.backward(heads)
        for got, wanted in zip((result.asnumpy(), data.grad.asnumpy()), both, strict=True):
            np.testing.assert_array_equal(got, np.tile(got[0], (37, 1)), name)
            np.testing.assert_allclose(got[0], wanted, rtol=1e-5 if dtype == "float32" else 1e-2, atol=1e-5 if dtype == "float32" else 1e-2)


def test_a_fixed_gamma_is_one_and_gets_no_gradient(draw, context):
    data, gamma = draw(4, 2), draw(2)
    gamma.attach_grad()
    data.attach_grad()
    mean, var = nd.zeros(2, ctx=context), nd.ones(2, ctx=context)
    with autograd.record():
        result = nd.BatchNorm(data, gamma, nd.zeros(2, ctx=context), mean, var, eps=0, use_global_stats=True)
    result.backward()
    np.testing.assert_array_equal(result.asnumpy(), data.asnumpy())
    np.testing.assert_array_equal(data.grad.asnumpy(), np.ones((4, 2)))
    np.testing.assert_array_equal(gamma.grad.asnumpy(), [0, 0])


def test_means_and_roots_are_written_where_they_shall_be(draw, context):
    data, ones, zeros = draw(2, 4), nd.ones(4, ctx=context), nd.zeros(4, ctx=context)
    out = [nd.zeros(shape, ctx=context) for shape in ((2, 4), (2, 1), (2, 1))]
    nd.LayerNorm(data, ones, zeros, output_mean_var=True, out=out)
    x = data.asnumpy()
    np.testing.assert_allclose(out[1].asnumpy(), x.mean(1, keepdims=True), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out[2].asnumpy(), np.sqrt(x.var(1, keepdims=True) + 1e-5), rtol=1e-5)
    ones, zeros = nd.ones(2, ctx=context), nd.zeros(2, ctx=context)
    found = nd.GroupNorm(data.reshape((2, 4, 1)), ones, zeros, num_groups=2, output_mean_var=True)
    assert [array.shape for array in found] == [(2, 4, 1), (2, 2), (2, 2)]
    np.testing.assert_allclose(found[1].asnumpy(), x.reshape(2, 2, 2).mean(2), rtol=1e-5, atol=1e-6)


# Dropout and random slopes.


@portability
def test_dropout_drops_and_scales_in_training_alone(context):
    data = nd.ones((50, 40), ctx=context)
    np.testing.assert_array_equal(nd.Dropout(data).asnumpy(), data.asnumpy())
    for always in (False, True):
        with autograd.predict_mode() if always else autograd.train_mode():
            found = nd.Dropout(data, p=0.2, mode="always" if always else "training").asnumpy()
        assert set(np.unique(found)) == {np.float32(0), np.float32(1.25)}
        assert abs(np.mean(found == 0) - 0.2) < 0.05
    assert nd.Dropout(data, p=1, mode="always").asnumpy().max() == 0


@portability
def test_dropout_drops_the_same_again_on_the_way_back(draw):
    data = draw(6, 5)
    data.attach_grad()
    with autograd.record():
        result = nd.Dropout(data * data, p=0.5)
        (slope,) = autograd.grad([result], [data], create_graph=True)
        assert nd.Dropout(data).asnumpy().tolist() != result.asnumpy().tolist()
    slope.backward()
    kept = result.asnumpy() != 0
    np.testing.assert_allclose(result.asnumpy(), np.where(kept, 2 * data.asnumpy() ** 2, 0), rtol=1e-6)
    np.testing.assert_allclose(slope.asnumpy(), np.where(kept, 4 * data.asnumpy(), 0), rtol=1e-6)
    np.testing.assert_array_equal(data.grad.asnumpy(), np.where(kept, 4, 0))


def test_dropout_along_axes_and_from_a_seed(context):
    found = []
    for _ in range(2):
        mx.random.seed(5)
        found.append(nd.Dropout(nd.ones((8, 3, 9), ctx=context), mode="always", axes=(0, 1)).asnumpy())
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], np.broadcast_to(found[0][:1, :1], (8, 3, 9)))
    assert len(np.unique(found[0])) == 2


def test_random_slopes_are_drawn_in_training(context):
    data = nd.full((1000,), -1.0, ctx=context)
    data.attach_grad()
    with autograd.record():
        result = nd.LeakyReLU(data, act_type="rrelu", lower_bound=0.25, upper_bound=0.5)
    result.backward()
    slopes = -result.asnumpy()
    assert slopes.min() >= 0.25
    assert slopes.max() < 0.5
    assert len(np.unique(slopes)) > 900
    np.testing.assert_array_equal(data.grad.asnumpy(), slopes)
    np.testing.assert_allclose(nd.LeakyReLU(data, act_type="rrelu").asnumpy(), -0.2295, rtol=1e-6)


def test_exponential_rectifiers_do_not_overflow_on_the_way_back(context):
    data = nd.array([1e4, -1e4, 0], ctx=context)
    data.attach_grad()
    with autograd.record():
        result = nd.LeakyReLU(data, act_type="elu", slope=0.5)
    result.backward()
    np.testing.assert_array_equal(result.asnumpy(), [1e4, -0.5, 0])
    np.testing.assert_array_equal(data.grad.asnumpy()[:2], [1, 0])


# Wrong input.


@pytest.mark.parametrize(
    ("name", "shapes", "attributes", "says"),
    [
        ("im2col", [(1, 2, 3, 3)], {"kernel": (4, 4)}, "exceeds"),
        ("im2col", [(1, 2, 3, 3)], {"kernel": (2,)}, "kernel"),
        ("im2col", [(1, 2, 3, 3)], {"kernel": (2, 2), "stride": (0, 1)}, "stride"),
        ("im2col", [(1, 2)], {"kernel": (2,)}, "axes"),
        ("col2im", [(1, 8, 5)], {"output_size": (3, 3), "kernel": (2, 2)}, "(1, 8, 5)"),
        ("Convolution", [(1, 2, 3), (3, 2, 2)], {"kernel": (2,), "num_filter": 3}, "bias"),
        ("Convolution", [(1, 2, 3), (3, 2, 2), (2,)], {"kernel": (2,), "num_filter": 3}, "(2,)"),
        ("Convolution", [(1, 2, 3), (3, 1, 2)], {"kernel": (2,), "num_filter": 3, "no_bias": True}, "(3, 2, 2)"),
        ("Convolution", [(1, 2, 3), (3, 1, 2)], {"kernel": (2,), "num_filter": 3, "num_group": 2, "no_bias": True}, "num_group"),
        ("Convolution", [(1, 2, 3), (3, 2, 2)], {"kernel": (2,), "num_filter": 3, "no_bias": True, "layout": "NHWC"}, "layout"),
        ("Deconvolution", [(1, 2, 3), (2, 3, 2)], {"kernel": (2,), "num_filter": 3, "adj": (1,)}, "adj"),
        ("Deconvolution", [(1, 2, 3), (2, 3, 2)], {"kernel": (2,), "num_filter": 3, "target_shape": (9,)}, "target_shape"),
        ("Deconvolution", [(1, 2, 3), (2, 3, 2)], {"kernel": (2,), "num_filter": 3, "pad": (2,)}, "nothing is left"),
        ("Pooling", [(1, 2, 3)], {"kernel": (2,), "pool_type": "min"}, "pool_type"),
        ("Pooling", [(1, 2, 3)], {"kernel": (2,), "pool_type": "lp"}, "p_value"),
        ("Pooling", [(1, 2, 3)], {"kernel": (2,), "pooling_convention": "some"}, "pooling_convention"),
        ("Pooling", [(1, 2, 3)], {}, "kernel"),
        ("LayerNorm", [(2, 3), (2,), (3,)], {}, "gamma"),
        ("GroupNorm", [(2, 3, 1), (2,), (2,)], {"num_groups": 2}, "2 groups"),
        ("InstanceNorm", [(2, 3), (3,), (3,)], {}, "(2, 3)"),
        ("L2Normalization", [(2, 3)], {"mode": "some"}, "mode"),
        ("LRN", [(1, 2, 3, 3)], {"nsize": 2}, "nsize"),
        ("BatchNorm", [(2, 3), (3,), (3,), (2,), (3,)], {}, "moving_mean"),
        ("BatchNorm", [(2, 3)] + [(3,)] * 4, {"axis": 2}, "axis"),
        ("Dropout", [(2, 3)], {"p": 1.5}, "1.5"),
        ("Dropout", [(2, 3)], {"mode": "some"}, "mode"),
        ("LeakyReLU", [(2, 3)], {"act_type": "prelu"}, "gamma"),
        ("LeakyReLU", [(2, 3), (2,)], {"act_type": "prelu"}, "gamma"),
        ("LeakyReLU", [(2, 3)], {"act_type": "some"}, "act_type"),
        ("UpSampling", [(1, 2, 3, 3), (1, 2, 4, 4)], {"scale": 2, "sample_type": "nearest"}, "(1, 2, 4, 4)"),
        ("UpSampling", [(1, 2, 3, 3)], {"scale": 2, "sample_type": "bilinear"}, "weight"),
        ("SoftmaxActivation", [(2, 3)], {"mode": "some"}, "mode"),
        ("softmin", [(2, 3)], {"use_length": True}, "use_length"),
    ],
)
def test_wrong_calls_are_refused(name, shapes, attributes, says):
    with pytest.raises(mx.MXNetError) as caught:
        getattr(nd, name)(*(nd.ones(shape) for shape in shapes), **attributes)
    assert name in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize(("size", "pad"), [(3, 4), (1, 8), (2, 15)])
def test_windows_that_reach_far_beyond_an_image_write_nothing_beyond_their_result(size, pad):
    """At some of their offsets no place sees the image."""
    with zones_untouched():
        x = nd.array([range(size)] * 2).expand_dims(0)
        x.attach_grad()
        with autograd.record():
            y = nd.Pooling(x, kernel=(2 * pad + 1,), pad=(pad,), pool_type="max")
        y.backward()
        np.testing.assert_array_equal(x.grad.asnumpy(), [[[0] * (size - 1) + [size]] * 2])


def test_a_window_of_more_channels_than_there_are_takes_no_longer():
    x = np.arange(8, dtype=np.float32).reshape(1, 2, 2, 2)
    found = nd.LRN(nd.array(x), nsize=2**31 - 1, alpha=2**31 - 1, knorm=1)
    np.testing.assert_allclose(found.asnumpy(), x * (1 + (x * x).sum(axis=1, keepdims=True)) ** -0.75, rtol=1e-5)


@pytest.mark.parametrize("name", ["Pooling", "L2Normalization", "LeakyReLU"])
def test_integers_are_refused(name):
    with pytest.raises(mx.MXNetError, match="int32"):
        getattr(nd, name)(nd.ones((1, 2, 3), dtype="int32"))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_a_wider_dtype_is_computed_in(name):
    x = nd.array([[1, 0.5, -0.25, 2]], dtype="float16")
    given = {"temperature": 1.5}
    np.testing.assert_array_equal(
        getattr(nd, name)(x, dtype="float32", **given).asnumpy(), getattr(nd, name)(x.astype("float32"), **given).asnumpy()
    )
    assert getattr(nd, name)(x.astype("float32"), dtype="float16", **given).dtype == np.float16


def test_images_that_no_place_looks_at_are_zeros():
    data, weight = nd.ones((2, 3, 4, 0)), nd.ones((3, 4, 3, 2))
    for x in (data, weight):
        x.attach_grad()
    with autograd.record():
        result = nd.Deconvolution(data, weight, kernel=(3, 2), num_filter=4)
    result.backward()
    np.testing.assert_array_equal(result.asnumpy(), np.zeros((2, 4, 6, 1)))
    assert data.grad.shape == data.shape
    np.testing.assert_array_equal(weight.grad.asnumpy(), np.zeros(weight.shape))
