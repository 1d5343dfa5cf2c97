"""Every operator of the table against NumPy, and its derivatives against differences; and that the checks find what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import engine, ops
from clnd.engine import Folding, launch
from clnd.ops import declare, registry
from ops.cases import CASES, ELSEWHERE, Case
from ops.checks import check_case, check_elementwise, dtypes_of
from ops.gradients import check_derivative
from ops.table import DTYPES, LAYOUTS, elementwise

CONTEXTS = [mx.cpu(0), *([mx.gpu(0)] if mx.num_gpus() else [])]
PORTABLE = ("float16", "float32", "int32", "bool")


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator():
    return np.random.default_rng(1234)


def has(device, *names):
    return device.traits.fp64 or "float64" not in names


# Values


@pytest.mark.portability
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", PORTABLE)
def test_elementwise_operators_give_what_numpy_gives(dtype, layout, context, generator):
    check_elementwise(elementwise(), np.dtype(dtype), layout, context.device, generator)


@pytest.mark.parametrize("layout", ["linear", "row, steps, one"])
@pytest.mark.parametrize("dtype", [name for name in DTYPES if name not in PORTABLE])
def test_elementwise_operators_of_other_dtypes_give_what_numpy_gives(dtype, layout, context, generator):
    if has(context.device, dtype):
        check_elementwise(elementwise(), np.dtype(dtype), layout, context.device, generator)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_calls_give_what_numpy_gives(case, context, generator):
    for dtype in dtypes_of(context.device, case.dtypes):
        check_case(case, dtype, context.device, generator)


@pytest.mark.portability
@pytest.mark.parametrize("case", CASES, ids=str)
def test_calls_on_arrays_that_lie_transposed_and_backwards_give_the_same(case, context, generator):
    for dtype in dtypes_of(context.device, [name for name in case.dtypes if name == "float32"] or case.dtypes[:1]):
        check_case(case, dtype, context.device, generator, strided=True)


def test_every_operator_is_checked():
    checked = {op.name for op in elementwise()} | {case.operator for case in CASES} | set(ELSEWHERE)
    assert sorted(set(registry) - checked) == []
    assert sorted(set(ELSEWHERE) & {case.operator for case in CASES}) == []


@pytest.mark.parametrize("target", DTYPES)
def test_casts_from_every_dtype(target, context, generator):
    device = context.device
    if not has(device, target):
        return
    for source in dtypes_of(device):
        given = generator.integers(0, 2 if source.kind == "b" else 100, 70).astype(source)
        if source.kind == "f":
            given = given + np.asarray(0.75, source)
        value = registry["cast"](engine.from_numpy(given, device), dtype=target)
        np.testing.assert_array_equal(engine.to_numpy(value), given.astype(target), err_msg=f"{source} to {target}")


@pytest.mark.parametrize("exponent", [1, 2, -1, 3, 0.5, -2.5])
def test_powers_by_number(exponent, context):
    x = np.linspace(0.25, 4, 37).astype(np.float32)
    got = engine.to_numpy(engine.from_numpy(x, context.device) ** exponent)
    np.testing.assert_allclose(got, x.astype(float) ** exponent, rtol=2e-6)


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_and_ranges(dtype, context):
    if not has(context.device, dtype):
        return
    full = registry["full"](shape=(3, 1), value=1, dtype=dtype, device=context.device)
    np.testing.assert_array_equal(engine.to_numpy(full), np.ones((3, 1), dtype))
    if dtype != "bool":
        numbers = registry["arange"](start=3, step=2, count=50, dtype=dtype, device=context.device)
        np.testing.assert_array_equal(engine.to_numpy(numbers), np.arange(3, 103, 2).astype(dtype))


def test_split_gives_the_parts(context):
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    parts = registry["split"](engine.from_numpy(x, context.device), sections=[(0, 1), (1, 4)], axis=1)
    for part, expected in zip(parts, (x[:, :1], x[:, 1:]), strict=True):
        np.testing.assert_array_equal(engine.to_numpy(part), expected)


def test_transfer_moves_values_and_gradients():
    here, there = mx.cpu(0), CONTEXTS[-1]
    x = mx.nd.array([1.0, 2.0], ctx=here)
    x.attach_grad()
    with mx.autograd.record():
        y = x.as_in_context(there) * 3
    y.backward()
    assert y.context == there
    np.testing.assert_array_equal(x.grad.asnumpy(), [3, 3])


# Derivatives

SMOOTH = [op for op in elementwise() if op.rules and any(rule is not declare.zero for rule in op.rules)]
CONDITION = np.array([[1.0, 0, 0, 1], [0, 1, 0, 1], [1, 1, 0, 0]])
WITH_GRADIENT = [
    case
    for case in CASES
    if case.gradient and "float64" in case.dtypes and "dtype" not in case.attributes and case.op.differentiable and not case.draw
]
ATTRIBUTES = {"clip": {"a_min": -10.0, "a_max": 10.0}, "polygamma": {"order": 1}}


def elementwise_function(op):
    attributes = {name: ATTRIBUTES.get(op.name, {}).get(name, default) for name, default in op.attributes.items()}
    return lambda *values: op(*values, **attributes)


def operands(op, generator):
    low, high = op.domain
    shapes = [(3, 4), (4,), (3, 1)][: len(op.names)]
    return [generator.uniform(low, high, shape) for shape in shapes]


@pytest.fixture
def wide(context):
    """A context whose device has float64: differences in float32 would show nothing."""
    if not context.device.traits.fp64:
        pytest.skip("float64: the device has none")
    return context


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_derivatives_of_elementwise_operators(op, order, wide, generator):
    function, arrays = elementwise_function(op), operands(op, generator)
    if op.conditions:
        condition = engine.from_numpy(CONDITION, wide.device)
        check_derivative(lambda *values: function(condition, *values), arrays[1:], wide, order)
    else:
        check_derivative(function, arrays, wide, order)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("case", [case for case in WITH_GRADIENT if all(np.prod(shape) <= 400 for shape in case.shapes)], ids=str)
def test_derivatives_of_calls(case, order, wide, generator):
    arrays = [generator.uniform(*case.interval, shape) for shape in case.shapes]
    check_derivative(lambda *values: case.op(*values, **case.attributes), arrays, wide, order)


@pytest.mark.parametrize("name", ["tanh", "exp", "sqrt", "sigmoid", "divide", "power"])
def test_third_derivatives(name, wide, generator):
    op = registry[name]
    check_derivative(elementwise_function(op), operands(op, generator), wide, 3)


# Wrong input


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: registry["dot"](x, x), r"dot shape error: \[2, 3\] X \[2, 3\]"),
        (lambda x: registry["sum"](x, axis=2), "sum: axis 2 is out of bounds"),
        (lambda x: registry["sum"](x, axis=(0, 0)), "an axis is given twice"),
        (lambda x: registry["sum"](x, axes=0), "sum: no attribute axes; its attributes are axis"),
        (lambda x: registry["reshape"](x, shape=(4,)), "Cannot reshape array of size 6"),
        (lambda x: registry["transpose"](x, axes=(0, 0)), "transpose: axes"),
        (lambda x: registry["concat"](x, registry["transpose"](x), dim=0), r"concat: shapes \[2, 3\] \[3, 2\]"),
        (lambda x: x + registry["transpose"](x), r"add: operands could not be broadcast together with shapes \[2, 3\] \[3, 2\]"),
        (lambda x: registry["subtract"](registry["greater"](x, 0), registry["greater"](x, 0)), "subtract is not defined for bool"),
        (lambda x: registry["clip"](x, a_min=0), "clip: the attribute a_max must be given"),
        (lambda x: registry["pick"](x, registry["transpose"](x)), "pick: the index of shape"),
        (lambda x: registry["take"](x, x, mode="wrong"), "take: mode 'wrong'"),
        (lambda x: registry["cast"](x, dtype="complex64"), "dtype 'complex64' is not supported"),
    ],
)
def test_wrong_input_is_refused_by_name(call, message):
    x = engine.from_numpy(np.ones((2, 3), np.float32), mx.cpu().device)
    with pytest.raises(mx.MXNetError, match=message):
        call(x)


# Wrong operators are found


def case_of(operator) -> Case:
    return next(case for case in CASES if case.operator == operator and case.shapes[0] and np.prod(case.shapes[0]) > 4)


@pytest.mark.parametrize(("name", "wrong"), [("tanh", "tanh(data) * (T)(1.001)"), ("add", "lhs + rhs + (T)(1)"), ("greater", "lhs >= rhs")])
def test_a_wrong_elementwise_kernel_is_found(name, wrong, monkeypatch, generator):
    op = registry[name]
    monkeypatch.setattr(op, "code", dict.fromkeys(op.code, wrong))
    monkeypatch.setattr(op, "_expressions", {})
    with pytest.raises(AssertionError, match=name):
        check_elementwise([op], np.dtype("float32"), "linear", mx.cpu().device, generator)


@pytest.mark.parametrize(("name", "wrong"), [("sum", "a - b"), ("max", "a"), ("prod", "a + b")])
def test_a_wrong_reduction_is_found(name, wrong, monkeypatch, generator):
    op = registry[name]
    plain = op.folding

    def folding(axes, result):
        how = plain(axes, result)
        return Folding(f"wrong_{name}", how.axes, wrong, how.identity, how.common, how.result, False)

    monkeypatch.setattr(op, "folding", folding)
    monkeypatch.setattr(op, "_foldings", {})
    with pytest.raises(AssertionError):
        check_case(case_of(name), np.dtype("float32"), mx.cpu().device, generator)


def test_a_wrong_template_is_found(monkeypatch, generator):
    device = mx.cpu().device
    kernel = type(device).kernel

    def swapped(self, template, name, *, arguments=None, **parameters):
        found = kernel(self, template, name, arguments=arguments, **parameters)
        if template != "gather":
            return found
        return lambda grid, group, *given: found(grid, group, *given[:2], given[2] + 1, *given[3:])

    monkeypatch.setattr(type(device), "kernel", swapped)
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    value = registry["take"](engine.from_numpy(x, device), engine.from_numpy(np.array([0, 2], np.int64), device))
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(engine.to_numpy(value), x[[0, 2]])


@pytest.mark.parametrize("name", ["tanh", "multiply", "exp"])
@pytest.mark.parametrize("order", [1, 2])
def test_a_rule_that_is_off_by_a_factor_is_found(name, order, monkeypatch, wide, generator):
    op = registry[name]
    rule = op.rules[0]
    scaled = {
        1: lambda dz, **given: rule(dz=dz, **given) * 1.01,
        2: lambda dz, **given: registry["stop_gradient"](rule(dz=dz, **given)),  # right at first order alone
    }[order]
    needs = op._needs[0]
    wrong = lambda *given: scaled(**dict(zip(needs, given, strict=True)))  # noqa: E731
    monkeypatch.setattr(op, "rules", (wrong, *op.rules[1:]))
    with pytest.raises(AssertionError, match="derivative of order"):
        check_derivative(elementwise_function(op), operands(op, generator), wide, order)


def test_the_table_is_that_of_the_package():
    assert ops.registry is registry
    assert launch.ROUNDS * 2 < 65_535
