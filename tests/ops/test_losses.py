"""Losses that carry their own gradient: what they give, the gradient that they claim, and the derivative of that; conventions of CTC."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from measures import CONTEXTS, launches
from ops.gradients import check_gradients


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


def differentiated(name, data, *others, head=None, **attributes):
    """The output and the gradient that arrives at `data`, and that the others get none."""
    arrays = [nd.array(x) for x in (data, *others)]
    for x in arrays:
        x.attach_grad()
    with autograd.record():
        z = getattr(nd, name)(*arrays, **attributes)
    z.backward(nd.full(z.shape, 7) if head is None else nd.array(head))
    for x in arrays[1:]:
        assert not x.grad.asnumpy().any()
    return z.asnumpy(), arrays[0].grad.asnumpy()


def softmax(data, axis):
    powers = np.exp(data - data.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def ones_at(label, classes, axis):
    return np.moveaxis(np.eye(classes)[label.astype(int)], -1, axis)


# --- softmax ---

LABEL = np.array([1, 0, 3.0])


@pytest.mark.parametrize(
    ("attributes", "scale", "ignored"),
    [
        ({}, 1, ()),
        ({"grad_scale": 2.5}, 2.5, ()),
        ({"normalization": "batch"}, 1 / 3, ()),
        ({"normalization": "valid", "ignore_label": 0}, 1 / 2, ()),
        ({"use_ignore": True, "ignore_label": 0}, 1, (1,)),
        ({"use_ignore": True, "ignore_label": 0, "normalization": "valid", "grad_scale": 3}, 3 / 2, (1,)),
    ],
    ids=str,
)
def test_softmax_output_of_classes(attributes, scale, ignored, generator):
    data = generator.normal(size=(3, 4))
    output, gradient = differentiated("SoftmaxOutput", data, LABEL, **attributes)
    expected = (softmax(data, 1) - np.eye(4)[[1, 0, 3]]) * scale
    expected[list(ignored)] = 0
    np.testing.assert_allclose(output, softmax(data, 1), rtol=1e-5)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("label_shape", [(2, 4, 2), (2, 8), (2, 1, 4, 2)])
@pytest.mark.parametrize(
    ("attributes", "divisor"),
    [({}, 8), ({"normalization": "batch"}, 16), ({"normalization": "valid", "ignore_label": 2}, None), ({"smooth_alpha": 0.3}, 8)],
    ids=str,
)
def test_softmax_output_along_axis_1(label_shape, attributes, divisor, generator):
    data, label = generator.normal(size=(2, 3, 4, 2)), generator.integers(0, 3, (2, 4, 2)).astype(float)
    output, gradient = differentiated("Softmax", data, label.reshape(label_shape), multi_output=True, **attributes)
    np.testing.assert_allclose(output, softmax(data, 1), rtol=1e-5)
    expected = (softmax(data, 1) - ones_at(label, 3, 1)) / (divisor or (label != 2).sum())
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-7)


def test_softmax_output_along_the_last_axis_and_along_all_but_the_first(generator):
    data, label = generator.normal(size=(2, 3, 4)), generator.integers(0, 4, (2, 3)).astype(float)
    output, gradient = differentiated("SoftmaxOutput", data, label, preserve_shape=True, normalization="batch")
    np.testing.assert_allclose(output, softmax(data, 2), rtol=1e-5)
    np.testing.assert_allclose(gradient, (softmax(data, 2) - ones_at(label, 4, 2)) / 6, rtol=1e-5, atol=1e-7)
    output, gradient = differentiated("SoftmaxOutput", data, label[:, 0])
    flat = softmax(data.reshape(2, 12), 1)
    np.testing.assert_allclose(output, flat.reshape(2, 3, 4), rtol=1e-5)
    np.testing.assert_allclose(gradient, (flat - ones_at(label[:, 0], 12, 1)).reshape(2, 3, 4), rtol=1e-5, atol=1e-7)


def test_softmax_output_of_probabilities_smoothing_and_classes_that_there_are_not(generator):
    data, given = generator.normal(size=(3, 4)), softmax(generator.normal(size=(3, 4)), 1)
    _, gradient = differentiated("SoftmaxOutput", data, given, grad_scale=2, normalization="batch")
    np.testing.assert_allclose(gradient, 2 * (softmax(data, 1) - given), rtol=1e-4, atol=1e-6)
    _, gradient = differentiated("SoftmaxOutput", data, LABEL, smooth_alpha=0.3)
    np.testing.assert_allclose(gradient, softmax(data, 1) - np.where(np.eye(4)[[1, 0, 3]] > 0, 0.7, 0.1), rtol=1e-5, atol=1e-6)
    _, gradient = differentiated("SoftmaxOutput", data, np.array([-1, 4, 1.9]))
    np.testing.assert_allclose(gradient, softmax(data, 1) - np.eye(5)[[4, 4, 1], :4], rtol=1e-5, atol=1e-7)


def test_softmax_output_takes_the_head_gradient_only_if_asked(generator):
    data, head = generator.normal(size=(3, 4)), generator.normal(size=(3, 4))
    _, gradient = differentiated("SoftmaxOutput", data, LABEL, head=head, out_grad=True)
    np.testing.assert_allclose(gradient, head * (softmax(data, 1) - np.eye(4)[[1, 0, 3]]), rtol=1e-5, atol=1e-7)


def test_softmax_output_of_half_and_of_nothing(generator):
    x = nd.array(generator.normal(size=(300, 4)), dtype="float16")
    x.attach_grad()
    with autograd.record():
        y = nd.SoftmaxOutput(x, nd.zeros((300,)), normalization="valid")
    y.backward()
    assert y.dtype == x.grad.dtype == np.float16
    expected = (softmax(x.asnumpy().astype(float), 1) - np.eye(4)[0]) / 300
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=4e-3, atol=2e-6)
    assert nd.SoftmaxOutput(nd.zeros((0, 4)), nd.zeros((0,))).shape == (0, 4)


def test_the_gradient_costs_nothing_where_nobody_asks():
    x, label = nd.array(np.ones((3, 4))), nd.array(LABEL)
    nd.SoftmaxOutput(x, label).wait_to_read()
    plain = launches(lambda: nd.softmax(x).wait_to_read())
    assert launches(lambda: nd.SoftmaxOutput(x, label, normalization="valid").wait_to_read()) == plain
    x.attach_grad()
    assert nd.LinearRegressionOutput(x, x).value.leaf is None, "the output of a loss is no variable, even where it is the same numbers"


# --- regression, margins, any loss ---


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((3,), (3,)), ((3, 1), (3,)), ((3, 4), (3, 2, 2)), ((0, 4), (0, 4))], ids=str)
@pytest.mark.parametrize(
    ("name", "function", "slope"),
    [
        ("LinearRegressionOutput", lambda x: x, lambda z, label: z - label),
        ("LogisticRegressionOutput", lambda x: 1 / (1 + np.exp(-x)), lambda z, label: z - label),
        ("MAERegressionOutput", lambda x: x, lambda z, label: np.where(z > label, 1, -1)),
    ],
)
def test_regression(name, function, slope, shapes, generator):
    data, label = (generator.integers(-2, 3, shape).astype(float) for shape in shapes)
    output, gradient = differentiated(name, data, label, grad_scale=3)
    z = function(data)
    np.testing.assert_allclose(output, z, rtol=1e-5)
    np.testing.assert_allclose(gradient, slope(z, label.reshape(data.shape)) * 3 / max(1, np.prod(data.shape[1:])), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4)])
def test_support_vectors(linear, shape, generator):
    data, label = generator.normal(size=shape), generator.integers(0, 4, shape[:-1]).astype(float)
    sign = 1 - 2 * ones_at(label, 4, len(shape) - 1)
    missing = 0.5 + sign * data
    expected = sign * 2 * ((missing > 0) if linear else 2 * np.maximum(missing, 0))
    output, gradient = differentiated("SVMOutput", data, label, margin=0.5, regularization_coefficient=2, use_linear=linear)
    np.testing.assert_array_equal(output, data.astype(np.float32))
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, 1),
        ({"grad_scale": 3}, 3),
        ({"normalization": "batch"}, 1 / 3),
        ({"normalization": "valid"}, 1 / 2),
        ({"normalization": "valid", "valid_thresh": 9}, 1),
    ],
    ids=str,
)
def test_make_loss(attributes, expected):
    data = np.array([[0, 1.0], [0, 2], [-1, 0]])
    output, gradient = differentiated("MakeLoss", data, **attributes)
    np.testing.assert_array_equal(output, data)
    np.testing.assert_allclose(gradient, np.full((3, 2), expected))


def test_make_loss_by_its_other_name():
    np.testing.assert_array_equal(differentiated("make_loss", np.ones((2, 2)))[1], np.ones((2, 2)))


# --- the gradient of the gradient ---


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("SoftmaxOutput", {"smooth_alpha": 0.2}),
        ("SoftmaxOutput", {"out_grad": True, "normalization": "valid", "use_ignore": True, "ignore_label": 3}),
        ("LinearRegressionOutput", {}),
        ("LogisticRegressionOutput", {"grad_scale": 2}),
        ("SVMOutput", {"margin": 0.7}),
    ],
)
def test_the_gradient_can_be_differentiated(name, attributes, context, generator):
    labels = np.array([1, 0, 3.0]) if name in ("SoftmaxOutput", "SVMOutput") else generator.normal(size=(3, 4))

    def gradients(arguments):
        (x,) = arguments
        with autograd.record():
            z = getattr(nd, name)(x, nd.array(labels, dtype=x.dtype, ctx=context), **attributes)
            return [autograd.grad(z, x, create_graph=True)]

    check_gradients(gradients, [generator.normal(size=(3, 4))], context, context.device, 2, generator)


def test_a_gradient_can_be_recorded_again_after_a_pass():
    x = nd.array([[1.0, 2.0]])
    x.attach_grad()
    with autograd.record():
        y = nd.SoftmaxOutput(x, nd.array([0]))
    y.backward()
    before = x.grad.asnumpy()
    with autograd.record():
        z = (x.grad * x).sum()
    z.backward()
    np.testing.assert_array_equal(x.grad.asnumpy(), before)


# --- CTC in mx.nd ---


def test_lengths_follow_one_another(generator):
    data, label = nd.array(generator.normal(size=(5, 2, 4))), nd.array([[1, 2], [3, 3]])
    times, counts = nd.array([4, 5]), nd.array([1, 2])
    both = nd.ctc_loss(data, label, times, counts, use_data_lengths=True, use_label_lengths=True).asnumpy()
    full = nd.CTCLoss(data, label, nd.array([5, 5]), counts, True, True).asnumpy()
    np.testing.assert_array_equal(nd.CTCLoss(data, label, counts, use_label_lengths=True).asnumpy(), full)
    np.testing.assert_array_equal(nd.CTCLoss(data, label, label_lengths=counts, use_label_lengths=True).asnumpy(), full)
    np.testing.assert_array_equal(both[1:], full[1:])
    assert both[0] != full[0]
    out = nd.zeros((2,))
    assert nd.CTCLoss(data, label, out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), nd.CTCLoss(data, label).asnumpy())


def test_no_value_leads_out_of_memory_and_nan_stays():
    data = nd.array(np.zeros((3, 2, 4)))
    label = nd.array([[9e9, -5], [np.nan, 2]])
    assert np.isfinite(nd.CTCLoss(data, label, nd.array([1e9, -3]), nd.array([7, -1]), True, True).asnumpy()).all()
    data[0, 0, 0] = np.nan
    np.testing.assert_array_equal(np.isnan(nd.CTCLoss(data, nd.array([[1, 2], [1, 2]])).asnumpy()), [True, False])


def test_many_times_keep_their_digits(context, generator):
    data, label = generator.normal(size=(300, 2, 5)) * 2, generator.integers(1, 5, (2, 40))
    found = []
    for dtype in ("float32", "float64") if context.device.traits.fp64 else ():
        x = nd.array(data, dtype=dtype, ctx=context)
        x.attach_grad()
        with autograd.record():
            z = nd.CTCLoss(x, nd.array(label, ctx=context))
        z.backward()
        found.append((z.asnumpy(), x.grad.asnumpy()))
    for single, double in zip(*found, strict=True) if found else ():
        np.testing.assert_allclose(single, double, rtol=1e-5, atol=1e-3)


def test_sequences_by_position_and_into_out():
    data, lengths, out = nd.array([[1, 2], [3, 4]]), nd.array([1, 2]), nd.zeros((2, 2))
    assert nd.SequenceMask(data, lengths, True, -1, out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), [[1, 2], [-1, 4]])
    np.testing.assert_array_equal(nd.SequenceLast(data, sequence_length=lengths, use_sequence_length=True, axis=1).asnumpy(), [1, 4])
    np.testing.assert_array_equal(nd.contrib.arange_like(data, 1, 2, 1, "cpu", 0).asnumpy(), [1, 3])


# --- wrong input ---


@pytest.mark.parametrize(
    ("name", "shapes", "attributes", "word"),
    [
        ("SoftmaxOutput", [(3, 4), (2,)], {}, "label of shape"),
        ("SoftmaxOutput", [(3, 4), (3,)], {"normalization": "most"}, "most"),
        ("SoftmaxOutput", [(), ()], {}, "no axis"),
        ("SoftmaxOutput", [(3,), (3,)], {"multi_output": True}, "no axis"),
        ("LinearRegressionOutput", [(3, 4), (3,)], {}, "label of shape"),
        ("MAERegressionOutput", [(3, 4), (12,)], {}, "label of shape"),
        ("SVMOutput", [(3, 4), (3, 4)], {}, "label"),
        ("SVMOutput", [(3,), (3,)], {}, "label"),
        ("MakeLoss", [(3,)], {"normalization": "all"}, "all"),
        ("CTCLoss", [(3, 2), (2, 2)], {}, "data"),
        ("CTCLoss", [(3, 2, 4), (3, 2)], {}, "label"),
        ("CTCLoss", [(3, 2, 4), (2, 2)], {"blank_label": "middle"}, "middle"),
        ("CTCLoss", [(3, 2, 4), (2, 2), (2,)], {}, "0 array"),
        ("CTCLoss", [(3, 2, 4), (2, 2)], {"use_label_lengths": True}, "1 array"),
        ("CTCLoss", [(3, 2, 4), (2, 2), (3,)], {"use_data_lengths": True}, "data_lengths"),
        ("SequenceMask", [(3,)], {}, "two axes"),
        ("SequenceMask", [(3, 2)], {"axis": 2}, "axis 2"),
        ("SequenceLast", [(3, 2), (3,)], {"use_sequence_length": True}, "sequence_length"),
        ("SequenceLast", [(0, 2)], {}, "no last"),
        ("SequenceReverse", [(3, 2)], {"use_sequence_length": True}, "needs the array"),
        ("contrib.interleaved_matmul_selfatt_qk", [(3, 2, 8)], {"heads": 2}, "heads"),
        ("contrib.interleaved_matmul_selfatt_valatt", [(3, 2, 6), (4, 3, 3)], {"heads": 1}, "attention"),
        ("contrib.arange_like", [(3,)], {"repeat": 0}, "repeat"),
    ],
)
def test_wrong_input_is_refused(name, shapes, attributes, word):
    function = nd
    for part in name.split("."):
        function = getattr(function, part)
    with pytest.raises(mx.MXNetError, match=word) as caught:
        function(*(nd.ones(shape) for shape in shapes), **attributes)
    assert name.split(".")[-1] in str(caught.value)
