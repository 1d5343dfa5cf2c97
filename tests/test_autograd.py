"""The tape and its reverse walk: what `autograd` promises beyond the rows of MXNet's behaviour."""

import threading

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd
from measures import Cube, allocated


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


def test_gradients_of_parts_add_up_where_they_lie():
    data = np.arange(24.0).reshape(6, 4)
    x, weight, upstream = variable(data), variable(np.full((6, 4), 2.0)), nd.array(np.full((2, 4), 3.0))
    parts = [np.s_[0:2], np.s_[1:5:2], np.s_[4::-4], np.s_[2:2], np.s_[3], np.s_[:, 1:3], np.s_[5:2:-2, 0]]
    wanted = np.zeros((6, 4))
    with autograd.record():
        y = x * weight
        whole = y * 5  # which comes between the parts
        heads = [y[key] * (i + 1) for i, key in enumerate(parts[:4])] + [whole, y[1:][0:2][0:1]]
        heads += [x[key] * (i + 5) for i, key in enumerate(parts[4:])] + [y[0:2]]
    (within,) = autograd.grad(heads, [y], [None] * 9 + [upstream], retain_graph=True)
    autograd.backward(heads, [None] * 9 + [upstream])
    for i, key in enumerate(parts[:4]):
        wanted[key] += i + 1
    wanted += 5
    wanted[1] += 1
    wanted[0:2] += 3
    check(within, wanted)
    check(weight.grad, wanted * data)
    wanted *= 2
    for i, key in enumerate(parts[4:]):
        wanted[key] += i + 5
    check(x.grad, wanted)
    check(upstream, np.full((2, 4), 3.0))


def test_gradients_of_parts_that_are_all_of_an_array_are_joined():
    def gradient(order, axis):
        x = variable(np.ones((4, 6)))
        with autograd.record():
            heads = [(x[i] if axis == 0 else x[:, i : i + 2]) * (i + 1) for i in order]
        autograd.backward(heads)
        return x.grad

    check(gradient((2, 0, 3, 1), 0), np.repeat([[1], [2], [3], [4]], 6, 1))
    check(gradient((4, 0, 2), 1), np.tile([1, 1, 3, 3, 5, 5], (4, 1)))
    check(gradient((4, 0), 1), np.tile([1, 1, 0, 0, 5, 5], (4, 1)))  # not all
    check(gradient((0, 1, 2, 3), 1), np.tile([1, 3, 5, 7, 4, 0], (4, 1)))  # overlapping, and more than there is room for
    check(gradient((0, 0, 2), 1), np.tile([2, 2, 3, 3, 0, 0], (4, 1)))  # as many elements, but not all


def test_a_step_through_each_part_is_not_quadratic():
    def bytes_allocated(steps):
        x = nd.ones((steps, 256))
        x.attach_grad()
        with autograd.record():
            h = x[0]
            for i in range(1, steps):
                h = x[i] * h
        with allocated(x.context.device) as sizes:
            h.backward()
        check(x.grad, np.ones((steps, 256)))
        return sum(sizes)

    assert bytes_allocated(64) < 3 * bytes_allocated(32)


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


# Scopes, once more


def states():
    return autograd.is_recording(), autograd.is_training()


def test_a_scope_may_be_entered_again_and_within_itself():
    scope = autograd.record(train_mode=False)
    for _ in range(2):
        with scope:
            assert states() == (True, False)
            with autograd.pause(train_mode=True), autograd.pause(), scope, autograd.train_mode():
                assert states() == (True, True)
            assert states() == (True, False)
        assert states() == (False, False)


def test_backward_leaves_the_state_as_it_was_and_is_not_recorded_itself():
    seen = []

    class Watch(autograd.Function):
        def forward(self, x):
            seen.append(("forward", *states()))
            return x * 2

        def backward(self, dy):
            seen.append(("backward", *states()))
            return dy * 2

    x = variable([1.0])
    with autograd.record(train_mode=False):
        y, z, w = (Watch()(x) for _ in range(3))
        y.backward()
        z.backward(train_mode=False)
        autograd.grad(w, [x], create_graph=True, train_mode=False)
        assert states() == (True, False)
        x.grad.wait_to_read()
        assert not x.grad.value.traced
    assert states() == (False, False)
    assert seen == [("forward", False, False)] * 3 + [("backward", False, True), ("backward", False, False), ("backward", True, False)]


def test_errors_within_a_walk_leave_the_state_as_it_was():
    class Fails(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            raise ZeroDivisionError

    class FailsAtOnce(Fails):
        def forward(self, x):
            raise ZeroDivisionError

    x = variable([1.0])
    with autograd.record():
        y = Fails()(x)
        with pytest.raises(ZeroDivisionError):
            FailsAtOnce()(x)
        assert states() == (True, True)
        with pytest.raises(ZeroDivisionError):
            y.backward()
        assert states() == (True, True)
    assert states() == (False, False)


# What is given, and what is wrong with it


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        pytest.param(
            lambda x, y: y.backward(nd.ones((3,))), ValueError, r"head gradient of shape \(3,\).*head of shape \(2,\)", id="shape"
        ),
        pytest.param(lambda x, y: y.backward(2.0), TypeError, "is a float, not an NDArray", id="a number"),
        pytest.param(lambda x, y: y.backward(np.ones(2)), TypeError, "is a ndarray, not an NDArray", id="NumPy"),
        pytest.param(lambda x, y: autograd.backward([y, y], [None]), ValueError, "2 heads, but 1 head gradients", id="number of gradients"),
        pytest.param(lambda x, y: autograd.backward([y, 3]), TypeError, "is a int, not an NDArray", id="a number as a head"),
        pytest.param(lambda x, y: autograd.backward([]), mx.MXNetError, "no inputs in computation graph", id="no heads"),
        pytest.param(lambda x, y: autograd.grad(y, [3.0]), TypeError, "is a float, not an NDArray", id="a number as a variable"),
        pytest.param(
            lambda x, y: x.mark(nd.ones((3,)), "write"), ValueError, r"gradient of shape \(3,\).*array of shape \(2,\)", id="marked"
        ),
        pytest.param(lambda x, y: x.attach_grad("never"), ValueError, "'never' is not one of 'write', 'add', 'null'", id="grad_req"),
        pytest.param(lambda x, y: autograd.get_symbol(y), mx.MXNetError, "no symbols", id="get_symbol"),
    ],
)
def test_wrong_calls_say_what_is_wrong(work, error, message):
    x = variable([1.0, 2.0])
    with autograd.record():
        y = x * x
    with pytest.raises(error, match=message):
        work(x, y)
    y.backward()  # the graph is still there
    check(x.grad, [2, 4])


def test_a_head_gradient_takes_the_dtype_of_its_head():
    x = nd.array([1.0, 2.0], dtype="float16")
    x.attach_grad()
    with autograd.record():
        y = x * 3
    y.backward(nd.array([1, 2], dtype="int32"))
    assert x.grad.dtype is np.float16
    check(x.grad, [3, 6])


def test_gradients_are_written_into_views_and_other_dtypes():
    x, y = nd.array([1.0, 2.0]), nd.array([3.0, 4.0])
    gradients = nd.array([[7, 7], [7, 7], [7, 7]], dtype="int32")
    autograd.mark_variables([x, y], [gradients[0], gradients[2]], ["write", "add"])
    for _ in range(2):
        with autograd.record():
            z = x * x * y
        z.backward()
    np.testing.assert_array_equal(gradients.asnumpy(), [[6, 16], [7, 7], [7 + 2, 7 + 8]])


def test_an_array_that_wants_no_gradient_beside_one_that_does():
    x, y = variable([2.0], grad_req="null"), variable([3.0])
    x.grad[:] = 7
    with autograd.record():
        z = x * x * y
    z.backward()
    check(x.grad, [7])
    check(y.grad, [4])


def test_added_gradients_of_what_is_not_reached_stay():
    x, y = variable([2.0], grad_req="add"), variable([3.0])
    for _ in range(2):
        with autograd.record():
            z = nd.BlockGrad(x) * y + nd.floor(x) * 0
        z.backward()
    check(x.grad, [0])
    check(y.grad, [2])


@pytest.mark.parametrize("launched", [False, True], ids=["waiting", "launched"])
@pytest.mark.parametrize(
    "constant",
    [
        pytest.param(nd.BlockGrad, id="BlockGrad"),
        pytest.param(nd.stop_gradient, id="stop_gradient"),
        pytest.param(lambda x: nd.argmax(x, axis=0), id="argmax"),
        pytest.param(nd.floor, id="floor"),
        pytest.param(lambda x: x > 1, id="comparison"),
        pytest.param(lambda x: x.astype("int32"), id="integers"),
        pytest.param(lambda x: nd.one_hot(x, depth=3), id="one_hot"),
    ],
)
def test_through_what_is_constant_the_gradient_is_zero(constant, launched):
    x = variable([1.0, 2.0])
    x.grad[:] = 7
    with autograd.record():
        y = x * 2
        if launched:
            y.wait_to_read()
        z = constant(y)
    z.backward()
    check(x.grad, [0, 0])
    with autograd.record():
        z = nd.sum(constant(x * 2) * 3) + nd.sum(x)
    z.backward()
    check(x.grad, [1, 1])


def test_detached_values_are_in_no_graph():
    x = variable([1.0, 2.0])
    with autograd.record():
        for y in (x.detach(), (x * 2).detach()):
            with pytest.raises(mx.MXNetError, match="Cannot differentiate node"):
                y.backward()
        z = x.detach() * x
    z.backward()
    check(x.grad, [1, 2])


def test_gradients_of_integers_are_integers():
    x = nd.array([1, 2, 3], dtype="int32")
    x.attach_grad()
    with autograd.record():
        y = x * x * x
    y.backward()
    assert x.grad.dtype is np.int32
    np.testing.assert_array_equal(x.grad.asnumpy(), [3, 12, 27])


@pytest.mark.parametrize("fold", [nd.sum, nd.mean, nd.prod, nd.norm])
def test_gradients_of_no_elements(fold):
    if fold is nd.mean:
        return
    x = nd.zeros((0, 3))
    x.attach_grad()
    with autograd.record():
        y = fold(x * 2) + 1
    y.backward()
    assert x.grad.asnumpy().shape == (0, 3)


# Branches, loops, writes and views


def test_branches_and_loops_on_values_inside_the_graph():
    for start, expected in ((0.25, 2.0**6), (-0.25, -(2.0**6) * 3), (40.0, 2.0)):
        x = variable([start])
        with autograd.record():
            y = x * 2
            while nd.norm(y).asscalar() < 16:
                y = y * 2
            if y.asscalar() < 0:
                y = -y * 3
        y.backward()
        check(x.grad, [expected])


@pytest.mark.parametrize("launched", [False, True], ids=["waiting", "launched"])
def test_overlapping_writes_move_their_gradients(launched):
    x = variable([1.0, 2.0, 3.0])
    weights = np.array([1.0, 10.0, 100.0])
    for key, other in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None)), (slice(None), slice(None, None, -1))):
        with autograd.record():
            y = x * 2
            if launched:
                y.wait_to_read()
            y[key] = y[other]
            z = y * nd.array(weights)
        z.backward()
        position = np.arange(3)
        position[key] = position[other].copy()
        check(x.grad, 2 * np.bincount(position, weights, minlength=3))


def test_a_recorded_loop_of_writes():
    x = variable([0.5])
    with autograd.record():
        y = nd.zeros((6,))
        y[0] = x
        for i in range(1, 6):
            y[i] = y[i - 1] * y[i - 1] + x
        z = nd.sum(y)
    z.backward()
    value, slope, expected = 0.5, 1.0, 1.0
    for _ in range(5):
        slope = 2 * value * slope + 1
        value = value * value + 0.5
        expected += slope
    check(x.grad, [expected], 1e-5)


def test_what_is_written_while_not_recording_is_a_constant():
    for function in (lambda x: x * 2, nd.tanh):
        for write in (lambda y: y.__setitem__(0, 5), lambda y: y.__setitem__(slice(None), 5), lambda y: y.__iadd__(1)):
            x = variable([1.0, 2.0])
            with autograd.record():
                y = function(x)
                z = y * 3
            write(y)
            with pytest.raises(mx.MXNetError, match="Cannot differentiate node"):
                y.backward()
            z.backward()
            check(x.grad, 3 * np.array([2, 2]) if function is not nd.tanh else 3 * (1 - np.tanh([1, 2]) ** 2), 1e-5)


def test_a_view_serves_many_steps():
    x = variable(np.arange(6.0).reshape(2, 3))
    row, flat = x[1], x.reshape((6,))
    for step in range(3):
        with autograd.record():
            y = nd.sum(row * row) + flat[0] * 5
        y.backward()
        expected = np.zeros((2, 3))
        expected[1] = 2 * x.asnumpy()[1]
        expected[0, 0] = 5
        check(x.grad, expected)
        x[1, step] = 10


def test_views_taken_before_within_and_after_recording():
    x = variable([1.0, 2.0])
    before = x[0]
    with autograd.record():
        within = x[1]
        y = before * within
    after = y[0:1]
    with autograd.record():
        z = y * 2 + after  # the view was not taken while recording, but is read so
    z.backward()
    check(x.grad, [3 * 2, 3 * 1])


def test_copies_moves_and_conversions_pass_the_gradient_on():
    x = variable([1.0, 2.0])
    other = mx.gpu(0) if mx.num_gpus() else mx.cpu(1)
    with autograd.record():
        y = x.copy() + x.astype("float32") * 10 + x.astype("float16").astype("float32") * 100
        y = y + x.as_in_context(other).as_in_context(x.context) * 1000 + x.copyto(other).copyto(x.context) * 10000
    y.backward()
    check(x.grad, [11111, 11111])


def test_writes_within_record_to_what_has_a_gradient_are_errors_and_within_pause_are_not():
    x = variable([1.0, 2.0])
    view = x[0:1]
    with autograd.record():
        for write in (
            lambda: x.__setitem__(0, 1),
            lambda: x.__iadd__(1),
            lambda: view.__setitem__(slice(None), 1),
            lambda: view.__imul__(2),
            lambda: nd.add(x, x, out=x),
        ):
            with pytest.raises(mx.MXNetError, match="already in a computational graph"):
                write()
        y = x * x
        with autograd.pause():
            view += 9
        z = x * 1
    autograd.backward([y, z])
    check(x, [10, 2])
    check(x.grad, [2 * 1 + 1, 2 * 2 + 1])


# Functions, once more


class Sigmoid(autograd.Function):
    """The documentation's example: its gradient goes through its output."""

    def forward(self, x):
        y = 1 / (1 + nd.exp(-x))
        self.save_for_backward(y)
        return y

    def backward(self, dy):
        (y,) = self.saved_tensors
        return dy * y * (1 - y)


def test_a_function_that_saves_its_output_can_be_differentiated_to_any_order():
    x = variable([0.3, -1.0])
    with autograd.record():
        y = Sigmoid()(x * 2)
        (first,) = autograd.grad(y, [x], create_graph=True)
        (second,) = autograd.grad(first, [x], create_graph=True)
    second.backward()
    s = 1 / (1 + np.exp(-2 * x.asnumpy().astype(float)))
    check(first, 2 * s * (1 - s))
    check(second, 4 * s * (1 - s) * (1 - 2 * s))
    check(x.grad, 8 * s * (1 - s) * (1 - 6 * s + 6 * s * s))


def test_a_function_gives_what_forward_gives():
    class Several(autograd.Function):
        def forward(self, x, y):
            return x, x, y * 2  # an input, and twice the same array

        def backward(self, *gradients):
            return gradients[0] + gradients[1] * 10, gradients[2] * 2

    x, y = variable([1.0]), variable([2.0])
    assert isinstance(Sigmoid()(x), nd.NDArray)
    for recording in (False, True):
        with autograd.record() if recording else autograd.pause():
            results = Several()(x, y)
        assert [r.asscalar() for r in results] == [1, 1, 4]
    autograd.backward(results, [nd.array([1.0]), nd.array([2.0]), nd.array([3.0])])
    check(x.grad, [21])
    check(y.grad, [6])


def test_functions_of_functions_and_gradients_that_are_missing_or_of_another_dtype():
    class Half(autograd.Function):
        def forward(self, x, y):
            return Sigmoid()(x) * y

        def backward(self, dy):
            return dy.astype("float16") * 3, None

    x, y = variable([0.5]), variable([2.0])
    y.grad[:] = 7
    with autograd.record():
        z = Half()(x * 1, y) + Sigmoid()(x)
    z.backward()
    s = 1 / (1 + np.exp(-0.5))
    check(x.grad, [3 + s * (1 - s)])
    assert x.grad.dtype is np.float32
    check(y.grad, [0])


def test_a_function_may_forget_its_input():
    """Nothing holds the input's value then, but its record still gives its gradient."""

    class Constant(autograd.Function):
        def forward(self, x):
            return nd.ones(x.shape)

        def backward(self, dy):
            return dy

    x = variable([0.5, 1.0])
    with autograd.record():
        y = Constant()(nd.tanh(x))
    y.backward()
    check(x.grad, 1 - np.tanh(x.asnumpy()) ** 2)


def test_a_gradient_that_is_no_array_is_an_error():
    class Wrong(autograd.Function):
        def forward(self, x):
            return x * 2

        def backward(self, dy):
            return dy.asnumpy()

    x = variable([1.0])
    with autograd.record():
        y = Wrong()(x)
    with pytest.raises(TypeError, match="gradient 0 is a ndarray, neither an NDArray nor None"):
        y.backward()


# Higher orders, once more


def test_third_derivatives_mixed_through_many_operators():
    """Of f = sum over i of exp(x_i y) (x_i^3 + tanh(y x_i)) / (1 + x_i^2), against differences of second derivatives in float64."""
    if not mx.current_context().device.traits.fp64:
        return
    values = np.array([0.3, -0.7, 1.1])

    def second(shift):
        x, y = (nd.array(v, dtype="float64") for v in (values + shift, np.array([0.4])))
        x.attach_grad()
        y.attach_grad()
        with autograd.record():
            f = nd.sum(nd.exp(x * y) * (x**3 + nd.tanh(x * y)) / (1 + nd.square(x)))
            (dy,) = autograd.grad(f, [y], create_graph=True)
            (dyy,) = autograd.grad(dy, [y], create_graph=True)
        dyy.backward()
        return dyy.asscalar(), x.grad.asnumpy()

    step = 1e-5
    expected = [(second(step * np.eye(3)[i])[0] - second(-step * np.eye(3)[i])[0]) / (2 * step) for i in range(3)]
    np.testing.assert_allclose(second(0)[1], expected, rtol=1e-6)


def test_gradients_of_gradients_through_writes_views_and_broadcasting():
    x = variable([[1.0, 2.0], [3.0, 4.0]])
    with autograd.record():
        y = x * x * x
        y[0] = y[1] * 2
        y = y.T.reshape((4,))[::-1] * nd.array([1.0, 10.0, 100.0, 1000.0])
        (dx,) = autograd.grad(nd.sum(y * nd.sum(x)), [x], create_graph=True)
        z = nd.sum(dx * nd.array([[1.0, 2.0], [3.0, 4.0]]))
    z.backward()
    # y = (w_i x_1i^3): with s the sum of all, dx = s * 3 w x^2 in the second row, and the sum of w x^3 everywhere
    weights = np.array([1000 * 2 + 100, 10 * 2 + 1.0])  # of the second row: written twice over
    row = np.array([3.0, 4.0])
    total = 10.0
    expected = np.zeros((2, 2))
    expected += (np.array([3.0, 4.0]) * 3 * weights * row**2).sum()  # through s
    expected[1] += np.array([3.0, 4.0]) * 6 * weights * row * total
    expected[1] += 10 * 3 * weights * row**2  # through the sum of w x^3, which stands at all four places
    np.testing.assert_allclose(x.grad.asnumpy(), expected, rtol=1e-5)


def test_grad_retains_the_graph_where_it_was_asked_to():
    x = variable([2.0])
    with autograd.record():
        y = x * x * x
    (first,) = autograd.grad(y, [x], retain_graph=True)
    again = autograd.grad(y, x, head_grads=[nd.array([10.0])])
    check(first, [12])
    check(again, [120])
    with pytest.raises(mx.MXNetError, match="was freed"):
        autograd.grad(y, [x])


def test_grad_of_heads_themselves_and_of_what_they_do_not_depend_on():
    x, y = variable([2.0]), variable([3.0])
    with autograd.record():
        z = x * x
        own, other = autograd.grad([z, z * x], [z, y], retain_graph=True)
    check(own, [1 + 2])
    check(other, [0])
