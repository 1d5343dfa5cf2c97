"""clnd's answers beside those that MXNet 1.9.1 gave. tools/compare_mxnet.py has the calls, mxnet_answers.npz the answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, nd

spec = importlib.util.spec_from_file_location("compare_mxnet", Path(__file__).parents[1] / "tools" / "compare_mxnet.py")
compare_mxnet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compare_mxnet)

CALLS = {str(call): call for call in compare_mxnet.calls()}
ANSWERS = compare_mxnet.recorded(compare_mxnet.ANSWERS)

# Where clnd differs on purpose: the call, how the difference reads, and why it is so.
CONSTANT = ("Cannot differentiate", "a constant: nothing of it is on the tape, so that a backward pass from it alone is an error")
NOTHING = ("array 0: values", "the maximum of a window with nothing in it is -inf, and not the least finite number")
DIFFERENT = {
    "nd.zeros_like 3x4": CONSTANT,
    "nd.ones_like 3x4": CONSTANT,
    "nd.broadcast_power 2x3+2x1": ("array 2: values", "0 ** 1 has the derivative 0 in its exponent, where MXNet computes 0 * log(0)"),
    "nd.broadcast_mod 2x3+2x1": ("array 0: values [nan", "as in NumPy and IEEE 754 the remainder of a float by 0 is NaN"),
    "nd.LeakyReLU 3x4 act_type=selu slope=0.3": ("array 1: values", "MXNet's derivative below 0 is not that of its function"),
    "nd.SoftmaxActivation 2x3x4 mode=instance": (
        "array 1: values",
        "MXNet's derivative is not that of its function for more than two axes",
    ),
    "nd.Pooling 1x2x6x7 pooling_convention=full kernel=(2,2) stride=(3,1) pad=(0,0) pool_type=max": NOTHING,
    "nd.Pooling 1x2x6x7 pooling_convention=full kernel=(3,2) stride=(2,2) pad=(1,1) pool_type=max": NOTHING,
    "nd.BatchNorm 2x3x4+3+3+3+3": ("8 arrays, not 9", "MXNet writes ones into a fixed gamma"),
}


def test_every_call_has_an_answer():
    assert len(CALLS) == len(list(compare_mxnet.calls())), "calls are told apart by their names, shapes and attributes"
    assert sorted(CALLS) == sorted(ANSWERS)
    assert sorted(set(DIFFERENT) - set(CALLS)) == []


@pytest.mark.parametrize("name", CALLS, ids=list(CALLS))
def test_answers(name):
    found = compare_mxnet.compared(mx, ANSWERS, CALLS[name])
    if name in DIFFERENT:
        expected, _ = DIFFERENT[name]
        assert expected in found, "this differs no more: take it off the list"
    else:
        assert found == ""


def outcome(call, **given):
    """The results of a call with the same random numbers each time, and its arrays afterwards."""
    mx.random.seed(3)
    function = mx
    for part in call.name.split("."):
        function = getattr(function, part)
    arrays = [nd.array(array, dtype=array.dtype) for array in call.arrays]
    with autograd.train_mode():
        results = function(*arrays, **call.attributes, **given)
    return list(results) if isinstance(results, (list, tuple)) else [results], arrays


@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("nd.onehot_encode")])  # whose `out` is no choice
def test_results_go_into_given_arrays(name):
    call = CALLS[name]
    expected, arrays = outcome(call)
    out = [nd.full(x.shape, 7, dtype=x.dtype) for x in expected]
    results, again = outcome(call, out=out if len(out) > 1 else out[0], name="x")
    assert len(results) == len(out)
    for result, given in zip(results, out, strict=True):
        assert result is given
    for x, y in zip([*expected, *arrays], [*out, *again], strict=True):
        np.testing.assert_array_equal(x.asnumpy(), y.asnumpy())
    wide = [nd.zeros((*x.shape, 2)) for x in expected]
    with pytest.raises(mx.MXNetError, match=r"out (has|is)"):
        outcome(call, out=wide if len(wide) > 1 else wide[0])
    with pytest.raises(mx.MXNetError, match=r"out is"):
        outcome(call, out=[*wide, nd.zeros(1)])


def test_a_wrong_answer_is_found(monkeypatch):
    call = CALLS["nd.tanh 3x4"]
    monkeypatch.setattr(nd, "tanh", lambda x: nd.sin(x))
    assert "array 0: values" in compare_mxnet.compared(mx, ANSWERS, call)
    monkeypatch.setattr(nd, "tanh", lambda x: nd.stop_gradient(nd.sin(x)) + 0 * x)
    assert "array 1: values" in compare_mxnet.compared(mx, ANSWERS, call)
    monkeypatch.setattr(nd, "tanh", lambda x: x.astype("float64"))
    assert "array 0: dtype" in compare_mxnet.compared(mx, ANSWERS, call)
