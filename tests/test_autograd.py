"""The tape and its reverse walk: what `autograd` promises beyond the rows of MXNet's behaviour."""

import threading

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd


def variable(values, **options):
    x = nd.array(values)
    x.attach_grad(**options)
    return x


def check(array, expected, tolerance=1e-6):
    np.testing.assert_allclose(array.asnumpy(), expected, rtol=tolerance, atol=tolerance)


# Scopes


def test_an_exception_leaves_the_state_as_it_was():
    with pytest.raises(ZeroDivisionError), autograd.record(), autograd.predict_mode():
        assert autograd.is_recording()
        raise ZeroDivisionError
    assert (autograd.is_recording(), autograd.is_training()) == (False, False)


def test_set_recording_and_set_training_give_what_was():
    assert autograd.set_recording(True) is False
    assert autograd.set_training(True) is False
    assert (autograd.is_recording(), autograd.is_training()) == (True, True)
    assert autograd.set_recording(False) is True
    assert autograd.set_training(False) is True


def test_each_thread_records_for_itself():
    seen = []
    with autograd.record():
        thread = threading.Thread(target=lambda: seen.append((autograd.is_recording(), autograd.is_training())))
        thread.start()
        thread.join()
    assert seen == [(False, False)]


# Heads and leaves


def test_several_heads_add_up_each_with_its_gradient():
    x = variable([1.0, 2.0])
    with autograd.record():
        y, z = x * x, x * 3
    autograd.backward([y, z], [nd.array([1.0, 10.0]), None])
    check(x.grad, [2 * 1 + 3, 2 * 2 * 10 + 3])


def test_a_head_that_is_given_twice_counts_twice():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    autograd.backward([y, y])
    check(x.grad, [4, 8])


def test_a_head_may_be_a_leaf_or_stand_inside_the_graph_of_another():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * 2
        z = y * y
    autograd.backward([x, y, z])
    check(x.grad, 1 + 2 + 8 * x.asnumpy())


def test_mark_variables_writes_into_the_arrays_given():
    x, y, dx, dy = nd.array([3.0]), nd.array([4.0]), nd.zeros(1), nd.ones(1)
    autograd.mark_variables([x, y], [dx, dy], ["write", "add"])
    with autograd.record():
        z = x * y
    z.backward()
    check(dx, [4])
    check(dy, [1 + 3])
    with pytest.raises(mx.MXNetError, match="2 variables, 1 gradients"):
        autograd.mark_variables([x, y], [dx])


def test_a_leaf_that_no_gradient_reaches_gets_zeros():
    x, y = variable([1.0]), variable([2.0])
    x.grad[:] = 7
    y.grad[:] = 7
    with autograd.record():
        z = nd.floor(x) + 2 * y
    z.backward()
    check(x.grad, [0])
    check(y.grad, [2])


def test_the_gradient_array_stays_the_same_object():
    x = variable([1.0, 2.0])
    kept = x.grad
    for factor in (2, 3):
        with autograd.record():
            y = x * factor
        y.backward()
        assert x.grad is kept
        check(kept, [factor, factor])


def test_an_input_used_many_times_collects_all_gradients():
    x = variable([2.0])
    with autograd.record():
        y = x * x * x + x / x - x
    y.backward()
    check(x.grad, [3 * 4 - 1])


def test_a_parameter_written_between_steps_keeps_its_gradient():
    x = variable([4.0])
    for _ in range(50):
        with autograd.record():
            y = (x - 1) * (x - 1)
        y.backward()
        x[:] = x - 0.25 * x.grad
    check(x, [1.0], 1e-5)


def test_broadcast_operands_get_gradients_of_their_own_shape():
    x, y, z = variable(np.ones((3, 1))), variable(np.full((4,), 2.0)), variable(5.0)
    with autograd.record():
        w = x * y * z
    w.backward()
    check(x.grad, np.full((3, 1), 40))
    check(y.grad, np.full(4, 15))
    check(z.grad, 24)


def test_gradients_take_the_dtype_of_their_array():
    x = nd.array([1.5, 2.5], dtype="float16")
    y = nd.array([3.0, 4.0], dtype="float32")
    x.attach_grad()
    y.attach_grad()
    with autograd.record():
        z = x * y
    z.backward()
    assert x.grad.dtype is np.float16
    assert y.grad.dtype is np.float32
    check(x.grad, [3, 4])
    check(y.grad, [1.5, 2.5])


def test_no_gradient_flows_through_integers():
    x = variable([1.5, 2.5])
    with autograd.record():
        y = x.astype("int32").astype("float32") * x
    y.backward()
    check(x.grad, [1, 2])


# Freeing and keeping the graph


def test_retain_graph_allows_as_many_passes_as_one_likes():
    x = variable([3.0], grad_req="add")
    with autograd.record():
        y = nd.exp(x) * x
    for _ in range(3):
        y.backward(retain_graph=True)
    y.backward()
    check(x.grad, [4 * 4 * np.exp(3)], 1e-5)
    with pytest.raises(mx.MXNetError, match="retain_graph=True"):
        y.backward()


def test_what_is_built_on_a_freed_graph_cannot_be_differentiated():
    x = variable([3.0])
    with autograd.record():
        y = x * x
    y.backward()
    with autograd.record():
        z = y * 2
    with pytest.raises(mx.MXNetError, match="was freed by an earlier backward"):
        z.backward()


def test_the_value_stays_readable_after_its_graph_was_freed():
    x = variable([3.0])
    with autograd.record():
        y = x * x
        z = nd.sin(y)
    z.backward()
    x[:] = 100
    check(y, [9])
    check(z, [np.sin(9)])


# Higher orders


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_derivatives_of_any_order(order):
    x = variable([0.3, 0.7])
    derivatives = [np.sin, np.cos, lambda v: -np.sin(v), lambda v: -np.cos(v), np.sin]
    with autograd.record():
        y = nd.sin(x)
        for _ in range(order - 1):
            y = autograd.grad(y, [x], create_graph=True)[0]
    y.backward()
    check(x.grad, derivatives[order](x.asnumpy()), 1e-5)


def test_mixed_partial_derivatives_agree():
    x, y = variable([0.5]), variable([1.5])
    with autograd.record():
        z = nd.exp(x * y) * y
        dx = autograd.grad(z, x, create_graph=True)
        dy = autograd.grad(z, y, create_graph=True)
    dxdy, dydx = autograd.grad(dx, y, retain_graph=True), autograd.grad(dy, x)
    expected = np.exp(0.75) * (2 * 1.5 + 0.5 * 1.5**2)
    check(dxdy, [expected], 1e-5)
    check(dydx, [expected], 1e-5)


def test_second_derivatives_through_a_matrix_product():
    a, b = variable([[1.0, 2.0], [3.0, 4.0]]), variable([[0.5, -1.0], [2.0, 0.25]])
    with autograd.record():
        s = nd.sum(nd.square(nd.dot(a, b)))
        da = autograd.grad(s, a, create_graph=True)
    nd.sum(da)
    with autograd.record():
        s = nd.sum(nd.square(nd.dot(a, b)))
        da = autograd.grad(s, a, create_graph=True)
        t = nd.sum(da * da)
    t.backward()
    numbers_a, numbers_b = a.asnumpy().astype(float), b.asnumpy().astype(float)
    gram = numbers_b @ numbers_b.T
    check(a.grad, 8 * numbers_a @ gram @ gram, 1e-4)


def test_grad_of_a_value_inside_the_graph():
    x = variable([2.0])
    with autograd.record():
        y = x * x
        z = y * y * x
        (dy,) = autograd.grad(z, [y], retain_graph=True)
    check(dy, [2 * 4 * 2])
    z.backward()
    check(x.grad, [5 * 16])


def test_grad_leaves_the_attached_gradient_alone():
    x = variable([2.0])
    with autograd.record():
        y = x * x
    (dx,) = autograd.grad(y, [x])
    check(dx, [4])
    check(x.grad, [0])


def test_grad_of_what_was_not_recorded_says_what_to_do():
    x = variable([2.0])
    with autograd.record():
        y = x * x
    with pytest.raises(mx.MXNetError, match=r"attach_grad\(\)"):
        autograd.grad(y, [nd.ones(1)])


# Writes and views while recording


def test_what_was_overwritten_has_no_gradient():
    x, v = variable([1.0, 2.0, 3.0]), variable([10.0])
    with autograd.record():
        y = x * 2
        y[1:2] = v
        z = nd.sum(y * y)
    z.backward()
    check(x.grad, [8, 0, 24])
    check(v.grad, [20])


def test_a_write_through_a_view_of_a_view():
    x = variable(np.arange(12.0).reshape(3, 4))
    with autograd.record():
        y = x * 1
        y[1:3].reshape((2, 2, 2))[0] = 0
        z = nd.sum(y * 3)
    z.backward()
    expected = np.full((3, 4), 3.0)
    expected[1] = 0
    check(x.grad, expected)


def test_a_record_has_the_value_that_was_written_over_later():
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
        z = y * y
        y[:] = 100
        w = z + y
    w.backward()
    check(x.grad, 4 * x.asnumpy() ** 3)


def test_in_place_operators_while_recording():
    x = variable([2.0])
    with autograd.record():
        y = x * 1
        for _ in range(3):
            y *= x
        y += x
    y.backward()
    check(x.grad, [4 * 8 + 1])


def test_slices_of_what_has_a_gradient():
    x = variable(np.arange(6.0).reshape(2, 3))
    with autograd.record():
        y = nd.sum(x[0] * x[1]) + x[1, 2] * 10 + nd.sum(x[:, ::-1])
    y.backward()
    expected = np.array([[3.0, 4, 5], [0, 1, 2]]) + 1
    expected[1, 2] += 10
    check(x.grad, expected)


# Functions


class Scale(autograd.Function):
    """Several inputs and outputs, and NumPy in between."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x, y):
        self.save_for_backward(x, y)
        return nd.array(x.asnumpy() * self.factor), x * y

    def backward(self, d_scaled, d_product):
        x, y = self.saved_tensors
        return d_scaled * self.factor + d_product * y, d_product * x


def test_a_function_of_several_inputs_and_outputs():
    x, y = variable([1.0, 2.0]), variable([3.0, 4.0])
    with autograd.record():
        scaled, product = Scale(5)(x * 2, y)
        z = scaled + product * product
    z.backward()
    numbers_x, numbers_y = x.asnumpy(), y.asnumpy()
    check(x.grad, 2 * (5 + 2 * (2 * numbers_x * numbers_y) * numbers_y))
    check(y.grad, 2 * (2 * numbers_x * numbers_y) * 2 * numbers_x)


def test_an_output_of_a_function_that_nobody_uses_gives_zeros_to_its_backward():
    x, y = variable([1.0]), variable([3.0])
    with autograd.record():
        scaled, _ = Scale(5)(x, y)
    scaled.backward()
    check(x.grad, [5])
    check(y.grad, [0])


def test_a_function_can_be_differentiated_again():
    class Cube(autograd.Function):
        def forward(self, x):
            self.save_for_backward(x)
            return x * x * x

        def backward(self, dy):
            (x,) = self.saved_tensors
            return dy * 3 * x * x

    x = variable([2.0])
    with autograd.record():
        y = Cube()(x)
        (dx,) = autograd.grad(y, [x], create_graph=True)
    check(dx, [12])
    dx.backward()
    check(x.grad, [12])


@pytest.mark.parametrize(
    ("returned", "message"),
    [(lambda dy: (dy, dy), "returned 2 gradients for 1 inputs"), (lambda dy: nd.ones((7,)), r"gradient 0 has shape \(7,\)")],
)
def test_a_wrong_backward_of_a_function_is_an_error(returned, message):
    class Wrong(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            return returned(dy)

    x = variable([1.0, 2.0])
    with autograd.record():
        y = Wrong()(x)
    with pytest.raises(mx.MXNetError, match=message):
        y.backward()


def test_a_function_object_is_used_once():
    function, x = Scale(2), variable([1.0])
    with autograd.record():
        function(x, x)
        with pytest.raises(mx.MXNetError, match="make another one"):
            function(x, x)


# A check that a wrong gradient is found at all


def test_a_rule_that_is_off_by_a_factor_is_caught(monkeypatch):
    x = variable([0.5, 1.0])
    with autograd.record():
        y = nd.tanh(x)
    monkeypatch.setattr(mx.ops.registry["tanh"], "rules", (lambda dz, z: dz * (1 - z * z) * 1.5,))
    y.backward()
    with pytest.raises(AssertionError):
        check(x.grad, 1 - np.tanh(x.asnumpy()) ** 2, 1e-3)
