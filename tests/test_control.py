"""Loops and choices as functions, and their gradients."""

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd

contrib = nd.contrib


def numbers(arrays):
    """The values, nested as the arrays are."""
    return [numbers(one) for one in arrays] if isinstance(arrays, (list, tuple)) else arrays.asnumpy().tolist()


def test_foreach_hands_states_on():
    x, start = nd.array([[1, 2], [3, 4], [5, 6]]), nd.zeros((2,))
    sums, last = contrib.foreach(lambda row, total: (row + total, row + total), x, start)
    assert numbers(sums) == [[1, 2], [4, 6], [9, 12]]
    assert numbers(last) == [9, 12]


def test_foreach_keeps_the_nesting_of_rows_outputs_and_states():
    x, y, start = nd.array([[1, 2], [3, 4]]), nd.array([10, 20]), nd.array([0, 0])

    def body(rows, states):
        first, (second,) = rows
        (total,) = states
        return (first, [total, [second]]), [total + first * second]

    outputs, states = contrib.foreach(body, [x, [y]], [start])
    assert numbers(outputs) == [[[1, 2], [3, 4]], [[[0, 0], [10, 20]], [[[10], [20]]]]]
    assert numbers(states) == [[70, 100]]


def test_foreach_without_rows_states_or_outputs():
    x = nd.array([[1, 2], [3, 4]])
    assert numbers(contrib.foreach(lambda row, states: (row, states), x, [])) == [[[1, 2], [3, 4]], []]
    assert contrib.foreach(lambda row, states: ([], states), x, x)[0] == []
    outputs, states = contrib.foreach(lambda row, states: (row, states), nd.zeros((0, 2)), x)
    assert outputs == []
    assert states is x


def test_gradients_flow_through_foreach():
    x, w = nd.array([[1, 2], [3, 4]]), nd.array([2, 2])
    x.attach_grad()
    w.attach_grad()
    with autograd.record():
        outputs, last = contrib.foreach(lambda row, s: (row * w + s, row * w + s), x, nd.zeros((2,)))
        z = (outputs * outputs).sum() + last.sum()
    z.backward()
    assert numbers(x.grad) == [[42, 66], [34, 50]]
    assert numbers(w.grad) == [72, 166]


def test_while_loop_stacks_outputs_up_to_its_bound():
    def step(i, total):
        return (i * 2, total), (i + 1, total + i)

    start = [nd.array([0]), nd.array([5])]
    outputs, variables = contrib.while_loop(lambda i, total: i < 3, step, start, max_iterations=4)
    assert numbers(outputs) == [[[0], [2], [4], [0]], [[5], [5], [6], [0]]]
    assert numbers(variables) == [[3], [8]]
    outputs, variables = contrib.while_loop(lambda i, total: True, step, start, max_iterations=2)
    assert numbers(outputs) == [[[0], [2]], [[5], [5]]]
    assert contrib.while_loop(lambda i, total: 0, step, start, max_iterations=2) == ([], start)


def test_while_loop_of_one_variable_and_without_outputs():
    outputs, i = contrib.while_loop(lambda i: i < 2, lambda i: (i, i + 1), nd.array([0]), max_iterations=3)
    assert (numbers(outputs), numbers(i)) == ([[0], [1], [0]], [2])
    for nothing in (None, []):
        outputs, i = contrib.while_loop(lambda i: i < 2, lambda i, nothing=nothing: (nothing, i + 1), [nd.array([0])], max_iterations=3)
        assert (outputs, numbers(i)) == ([], [[2]])


def test_gradients_flow_through_while_loop():
    x = nd.array([1.5])
    x.attach_grad()
    with autograd.record():
        outputs, (power, _) = contrib.while_loop(
            lambda p, i: i < 3, lambda p, i: (p, [p * x, i + 1]), [nd.array([1]), nd.array([0])], max_iterations=5
        )
        z = power + outputs.sum()
    z.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), [3 * 1.5**2 + 2 * 1.5 + 1])


def test_cond_chooses_and_its_gradient_is_that_of_the_choice():
    x = nd.array([3.0])
    x.attach_grad()
    with autograd.record():
        z = contrib.cond(x > 2, lambda: x * x, lambda: x) + contrib.cond(False, lambda: x, lambda: x * 10)
    z.backward()
    assert (numbers(z), numbers(x.grad)) == ([39], [16])


@pytest.mark.parametrize(
    ("call", "kind", "word"),
    [
        (lambda x: contrib.foreach(lambda row, s: (row, s), 3, x), TypeError, "int"),
        (lambda x: contrib.foreach(lambda row, s: (row, s), x, None), TypeError, "NoneType"),
        (lambda x: contrib.foreach(lambda row, s: (1, s), x, x), TypeError, "int"),
        (lambda x: contrib.foreach(lambda row, s: (row, s), [], x), ValueError, "empty"),
        (lambda x: contrib.foreach(lambda row, s: (row, s), [x, nd.zeros((3,))], x), ValueError, "common"),
        (lambda x: contrib.foreach(lambda row, s: ([row] * int(row.asscalar()), s), x, []), ValueError, "number"),
        (lambda x: contrib.while_loop(lambda x: True, lambda x: (x, x), x), ValueError, "max_iterations"),
        (lambda x: contrib.while_loop(lambda: True, lambda: (x, x), [], max_iterations=1), ValueError, "no element"),
        (lambda x: contrib.while_loop(lambda x: True, lambda x: (x, [x, x]), [x], max_iterations=1), ValueError, "2 loop variables"),
        (lambda x: contrib.while_loop(lambda x: x, lambda x: (x, x), [x], max_iterations=1), ValueError, "not a scalar"),
        (lambda x: contrib.cond(x, lambda: x, lambda: x), ValueError, "not a scalar"),
    ],
)
def test_wrong_input_is_refused(call, kind, word):
    with pytest.raises(mx.MXNetError, match=word) as caught:
        call(nd.array([1, 2]))
    assert isinstance(caught.value, kind)
