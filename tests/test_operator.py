"""Operators of one's own: `mx.operator` and `nd.Custom`."""

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd

calls = []


class Sigmoid(mx.operator.CustomOp):
    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, is_train, req, in_data, out_data, aux):
        calls.append((is_train, list(req), autograd.is_recording()))
        self.assign(out_data[0], req[0], 1 / (1 + nd.exp(-in_data[0] * self.slope)))

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        y = out_data[0]
        self.assign(in_grad[0], req[0], out_grad[0] * y * (1 - y) * self.slope)


@mx.operator.register("test_sigmoid")
class SigmoidProp(mx.operator.CustomOpProp):
    def __init__(self, slope="1"):
        super().__init__(need_top_grad=True)
        assert isinstance(slope, str), "attributes come as strings"
        self.slope = float(slope)

    def create_operator(self, ctx, in_shapes, in_dtypes):
        calls.append((ctx, in_shapes, in_dtypes))
        return Sigmoid(self.slope)


class SumAndProduct(mx.operator.CustomOp):
    def forward(self, is_train, req, in_data, out_data, aux):
        self.assign(out_data[0], req[0], in_data[0] + in_data[1])
        self.assign(out_data[1], req[1], in_data[0] * in_data[1])
        aux[0][:] += 1

    def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
        calls.append(list(req))
        self.assign(in_grad[0], req[0], out_grad[0] + out_grad[1] * in_data[1])
        self.assign(in_grad[1], req[1], out_grad[0] + out_grad[1] * in_data[0])


@mx.operator.register("test_sum_and_product")
class SumAndProductProp(mx.operator.CustomOpProp):
    def list_arguments(self):
        return ["left", "right"]

    def list_outputs(self):
        return ["sum", "product"]

    def list_auxiliary_states(self):
        return ["count"]

    def infer_shape(self, in_shape):
        return [in_shape[0], in_shape[0]], [in_shape[0], in_shape[0]], [(1,)]

    def create_operator(self, ctx, in_shapes, in_dtypes):
        return SumAndProduct()


@mx.operator.register("test_copy")
class CopyProp(mx.operator.CustomOpProp):
    def create_operator(self, ctx, in_shapes, in_dtypes):
        class Copy(mx.operator.CustomOp):
            def forward(self, is_train, req, in_data, out_data, aux):
                self.assign(out_data[0], req[0], in_data[0])

        return Copy()


@pytest.fixture(autouse=True)
def forgotten():
    calls.clear()


def test_an_operator_and_its_gradient():
    x = nd.array([[1, 2]])
    x.attach_grad()
    with autograd.record():
        y = nd.Custom(x, op_type="test_sigmoid", slope=2, name="any")
        z = (y * 3).sum()
    z.backward()
    expected = 1 / (1 + np.exp(-2 * x.asnumpy()))
    np.testing.assert_allclose(y.asnumpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(x.grad.asnumpy(), 6 * expected * (1 - expected), rtol=1e-5)
    assert calls == [(mx.cpu(0), [[1, 2]], [np.float32]), (True, ["write"], False)]
    nd.Custom(x, op_type="test_sigmoid")
    assert calls[-1] == (False, ["write"], False)


def test_its_gradient_can_be_differentiated():
    x = nd.array([0.5, -1])
    x.attach_grad()
    with autograd.record():
        y = nd.Custom(x, op_type="test_sigmoid")
        dx = autograd.grad(y, x, create_graph=True)
    dx.backward()
    y = y.asnumpy()
    np.testing.assert_allclose(x.grad.asnumpy(), y * (1 - y) * (1 - 2 * y), rtol=1e-5)


def test_several_outputs_and_auxiliary_states():
    left, right, count = nd.array([1, 2]), nd.array([3, 4]), nd.zeros((1,))
    left.attach_grad()
    for way in (lambda: nd.Custom(left, right, count, op_type="test_sum_and_product"), by_name(left, right, count)):
        with autograd.record():
            total, product = way()
        product.backward()
        np.testing.assert_array_equal(total.asnumpy(), [4, 6])
        np.testing.assert_array_equal(left.grad.asnumpy(), [3, 4])
    assert calls == [["write", "null"]] * 2, "the second array has no gradient attached"
    assert count.asscalar() == 2


def by_name(left, right, count):
    return lambda: nd.Custom(left, count=count, right=right, op_type="test_sum_and_product")


def test_out_takes_the_results():
    x, out = nd.array([[0, 0]]), nd.zeros((1, 2))
    assert nd.Custom(x, op_type="test_sigmoid", out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), [[0.5, 0.5]])
    with pytest.raises(mx.MXNetError, match="out has"):
        nd.Custom(x, op_type="test_sigmoid", out=nd.zeros((2,)))


def test_what_is_copied_is_no_variable():
    x = nd.array([1, 2])
    x.attach_grad()
    copies = [nd.Custom(x, op_type="test_copy"), nd.zeros((2,))]
    copies[1][:] = x
    for y in copies:
        with autograd.record():
            z = y * 2
        with pytest.raises(mx.MXNetError, match="not in a computational graph"):
            z.backward()


def test_assign_writes_as_requested():
    op, target = mx.operator.CustomOp(), nd.array([1, 2])
    for req, expected in (("write", [5, 6]), ("inplace", [5, 6]), ("add", [10, 12]), ("null", [10, 12])):
        op.assign(target, req, nd.array([5, 6]))
        np.testing.assert_array_equal(target.asnumpy(), expected)
    with pytest.raises(mx.MXNetError, match="req"):
        op.assign(target, "some", 0)


def test_what_a_property_says_by_default():
    prop = mx.operator.CustomOpProp()
    assert (prop.list_arguments(), prop.list_outputs(), prop.list_auxiliary_states()) == (["data"], ["output"], [])
    assert prop.infer_shape([[2, 3]]) == ([[2, 3]], [[2, 3]], [])
    assert prop.infer_type([np.float16]) == ([np.float16], [np.float16], [])


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda x: nd.Custom(x, op_type="test_nothing"), "no operator 'test_nothing'"),
        (lambda x: nd.Custom(x, x, op_type="test_sigmoid"), "takes the arrays data"),
        (lambda x: nd.Custom(x, op_type="test_sum_and_product"), "left, right, count"),
        (lambda x: nd.Custom(x, nd.zeros((1,)), x, op_type="test_sum_and_product"), "takes arrays of shapes"),
        (lambda x: nd.Custom(1, op_type="test_sigmoid"), "int"),
        (lambda x: mx.operator.CustomOp().forward(True, [], [], [], []), "forward"),
        (lambda x: mx.operator.CustomOp().backward([], [], [], [], [], []), "backward"),
        (lambda x: mx.operator.CustomOpProp().create_operator(None, [], []), "create_operator"),
        (lambda x: mx.operator.register("test_wrong")(mx.operator.CustomOp), "CustomOpProp"),
    ],
)
def test_wrong_input_is_refused(call, word):
    with pytest.raises(mx.MXNetError, match=word):
        call(nd.array([1, 2]))
