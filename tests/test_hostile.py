"""What nobody should give: every operator answers it, or refuses it with an error that names the operator; nothing reaches memory."""

import importlib.util
import random
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import clnd as mx
from clnd import engine, nd
from clnd.cli.kernels import read_context
from clnd.errors import DTypeError
from clnd.opencl.settings import switch
from measures import forget_kernels

spec = importlib.util.spec_from_file_location("fuzz_calls", Path(__file__).parents[1] / "tools" / "fuzz_calls.py")
fuzz_calls = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz_calls)

CALLS = {}
for call in fuzz_calls.table():
    CALLS.setdefault(call.name, []).append(call)


@st.composite
def wrong_calls(draw):
    """A call of some operator with one argument or two replaced."""
    call = draw(st.sampled_from(CALLS[draw(st.sampled_from(sorted(CALLS)))]))
    changes = list(fuzz_calls.changes(call))
    places = st.lists(st.integers(0, len(changes) - 1), min_size=1, max_size=2)  # sampled_from would hash every change
    return call, list({changes[place][0]: changes[place] for place in draw(places)}.values())


@settings(derandomize=True, max_examples=max(1500, settings().max_examples), suppress_health_check=list(HealthCheck))
@given(wrong_calls())
def test_an_operator_answers_or_refuses(change):
    """The last word on what is left is tools/fuzz_calls.py, which makes all of these calls, and lets their kernels run."""
    with fuzz_calls.no_kernels():
        problem = fuzz_calls.attempt(*change, finish=False)
    assert problem is None, f"{fuzz_calls.describe(*change)}: {problem}"


def test_two_arguments_are_replaced_at_once():
    for call, made in fuzz_calls.doubled(20, "softmax", random.Random(0)):
        (first, _), (second, _) = made
        assert "softmax" in call.name and first != second
        assert {name for name, _ in fuzz_calls.changes(call)} >= {first, second}


def test_errors_of_python_name_the_operator():
    """What comes out of an operator without a word of its own."""
    with pytest.raises(mx.MXNetError, match=r"^softmax: temperature|^softmax cannot be called with data=.*temperature=") as caught:
        nd.softmax(nd.ones((2, 3)), temperature=(1, 2))
    assert isinstance(caught.value, TypeError) or isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda x: x + [[1], [2, 3]], "add: an operand is no array"),
        (lambda x: nd.take(x, np.array(["a"])), "take: an operand's dtype"),
        (lambda x: nd.from_numpy(np.array(["a"])), "from_numpy: dtype"),
        (lambda x: x.astype("int64") * float("nan"), "multiply: the number nan"),
        (lambda x: nd.contrib.boolean_mask(x, nd.ones(2)), "boolean_mask: a mask"),
        (lambda x: x.as_in_context(nd.zeros(3)), "as_in_context takes a context"),
    ],
)
def test_errors_about_operands_name_what_was_called(work, said):
    with pytest.raises(mx.MXNetError, match=f"^{said}"):
        work(nd.ones(3))


@pytest.mark.parametrize(
    ("attribute", "given", "said"),
    [
        ("axis", 1.0, "axis must be an int"),
        ("axis", "0", "axis must be an int"),
        ("axis", (0,) * 100, "axis has more numbers than an array has axes"),
        ("keepdims", "False", "keepdims must be True or False"),
        ("keepdims", 0.5, "keepdims must be True or False"),
    ],
)
def test_attributes_are_checked_by_their_kind(attribute, given, said):
    with pytest.raises(mx.MXNetError, match=f"max: {said}"):
        nd.max(nd.ones((2, 3)), **{attribute: given})


@pytest.mark.parametrize("shape", [(1 << 40,) * 5, (1 << 62, 1 << 62), (1 << 62,)])
def test_products_of_sizes_that_overflow(shape):
    """No array of such a shape is made, by whatever name it is asked for."""
    for make in (nd.zeros, nd.random.uniform, nd.ones((1,) * len(shape)).broadcast_to, lambda shape: nd.tile(nd.ones(1), shape)):
        with pytest.raises(mx.MXNetError, match="room for"):
            make(shape=shape).asnumpy()
    assert nd.zeros((0, 1 << 50)).sum().asscalar() == 0


@pytest.mark.parametrize("depth", [-1, -(1 << 40)])
def test_there_is_no_axis_of_less_than_nothing(depth):
    with pytest.raises(mx.MXNetError, match=f"one_hot: depth must be 0 or more, but is {depth}"):
        nd.one_hot(nd.array([0, 1]), depth=depth)


def test_there_are_no_more_axes_than_arrays_can_have():
    x = nd.ones((1,) * 32)
    for work in (
        lambda: nd.expand_dims(x, 0),
        lambda: nd.stack(x, x),
        lambda: x[None],
        lambda: nd.tile(x, (1,) * 33),
        lambda: nd.zeros((1,) * 33),
        lambda: x.reshape((1,) * 1000),
        lambda: x.broadcast_to((2,) * 33),
    ):
        with pytest.raises(mx.MXNetError, match="32"):
            work().wait_to_read()


@pytest.mark.parametrize(
    "dtype",
    ["float32{", "${1}", "int32\n", "float32;", "float", ">f4", "O", "V8", "complex64", "M8[s]", "int16", np.dtype([("float32", "f4")]), 5],
    ids=repr,
)
def test_a_dtype_comes_from_a_closed_set(dtype):
    x = nd.ones(3)
    if dtype == "float":  # NumPy's name of float64
        assert nd.zeros(3, dtype=dtype).dtype == np.float64
        return
    for work in (
        lambda: nd.zeros(3, dtype=dtype),
        lambda: nd.array([1], dtype=dtype),
        lambda: x.astype(dtype),
        lambda: nd.cast(x, dtype=dtype),
        lambda: nd.random.uniform(shape=3, dtype=dtype),
        lambda: nd.argsort(x, dtype=dtype),
    ):
        with pytest.raises((DTypeError, TypeError)):
            work()


@pytest.mark.parametrize("text", ["cpu(0); evil", "cpu(0)\n", "gpu(${1})", "cpu(__import__('os'))", "cpu(-1)"])
def test_a_context_is_read_by_a_pattern(text):
    with pytest.raises(ValueError, match="a context is given as"):
        read_context(text)


def test_a_name_that_is_given_is_no_part_of_a_kernel(monkeypatch):
    seen = []
    forget_kernels(monkeypatch)
    monkeypatch.setattr("clnd.opencl.program.Programs.kernel", lambda *about: seen.append(repr(about)) or pytest.skip("no kernel known"))
    try:
        with engine.eager():
            nd.exp(nd.ones((2, 3)), name="evil; }").wait_to_read()
    except pytest.skip.Exception:
        pass
    assert seen and not any("evil" in about for about in seen)


@pytest.mark.parametrize("value", ["yes", "2", "0x1", "-1", "true", "\x00".join("ab").replace("\x00", "\n"), "1" * 1000])
def test_a_switch_that_is_neither_on_nor_off(monkeypatch, value):
    for variable in ("CLND_EAGER", "CLND_TUNE"):
        monkeypatch.setenv(variable, value)
        with pytest.raises(mx.MXNetError, match=rf"^{variable}='.*it is 0 or 1, or not set"):
            switch(variable)
        for sound in ("", "0", "1", " 1 "):
            monkeypatch.setenv(variable, sound)
            assert switch(variable) == sound.strip()
