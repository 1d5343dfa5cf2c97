"""Every operator of the table against NumPy, and its derivatives against differences. `test_mutations.py` shows that this can fail."""

from __future__ import annotations

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.ops import registry
from clnd.ops.declare import zero
from measures import CONTEXTS
from ops.case import Case
from ops.cases import CASES, ELSEWHERE
from ops.checks import backwards, check_case, check_elementwise, dtypes_of, later, on, read
from ops.gradients import check_case_gradients, check_elementwise_gradients
from ops.table import ATTRIBUTES, DTYPES, LAYOUTS, elementwise, takes

portability = pytest.mark.portability
OPERATORS = elementwise()
BINARY = [op for op in OPERATORS if len(op.names) == 2]
WITH_GRADIENT = [case for case in CASES if case.moved]


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def device(context):
    return context.device


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


def marked(items, few):
    """Some of the items as parameters of a test that is part of the portability suite for them alone."""
    return [pytest.param(item, marks=portability if item in few else ()) for item in items]


def test_every_operator_is_in_the_table():
    checked = {op.name for op in OPERATORS} | {case.operator for case in CASES} | set(ELSEWHERE)
    assert sorted(set(registry) - checked) == [], "give these a case in tests/ops/cases.py"
    assert sorted(checked - set(registry)) == [], "these are no operators any more"
    assert sorted(set(ELSEWHERE) & {case.operator for case in CASES}) == []


# Values.


@pytest.mark.parametrize("dtype", marked(DTYPES, ("float16", "float32", "int32", "bool")))
def test_elementwise_operators_of_every_dtype(dtype, device, generator):
    if np.dtype(dtype) in dtypes_of(device):
        check_elementwise(OPERATORS, np.dtype(dtype), "linear", device, generator)
    else:
        with pytest.raises(mx.MXNetError, match="has no float64"):
            on(device, np.ones(3))


@portability
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "linear"])
def test_elementwise_operators_wherever_the_elements_lie(layout, device, generator):
    check_elementwise(OPERATORS, np.dtype("float32"), layout, device, generator)


@portability
@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout != "linear"])
def test_elements_of_every_dtype_are_found_wherever_they_lie(layout, device, generator):
    for dtype in dtypes_of(device):
        check_elementwise([registry["where"]], dtype, layout, device, generator)


@portability
@pytest.mark.parametrize("case", CASES, ids=str)
def test_calls(case, device, generator):
    for dtype in dtypes_of(device, case.dtypes):
        check_case(case, dtype, device, generator)


@portability
@pytest.mark.parametrize("case", [case for case in CASES if "float32" in case.dtypes], ids=str)
def test_calls_wherever_the_elements_lie(case, device, generator):
    for placed in (backwards, later):
        check_case(case, np.dtype("float32"), device, generator, placed)


def cast(array, target):
    """What the operator declares: floats that are no integer of 32 bits, or of 64, become the smallest one, and then bits are cut off."""
    if array.dtype.kind != "f" or target.kind not in "iu":
        return array.astype(target)
    via = np.int64 if target.itemsize == 8 else np.int32
    limits, inside = np.iinfo(via), array.astype(np.longdouble)
    fits = (inside >= limits.min) & (inside <= limits.max)
    return np.where(fits, np.where(fits, inside, 0).astype(via), limits.min).astype(target)


@portability
@pytest.mark.parametrize("source", DTYPES)
def test_casts_to_every_dtype(source, device, generator):
    if np.dtype(source) not in dtypes_of(device):
        return
    special = [
        0.75,
        -0.75,
        1.5,
        -1.5,
        126.9,
        255.5,
        -129.0,
        65504.0,
        2.0**31,
        -(2.0**31),
        2.0**33 + 4096,
        -(2.0**63),
        2.0**63,
        1e30,
        np.inf,
        -np.inf,
        np.nan,
    ]
    with np.errstate(all="ignore"):
        array = generator.integers(0, 2, 70) if source == "bool" else generator.integers(-(2**62), 2**62, 70)
        array = (np.array(special * 3) if np.dtype(source).kind == "f" else array).astype(source)
        value = registry["cast"](on(device, array), dtype=source)
        results = {target: registry["cast"](value, dtype=target) for target in dtypes_of(device)}
        engine.evaluate(*results.values())
        for target, result in results.items():
            np.testing.assert_array_equal(read(result), cast(array, target), err_msg=f"{source} to {target}")


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_two_dtypes_meet_as_numpy_has_it_but_for_integers_beside_floats(first, second, device):
    if not {np.dtype(first), np.dtype(second)} <= set(dtypes_of(device)):
        return
    kinds = np.dtype(first).kind, np.dtype(second).kind
    expected = np.promote_types(first, second)
    if kinds.count("f") == 1:
        expected = np.dtype(first if kinds[0] == "f" else second)
    if expected == np.int16:  # which has no kernels
        expected = np.dtype(np.int32)
    x, y = (on(device, np.ones(3, dtype)) for dtype in (first, second))
    assert registry["multiply"](x, y).dtype == expected
    assert registry["equal"](x, y).dtype == np.bool_


@portability
def test_values_of_two_dtypes_are_converted_before(device):
    x = np.array([-3, 0, 100], np.int8)
    for dtype in ("int32", "float32", "float16", "int64"):
        y = np.array([2, 7, 100], dtype)
        np.testing.assert_array_equal(read(on(device, x) * on(device, y)), x.astype(dtype) * y)
    np.testing.assert_array_equal(read(on(device, x) + on(device, np.array([True, False, True]))), x + np.array([1, 0, 1], np.int8))


@portability
@pytest.mark.parametrize("dtype", ["float32", "int32"])
def test_numbers_beside_arrays(dtype, device, generator):
    x = on(device, generator.integers(1, 9, 37).astype(dtype))
    able = [op for op in BINARY if takes(op, np.dtype(dtype))]
    for number in (3, 2.5):
        other = on(device, np.full(37, number, np.float32 if number == 2.5 else dtype))
        shared = registry["cast"](x, dtype=dtype)
        pairs = {f"{op.name} {side}": (op(*given(number)), op(*given(other))) for op in able for side, given in sides(shared).items()}
        engine.evaluate(*(value for pair in pairs.values() for value in pair))
        for name, (got, expected) in pairs.items():
            assert got.dtype == expected.dtype, name
            np.testing.assert_array_equal(read(got), read(expected), err_msg=f"{name} with {number}")


def sides(array):
    return {"right": lambda other: (array, other), "left": lambda other: (other, array)}


@pytest.mark.parametrize("exponent", [1, 2, -1, 3, 0.5, -0.5, -2.5])
def test_powers_by_number(exponent, device):
    x = np.linspace(0.25, 4, 37).astype(np.float32)
    np.testing.assert_allclose(read(on(device, x) ** exponent), x.astype(float) ** exponent, rtol=2e-6)


def test_integers_to_a_negative_power(device):
    x = np.array([1, -1, -1, 2, -3, 0], np.int32)
    exponent = np.array([-5, -2, -3, -1, -2, -1], np.int32)
    np.testing.assert_array_equal(read(registry["power"](on(device, x), on(device, exponent))), [1, 1, -1, 0, 0, 0])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64"])
@pytest.mark.parametrize("name", ["truncated_divide", "modulo"])
def test_no_integer_division_is_undefined(name, dtype, device):
    least = np.iinfo(dtype).min
    x, y = np.array([least, least, 7, 0], dtype), np.array([-1 % 256 if dtype == "uint8" else -1, 0, 0, 0], dtype)
    got = read(registry[name](on(device, x), on(device, y)))
    np.testing.assert_array_equal(got, [least if name == "truncated_divide" and least else 0, 0, 0, 0])


@pytest.mark.portability
def test_modulo_is_exact_however_large_the_quotient(device, generator):
    count = 5000
    y = np.ldexp(generator.uniform(1, 2, count), generator.integers(-60, 60, count)).astype(np.float32)
    far = y * np.ldexp(generator.uniform(1, 2, count), generator.integers(-20, 66, count)).astype(np.float32)
    whole = y * generator.integers(1, 2**24, count).astype(np.float32)
    special = np.array([[np.inf, 1], [np.nan, 1], [1, np.nan], [1, 0], [0, 1], [-0.0, 1], [3, np.inf], [np.inf, np.inf]] * 3, np.float32)
    x = np.concatenate([far, whole, np.nextafter(whole, np.float32(np.inf)), special[:, 0]])
    y = np.concatenate([y, y, y, special[:, 1]])
    x, y = (generator.choice(np.float32([-1, 1]), each.size) * each for each in (x, y))
    with np.errstate(invalid="ignore"):
        expected = np.mod(x, y)
    got = read(registry["modulo"](on(device, x), on(device, y)))
    np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_constants_and_ranges(dtype, device):
    if np.dtype(dtype) not in dtypes_of(device):
        return
    for shape in ((), (0, 3), (3, 1), (70_001,)):
        np.testing.assert_array_equal(read(registry["full"](shape=shape, value=1, dtype=dtype, device=device)), np.ones(shape, dtype))
    if dtype != "bool":
        for count in (0, 1, 50):
            numbers = registry["arange"](start=3, step=2, count=count, dtype=dtype, device=device)
            np.testing.assert_array_equal(read(numbers), np.arange(3, 3 + 2 * count, 2).astype(dtype))


def test_split_gives_the_parts(device):
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    parts = registry["split"](on(device, x), sections=[(0, 1), (1, 4)], axis=1)
    for part, expected in zip(parts, (x[:, :1], x[:, 1:]), strict=True):
        np.testing.assert_array_equal(read(part), expected)


@pytest.mark.parametrize("dtype", ["float32", "bool"])
def test_transfer_moves_values(dtype):
    here, there = mx.cpu(0).device, CONTEXTS[-1].device
    x = np.array([[1, 0, 2], [0, 0, 1]], dtype)
    moved = registry["transfer"](registry["transpose"](on(here, x)), device=there, source=here)
    assert moved.device is there
    np.testing.assert_array_equal(read(moved), x.T)


# Derivatives.


@pytest.mark.parametrize(
    ("order", "squared"),
    [pytest.param(1, False, marks=portability), (2, False), (2, True), (3, True)],
    ids=["first", "second", "second of the square", "third of the square"],
)
def test_derivatives_of_elementwise_operators(order, squared, context, device, generator):
    few = {"multiply", "divide", "power", "tanh", "exp", "sqrt", "sigmoid", "sin", "where", "maximum"}
    chosen = [op for op in OPERATORS if op.rules and (order < 3 or op.name in few)]
    check_elementwise_gradients(chosen, order, squared, context, device, generator)


SIMPLE = {"sum", "max", "dot", "softmax", "take", "concat", "transpose", "multiply", "divide"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=portability if case.operator in SIMPLE else ()) for case in WITH_GRADIENT], ids=str
)
def test_derivatives_of_calls(case, context, device, generator):
    check_case_gradients(case, context, device, generator)


@pytest.mark.parametrize(
    "case",
    [
        Case("softmax", ((2, 3),)),
        Case("matmul", ((1, 2, 3), (1, 3, 2))),
        Case("norm", ((5,),), {"keepdims": True}),
    ],
    ids=str,
)
def test_third_derivatives_of_calls(case, context, device, generator):
    check_case_gradients(case, context, device, generator, order=3)


def test_operators_without_a_gradient_give_zeros(context):
    without = {case.operator for case in CASES if not case.op.differentiable}
    of_own_shapes = {"nms_order", "roi_places", "counts"}  # which they give positions or numbers of
    assert without - of_own_shapes == {"argmax", "argmin", "stop_gradient"}
    for op in [*OPERATORS, *map(registry.get, without - of_own_shapes)]:
        if all(rule is zero for rule in op.rules):
            arrays = [nd.array([[1.5, 2.5]], ctx=context) for _ in op.names]
            for array in arrays:
                array.attach_grad()
            with autograd.record():
                result = nd.NDArray(op(*(array.value for array in arrays), **ATTRIBUTES.get(op.name, {})), context)
                gradients = autograd.grad([result, arrays[0] * 1], arrays)
            for gradient, expected in zip(gradients, (1, 0), strict=False):
                np.testing.assert_array_equal(gradient.asnumpy(), np.full((1, 2), expected), err_msg=op.name)


def test_gradients_beside_numbers_are_those_beside_arrays(context):
    def gradients(other):
        leaves, results = [], []
        with autograd.record():
            for op in (op for op in BINARY if any(rule is not zero for rule in op.rules)):
                for side in ("left", "right"):
                    leaves.append(nd.array([0.5, 1.75], ctx=context))
                    leaves[-1].attach_grad()
                    results.append(nd.NDArray(op(*sides(leaves[-1].value)[side](other)), context))
        return autograd.grad(results, leaves)

    both = gradients(1.25), gradients(nd.array([1.25, 1.25], ctx=context).value)
    assert len(both[0]) > 16
    for got, expected in zip(*both, strict=True):
        np.testing.assert_array_equal(got.asnumpy(), expected.asnumpy())


@portability
def test_each_gradient_has_the_dtype_of_its_array(context):
    x, y, z = (nd.array([1, 2, 3], dtype=dtype, ctx=context) for dtype in ("float16", "float32", "int32"))
    for array in (x, y, z):
        array.attach_grad()
    with autograd.record():
        total = (x * y * z).sum()
    total.backward()
    for array, expected in ((x, [1, 4, 9]), (y, [1, 4, 9]), (z, [1, 4, 9])):
        assert array.grad.dtype == array.dtype
        np.testing.assert_array_equal(array.grad.asnumpy(), expected)


# Wrong input.


def ones(*shape, dtype="float32"):
    return on(mx.cpu().device, np.ones(shape, dtype))


def refused(op, *arrays, **attributes):
    """Check that a call is refused with an error that names the operator."""
    with pytest.raises(mx.MXNetError) as caught:
        op(*arrays, **attributes)
    assert op.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
def test_elementwise_operators_refuse_wrong_arrays_and_attributes(op):
    attributes = ATTRIBUTES.get(op.name, {})
    arrays = [ones(3) for _ in op.names]
    assert "colour" in refused(op, *arrays, **attributes, colour=1)
    refused(op, *arrays, ones(3), **attributes)
    if len(arrays) > 1:
        text = refused(op, ones(3), *arrays[2:], ones(4), **attributes)
        assert "[3]" in text
        assert "[4]" in text
    if "bool" not in op.code and op.promote == "same":
        assert "bool" in refused(op, *(ones(3, dtype="bool") for _ in op.names), **attributes)


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "mean", "norm", "argmax", "argmin"])
def test_reductions_refuse_wrong_axes_and_attributes(name):
    op = registry[name]
    assert "axis 2" in refused(op, ones(2, 3), axis=2)
    assert "colour" in refused(op, ones(2, 3), colour=1)
    if not name.startswith("arg"):
        refused(op, ones(2, 3), axis=(0, 0))
    if name in ("max", "min", "argmax", "argmin"):
        assert "(2, 0)" in refused(op, ones(2, 0), axis=1)


@pytest.mark.parametrize(
    ("name", "shapes", "attributes"),
    [
        ("reshape", [(2, 3)], {"shape": (4,)}),
        ("reshape", [(2, 3)], {"shape": (-1, -1)}),
        ("reshape", [(2, 3)], {"shape": (-1, 4)}),
        ("reshape", [(2, 3)], {}),
        ("transpose", [(2, 3)], {"axes": (0, 0)}),
        ("transpose", [(2, 3)], {"axes": (0, 2)}),
        ("broadcast_to", [(2, 3)], {"shape": (3, 3)}),
        ("broadcast_to", [(2, 3)], {"shape": (3,)}),
        ("broadcast_like", [(2, 3), (4, 3)], {}),
        ("expand_dims", [(2, 3)], {"axis": 3}),
        ("squeeze", [(2, 1)], {"axis": 0}),
        ("flatten", [()], {}),
        ("flip", [(2, 3)], {"axis": 2}),
        ("slice_axis", [(2, 3)], {"axis": 2, "begin": 0, "end": 1}),
        ("concat", [(2, 3), (3, 2)], {"dim": 0}),
        ("concat", [(2, 3), (2,)], {"dim": 0}),
        ("concat", [(2, 3)], {"dim": 2}),
        ("stack", [(2, 3), (3, 2)], {}),
        ("repeat", [(2, 3)], {"repeats": 2, "axis": 2}),
        ("swapaxes", [(2, 3)], {"dim1": 0, "dim2": 2}),
        ("dot", [(2, 3), (2, 3)], {}),
        ("dot", [(), (2, 3)], {}),
        ("batch_dot", [(2, 3), (3, 2)], {}),
        ("batch_dot", [(2, 3, 4), (3, 4, 2)], {}),
        ("batch_dot", [(2, 3, 4), (2, 3, 2)], {}),
        ("take", [(2, 3), (2,)], {"mode": "wrong"}),
        ("take", [(2, 3), (2,)], {"axis": 2}),
        ("pick", [(2, 3), (3,)], {}),
        ("Embedding", [(2,), (3,)], {}),
        ("Embedding", [(2,), (3, 4)], {"input_dim": 4, "output_dim": 4}),
        ("softmax", [(2, 3)], {"axis": 2}),
        ("log_softmax", [(2, 3)], {"axis": -3}),
        ("Activation", [(2, 3)], {"act_type": "wrong"}),
        ("FullyConnected", [(2, 3), (4, 2)], {}),
        ("FullyConnected", [(2, 3), (4, 3)], {"num_hidden": 5}),
        ("FullyConnected", [(2, 3), (4, 3), (3,)], {}),
        ("softmax_cross_entropy", [(2, 3), (3,)], {}),
        ("norm", [(2, 3)], {"ord": 3}),
        ("cast", [(2, 3)], {}),
    ],
)
def test_other_operators_refuse_wrong_shapes_and_attributes(name, shapes, attributes):
    refused(registry[name], *(ones(*shape) for shape in shapes), **attributes)


@portability
@pytest.mark.parametrize("mode", ["clip", "wrap"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 4), 1), ((3, 5000), 1), ((5, 1300), 0), ((2, 90, 37), 1), ((6,), 0), ((0, 4), 1)])
def test_the_gradient_of_pick_lies_where_it_was_picked(shape, axis, mode, context, device, generator):
    """Rows that are written in parts, alone, and several together."""
    x = nd.array(np.ones(shape), ctx=context)
    kept = (*shape[:axis], 1, *shape[axis + 1 :])
    index = generator.integers(-3, shape[axis] + 3, kept)
    weights = generator.integers(1, 9, kept).astype("float32")
    x.attach_grad()
    for keepdims in (True, False):
        with autograd.record():
            z = nd.pick(x, nd.array(index, ctx=context), axis=axis, mode=mode, keepdims=keepdims)
        z.backward(nd.array(weights.reshape(z.shape), ctx=context))
        assert z.shape == (kept if keepdims else shape[:axis] + shape[axis + 1 :] or (1,))
        n = shape[axis]
        found = np.clip(index, 0, n - 1) if mode == "clip" else index % n
        wanted = np.zeros(shape, "float32")
        np.put_along_axis(wanted, found, weights, axis)
        np.testing.assert_array_equal(x.grad.asnumpy(), wanted)


def test_positions_out_of_range_are_refused():
    five = on(mx.cpu().device, np.array([0, 5], np.int32))
    with pytest.raises(IndexError, match="take: index 5 is out of bounds for an axis of 5"):
        registry["take"](ones(5), five, mode="raise")
    with pytest.raises(IndexError, match="nothing to pick"):
        registry["take"](ones(0), five)
    with pytest.raises(IndexError, match="a mask of shape"):
        registry["boolean_mask"](ones(3, 4), ones(4, dtype="bool"))


def test_a_dtype_that_no_kernel_handles_is_refused():
    for dtype in ("complex64", "str", "no such dtype"):
        with pytest.raises(TypeError, match="is not supported; the dtypes are float16"):
            registry["cast"](ones(3), dtype=dtype)
