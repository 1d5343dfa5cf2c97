"""Checks of operators: each raises AssertionError naming what is wrong. `test_operators.py` calls them for the whole table,
`test_mutations.py` for operators that were broken on purpose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clnd import autograd, engine
from clnd.engine import Value
from clnd.errors import MXNetError
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.declare import Elementwise
from ops.cases import Case
from ops.table import (
    ATTRIBUTES,
    DTYPES,
    JUMPS,
    LAYOUTS,
    NEAR_ZERO,
    ULPS,
    UNSIGNED_ZEROS,
    Array,
    View,
    computed_in,
    oracle,
    sample,
    seen,
    takes,
)

TOGETHER = 16  # elementwise operators
COUNT = 12  # numbers at which their gradients are checked

# --- arrays and values ---


def on(device: Any, array: Array, views: Sequence[View] = ()) -> Value:
    """A value with the elements of an array, seen through views on the device."""
    value = engine.from_numpy(array, device)
    for name, argument in views:
        if name == "axes":
            value = registry["transpose"](value, axes=argument)
        elif name == "window":
            windows = [part.indices(n) for part, n in zip(argument, value.shape, strict=True)]
            begin, count, step = zip(*((first, len(range(first, last, by)), by) for first, last, by in windows), strict=True)
            value = registry["window"](value, begin=begin, count=count, step=step)
        else:
            value = registry["broadcast_to"](value, shape=argument)
    return value


def unevaluated(value: Value) -> Value:
    """The same elements as a value that waits, so that what reads it is fused into one kernel with all else that does."""
    return registry["cast"](value, dtype=value.dtype)


def read(value: Value) -> Array:
    return engine.to_numpy(value)


def dtypes_of(device: Any, names: Sequence[str] = DTYPES) -> list[np.dtype[Any]]:
    """Those of the dtypes that the device has."""
    return [np.dtype(name) for name in names if name != "float64" or device.traits.fp64]


# --- comparing ---


def wide(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """In what an exact answer is computed, so that its own error does not count."""
    return np.dtype(np.longdouble) if dtype == np.float64 else np.dtype(np.float64)


def compare(
    got: Array, exact: Array, dtype: np.dtype[Any], ulps: float = 0.0, where: Any = True, allowed: Any = 0.0, zeros: bool = True
) -> str:
    """What is wrong with a result: nothing ("") if shape and dtype are right and every element is within the bound.

    Parameters
    ----------
    exact : array
        What should come out: of `dtype` already, or in a wider dtype.
    ulps : float
        How many units in the last place an element may be off. With 0 the element must be the exact one, rounded.
    where : array of bool
        Which elements to look at.
    allowed : array
        An error that is allowed besides.
    zeros : bool
        Must exact zeros have the right sign?
    """
    if got.dtype != dtype:
        return f"the dtype is {got.dtype}, not {dtype}"
    if got.shape != exact.shape:
        return f"the shape is {got.shape}, not {exact.shape}"
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        right = (got == rounded) | ((got != got) & (rounded != rounded))
        if dtype.kind == "f":
            if ulps:
                step = np.maximum(np.spacing(abs(rounded)), np.finfo(dtype).smallest_subnormal)
                allowed = allowed + (ulps if dtype != np.float16 else 0.5 + ulps / 1024) * step.astype(exact.dtype)
                right |= abs(got.astype(exact.dtype) - exact) <= allowed
            elif np.any(allowed):
                right |= abs(got.astype(exact.dtype) - exact) <= allowed
            elif zeros:
                right &= (rounded != 0) | (np.signbit(got) == np.signbit(rounded))
    wrong = ~right & where
    if not wrong.any():
        return ""
    at = tuple(int(i) for i in np.argwhere(wrong)[0]) if got.ndim else ()
    return f"{int(wrong.sum())} of {got.size} elements are wrong; at {at} there is {got[at]!r}, expected {exact[at]!r}"


def fail_with(complaints: dict[str, str]) -> None:
    assert not complaints, "\n".join(f"{name}: {text}" for name, text in complaints.items())


# --- elementwise operators, all in one go ---


def evaluate_all(values: dict[str, Value], complaints: dict[str, str]) -> None:
    """Launch as few kernels as can be. Where one cannot be built, find out which operator is to blame."""
    try:
        engine.evaluate(*values.values())
    except MXNetError:
        for name, value in list(values.items()):
            try:
                engine.evaluate(value)
            except MXNetError as error:
                complaints[name] = str(error)
                del values[name]


def together(operators: Sequence[Elementwise]) -> list[list[Elementwise]]:
    """The operators in groups that make a kernel each: fewer kernels to compile, and none so long that compilers grow slow."""
    groups = []
    for arity in sorted({len(op.names) for op in operators}):
        of_arity = [op for op in operators if len(op.names) == arity]
        groups += [of_arity[i : i + TOGETHER] for i in range(0, len(of_arity), TOGETHER)]
    return groups


def check_elementwise(
    operators: Sequence[Elementwise], dtype: np.dtype[Any], layout: str, device: Any, generator: np.random.Generator
) -> None:
    """Compare with NumPy: every operator that takes `dtype`, on operands that lie as the layout says."""
    complaints: dict[str, str] = {}
    for operands in LAYOUTS[layout]:
        given = [sample(generator, operand.shape, dtype) for operand in operands]
        arrays = [seen(array, operand.views) for array, operand in zip(given, operands, strict=True)]
        for group in together([op for op in operators if takes(op, dtype)]):
            values = [unevaluated(on(device, array, operand.views)) for array, operand in zip(given, operands, strict=True)]
            results = {op.name: op(*values[: len(op.names)], **ATTRIBUTES.get(op.name, {})) for op in group}
            evaluate_all(results, complaints)
            for op in group:
                if op.name not in complaints:
                    wrong = judge(op, arrays[: len(op.names)], read(results[op.name]), dtype)
                    if wrong:
                        complaints[op.name] = f"{wrong} ({layout}, shapes {[array.shape for array in arrays]})"
    fail_with(complaints)


def judge(op: Elementwise, arrays: Sequence[Array], got: Array, dtype: np.dtype[Any]) -> str:
    """What is wrong with the result of an elementwise operator."""
    common, ulps = computed_in(op, dtype), ULPS.get(op.name, 0)
    given = [array.astype(wide(common)) if ulps and i >= op.conditions else array.astype(common) for i, array in enumerate(arrays)]
    if op.conditions:
        given[: op.conditions] = [array != 0 for array in arrays[: op.conditions]]
    where: Any = True
    with np.errstate(all="ignore"):
        if ulps:  # looked at where the operator promises something
            low, high = op.domain
            where = np.logical_and.reduce(np.broadcast_arrays(*((low <= array) & (array <= high) for array in given)))
            given = [np.where((low <= array) & (array <= high), array, array.dtype.type((low + high) / 2)) for array in given]
        if op.name in JUMPS and common.kind == "f":
            where = where & JUMPS[op.name](*given)
        exact = np.asarray(oracle(op)(*given, **ATTRIBUTES.get(op.name, {})))
    allowed = NEAR_ZERO[op.name] * np.finfo(common).eps if op.name in NEAR_ZERO else 0.0
    return compare(got, exact, op.result or common, ulps, where, allowed, zeros=op.name not in UNSIGNED_ZEROS)


# --- one call of an operator ---


def draw(case: Case, dtype: np.dtype[Any], generator: np.random.Generator) -> list[Array]:
    """Arrays for a case: numbers of all kinds where the result is exact, else such that it is neither rounded away nor overflows."""
    arrays = []
    for position, shape in enumerate(case.shapes):
        if position in case.draw:
            array = case.draw[position](generator, shape)
        elif case.rounded is None or result_of(case, dtype).kind != "f":
            array = sample(generator, shape, dtype)
        elif dtype.kind == "f":
            array = generator.uniform(*case.interval, shape)
        else:
            array = generator.integers(-9 if dtype.kind == "i" else 0, 2 if dtype.kind == "b" else 10, shape)
        arrays.append(np.asarray(array) if position in case.draw else np.asarray(array).astype(dtype))
    return arrays


def result_of(case: Case, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a case's result for arrays of `dtype`."""
    return np.dtype(case.result(dtype) if case.result else dtype)


def turned(array: Array) -> tuple[Array, tuple[View, ...]]:
    """The array as it would have to lie in memory to be seen, as it is, transposed and backwards."""
    if not array.ndim:
        return array, ()
    backwards = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[backwards].T), (("axes", tuple(reversed(range(array.ndim)))), ("window", backwards))


def check_case(case: Case, dtype: np.dtype[Any], device: Any, generator: np.random.Generator, strided: bool = False) -> None:
    """Compare a call with NumPy's, on arrays that are contiguous or not."""
    arrays = draw(case, dtype, generator)
    values = [on(device, *turned(array)) if strided else on(device, array) for array in arrays]
    got = read(case.op(*values, **case.attributes))
    result = result_of(case, dtype)
    rounded = case.rounded is not None and result.kind == "f"
    given = [array.astype(wide(result)) if rounded and i not in case.draw else array for i, array in enumerate(arrays)]
    allowed: Any = 0.0
    with np.errstate(all="ignore"):
        exact = np.asarray(case.expected(*given, **oracle_attributes(case)))
        if rounded:
            size = abs(np.asarray(case.terms(*given, **oracle_attributes(case)) if case.terms else exact))
            computed = np.finfo(np.float32 if result == np.float16 else result)
            allowed = case.rounded * computed.eps / 2 * size + np.finfo(result).smallest_subnormal.astype(size.dtype)
            if result == np.float16:
                allowed = allowed + case.halves * np.spacing(size.astype(result)) / 2
    wrong = compare(got, exact, result, allowed=allowed)
    assert not wrong, f"{case} of {dtype}{', strided' * strided}: {wrong}"


def oracle_attributes(case: Case) -> dict[str, Any]:
    """The attributes that say more to NumPy than which dtype is wanted."""
    return {name: value for name, value in case.attributes.items() if name != "dtype" or case.rounded is None}


# --- gradients ---

Function = Callable[[Sequence[NDArray]], list[NDArray]]


def precision(device: Any) -> tuple[np.dtype[Any], float, float]:
    """What gradients are checked in, with which step, and how far off they may be.

    The four-point difference is off by step**4 / 30 of the fifth derivative, and by the roundings of the function divided by the step:
    2e-15 and 5e-13 in float64; 3e-8 and 4e-6 in float32, for functions and derivatives of size 1. The bounds leave room for the larger
    fifth derivatives, of size 1e5, that some functions have near the ends of their domains, and for functions off by 16 ulps.
    """
    if device.traits.fp64:
        return np.dtype(np.float64), 2.0**-11, 1e-7
    return np.dtype(np.float32), 2.0**-5, 1e-2


def difference(function: Callable[[float], Any], step: float) -> Any:
    """The derivative at 0 of a function of one number, by four of its values."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


def leaf(array: Array, context: Any, device: Any) -> NDArray:
    """An array with a gradient attached."""
    made = NDArray(engine.from_numpy(array, device), context)
    made.attach_grad()
    return made


def backwards(function: Function, arguments: Sequence[NDArray], weights: Sequence[NDArray]) -> list[NDArray]:
    """The gradients of the weighted sum of all results, recorded."""
    with autograd.record():
        results = function(arguments)
        traced = [(result, weight) for result, weight in zip(results, weights, strict=True) if result.value.traced]
        if not traced:
            return [NDArray(registry["zeros_like"](argument.value), argument.context) for argument in arguments]
        return autograd.grad(
            [result for result, _ in traced], arguments, head_grads=[weight for _, weight in traced], retain_graph=True, create_graph=True
        )


def check_gradients(
    function: Function, arrays: Sequence[Array], context: Any, device: Any, order: int, generator: np.random.Generator
) -> None:
    """Compare the gradients of a function, up to `order`, with differences in a random direction for each argument.

    From the second order on the function is the gradient of the one before, of which the weights are arguments, too (as in
    HIPS/autograd's `check_grads`). So even a linear function has a second order: what its gradient does to its weights.
    """
    dtype, step, bound = precision(device)
    arrays = [array.astype(dtype) for array in arrays]

    def values(at: Sequence[Array]) -> list[Array]:
        return [result.asnumpy() for result in function([leaf(array, context, device) for array in at])]

    weights = [generator.uniform(-1, 1, value.shape).astype(dtype) for value in values(arrays)]
    arguments, heads = ([leaf(array, context, device) for array in some] for some in (arrays, weights))
    found = [gradient.asnumpy() for gradient in backwards(function, arguments, heads)]
    for i, (array, gradient) in enumerate(zip(arrays, found, strict=True)):
        assert gradient.shape == array.shape, f"argument {i} of shape {array.shape} has a gradient of shape {gradient.shape}"
        assert gradient.dtype == dtype, f"the gradient of argument {i} is {gradient.dtype}, not {dtype}"
        direction = generator.uniform(-1, 1, array.shape).astype(dtype)

        def along(distance: float, i: int = i, direction: Array = direction) -> float:
            moved = [*arrays[:i], (arrays[i] + dtype.type(distance) * direction).astype(dtype), *arrays[i + 1 :]]
            return sum(float(np.sum(w.astype(float) * v)) for w, v in zip(weights, values(moved), strict=True))

        expected, got = difference(along, step), float(np.sum(gradient.astype(float) * direction))
        size = max(1.0, abs(expected), float(np.sum(abs(gradient * direction))))
        assert abs(got - expected) <= bound * size, (
            f"order 1, argument {i}: along a random direction the gradient is {got}, by differences {expected}"
        )
    if order > 1:
        n = len(arrays)
        try:
            check_gradients(
                lambda both: backwards(function, both[:n], both[n:]), [*arrays, *weights], context, device, order - 1, generator
            )
        except AssertionError as error:
            raise AssertionError(str(error).replace("order ", "order 1 + ", 1)) from None


def check_case_gradients(case: Case, context: Any, device: Any, generator: np.random.Generator, order: int = 2) -> None:
    """Compare the gradients of a call with differences; from the second order on those of the square of its result."""
    dtype, _, _ = precision(device)
    fixed = {i: on(device, case.draw[i](generator, shape)) for i, shape in enumerate(case.shapes) if i in case.draw}
    low, high = case.interval
    total = sum(int(np.prod(shape)) for i, shape in enumerate(case.shapes) if i not in fixed)
    points = distinct(total, low, high, generator)
    arrays = []
    for i, shape in enumerate(case.shapes):
        if i not in fixed:
            size = int(np.prod(shape))
            arrays.append(points[:size].reshape(shape).astype(dtype))
            points = points[size:]

    def call(squared: bool) -> Function:
        def function(arguments: Sequence[NDArray]) -> list[NDArray]:
            given = iter(arguments)
            result = case.op(*(fixed[i] if i in fixed else next(given).value for i in range(len(case.shapes))), **case.attributes)
            return [NDArray(result * result if squared else result, context)]

        return function

    try:
        check_gradients(call(squared=False), arrays, context, device, 1, generator)
        if order > 1:
            check_gradients(call(squared=True), arrays, context, device, order, generator)
    except AssertionError as error:
        raise AssertionError(f"{case}: {error}") from None


def distinct(count: int, low: float, high: float, generator: np.random.Generator) -> Array:
    """Numbers between `low` and `high` in random order, no two the same, none near a multiple of 1/2: many functions have kinks there."""
    fine = np.linspace(low, high, 16 * (count + 16))
    kept = fine[abs(2 * fine - np.rint(2 * fine)) > 0.2]
    return generator.permutation(kept[np.linspace(0, len(kept) - 1, count).astype(int)])


# --- gradients of elementwise operators, all in one go ---


def check_elementwise_gradients(
    operators: Sequence[Elementwise], order: int, squared: bool, context: Any, device: Any, generator: np.random.Generator
) -> None:
    """Compare the gradients of order `order`, of each operator or of its square, with differences of those one order below.

    What is differentiated next is a weighted sum of an operator's gradients. All is compared element by element.
    """
    dtype, step, bound = precision(device)
    complaints: dict[str, str] = {}
    for group in together(operators):
        points = {op.name: smooth_points(op, generator, dtype) for op in group}
        weights = [generator.uniform(0.5, 1.5, COUNT).astype(dtype) for _ in range(4)]

        def values(order: int, moved: int | None = None, distance: float = 0.0) -> dict[str, list[Array]]:
            """The gradients of this order of each operator, one for each of its arrays, one of which is moved."""
            shared = [NDArray(unevaluated(on(device, array)), context) for array in [*weights, np.ones(COUNT, dtype)]]
            found = {}
            for op in group:
                arrays = [array + dtype.type(distance) if i == moved else array for i, array in enumerate(points[op.name])]
                found[op.name] = derivatives(op, arrays, order, squared, shared, context, device)
            flat = {(name, i): x.value for name, some in found.items() for i, x in enumerate(some)}
            evaluate_all(flat, {})
            return {name: [x.asnumpy() for x in some] for name, some in found.items()}

        arities = range(max(len(op.names) for op in group))
        found = values(order)
        for i in arities:
            rise = {distance: values(order - 1, i, distance) for distance in (-2 * step, -step, step, 2 * step)}
            for op in group:
                if i < op.conditions or i >= len(op.names):
                    continue

                def below(distance: float, name: str = op.name) -> Array:
                    return sum(w.astype(float) * x for w, x in zip(weights, rise[distance][name], strict=False))

                got = found[op.name][i]
                wrong = compare(got, difference(below, step), dtype, allowed=bound * np.maximum(1, abs(got)))
                if wrong:
                    complaints[op.name] = f"gradient {i} of order {order}{' of the square' * squared}: {wrong}; at {points[op.name]}"
    fail_with(complaints)


def smooth_points(op: Elementwise, generator: np.random.Generator, dtype: np.dtype[Any]) -> list[Array]:
    """Arrays at which the operator can be differentiated: nowhere near a jump or a kink."""
    low, high = op.domain
    margin = (high - low) / 10  # functions grow steep near the ends, where differences are off
    numbers = distinct(COUNT * len(op.names), low + margin, high - margin, generator)
    arrays = [numbers[i * COUNT : (i + 1) * COUNT].astype(dtype) for i in range(len(op.names))]
    if op.name in JUMPS:  # at whole quotients
        arrays[0] = (arrays[1] * (generator.integers(0, 4, COUNT) + generator.uniform(0.3, 0.7, COUNT))).astype(dtype)
    return arrays


def derivatives(
    op: Elementwise, arrays: Sequence[Array], order: int, squared: bool, weights: Sequence[NDArray], context: Any, device: Any
) -> list[NDArray]:
    """The gradients of order `order` at `arrays`; for order 0 the result itself, waiting for work that all operators share."""
    *weights, one = weights
    leaves = [leaf(array, context, device) for array in arrays]
    with autograd.record():
        result = NDArray(op(*(x.value for x in leaves), **ATTRIBUTES.get(op.name, {})), context)
        if result.dtype != weights[0].dtype:
            result = result.astype(weights[0].dtype)
        found = [result * result if squared else result]
        if order == 0:
            return [x * one for x in found]
        for _ in range(order):
            heads = [(x, w) for x, w in zip(found, weights, strict=False) if x.value.traced]
            if not heads:
                return [NDArray(registry["zeros_like"](x.value), context) for x in leaves]
            found = autograd.grad([x for x, _ in heads], leaves, head_grads=[w for _, w in heads], create_graph=True)
    return found
