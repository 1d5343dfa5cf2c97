"""Checks of gradients, to any order, against differences: each raises AssertionError naming what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clnd import autograd, engine
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.declare import Elementwise
from ops.case import Case
from ops.checks import compare, evaluate_all, fail_with, on, together, unevaluated
from ops.table import ATTRIBUTES, JUMPS, Array

COUNT = 12  # numbers at which the gradients of an elementwise operator are checked

Function = Callable[[Sequence[NDArray]], list[NDArray]]


def precision(device: Any, single: bool = False) -> tuple[np.dtype[Any], float, float]:
    """What gradients are checked in, with which step, and how far off they may be; with `single` all that is for float32.

    The four-point difference is off by step**4 / 30 of the fifth derivative, and by the roundings of the function divided by the step:
    2e-15 and 5e-13 in float64; 3e-8 and 4e-6 in float32, for functions and derivatives of size 1. The bounds leave room for the larger
    fifth derivatives, of size 1e5, that some functions have near the ends of their domains, and for functions off by 16 ulps.
    """
    if device.traits.fp64 and not single:
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
    function: Function,
    arrays: Sequence[Array],
    context: Any,
    device: Any,
    order: int,
    generator: np.random.Generator,
    single: bool = False,
    apart: float = float("inf"),
) -> None:
    """Compare the gradients of a function, up to `order`, with differences in a random direction for each argument.

    Numbers that lie `apart` stay in their order on the way: where they change it, a maximum has a kink.

    From the second order on the function is the gradient of the one before, of which the weights are arguments, too (as in
    HIPS/autograd's `check_grads`). So even a linear function has a second order: what its gradient does to its weights.
    """
    dtype, step, bound = precision(device, single)
    step = min(step, apart / 5)  # each goes up to two steps to either side
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
                lambda both: backwards(function, both[:n], both[n:]),
                [*arrays, *weights],
                context,
                device,
                order - 1,
                generator,
                single,
                apart,
            )
        except AssertionError as error:
            raise AssertionError(str(error).replace("order ", "order 1 + ", 1)) from None


def check_case_gradients(case: Case, context: Any, device: Any, generator: np.random.Generator, order: int = 2) -> None:
    """Compare the gradients of a call with differences; from the second order on those of the square of its result."""
    dtype, _, _ = precision(device)
    drawn = {i: case.draw[i](generator, shape) for i, shape in enumerate(case.shapes) if i in case.draw}
    fixed = {i: on(device, array) for i, array in drawn.items() if i not in case.smooth}
    low, high = case.interval
    total = sum(int(np.prod(shape)) for i, shape in enumerate(case.shapes) if i not in drawn)
    points = distinct(total, low, high, generator)
    apart = float(np.diff(np.sort(points)).min(initial=np.inf))
    arrays = []
    for i, shape in enumerate(case.shapes):
        if i in case.smooth:
            arrays.append(drawn[i].astype(dtype))
        elif i not in fixed:
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
        check_gradients(call(squared=False), arrays, context, device, 1, generator, apart=apart)
        if order > 1:
            check_gradients(call(squared=True), arrays, context, device, order, generator, apart=apart)
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
    for i in range(op.conditions):
        arrays[i] = generator.integers(0, 2, COUNT).astype(dtype)
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
