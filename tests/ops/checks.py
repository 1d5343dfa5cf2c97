"""Checks of what operators give: each raises AssertionError naming what is wrong. `test_operators.py` calls them for the whole table,
`test_mutations.py` for operators that were broken on purpose. `gradients.py` has those of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from clnd import engine
from clnd.engine import Value, repeats
from clnd.errors import MXNetError
from clnd.ops import registry
from clnd.ops.declare import Elementwise
from ops.case import Case
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

Placement = Callable[[Array], tuple[Array, tuple[View, ...]]]


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
        data = position not in case.draw or position in case.smooth
        arrays.append(np.asarray(array).astype(dtype) if data else np.asarray(array))
    return arrays


def result_of(case: Case, dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of a case's result for arrays of `dtype`."""
    return np.dtype(case.result(dtype) if case.result else dtype)


def compactly(array: Array) -> tuple[Array, tuple[View, ...]]:
    """The array as it is."""
    return array, ()


def backwards(array: Array) -> tuple[Array, tuple[View, ...]]:
    """The array as it would have to lie in memory to be seen, as it is, transposed and backwards."""
    if not array.ndim:
        return array, ()
    turned = (slice(None, None, -1),) * array.ndim
    return np.ascontiguousarray(array[turned].T), (("axes", tuple(reversed(range(array.ndim)))), ("window", turned))


def later(array: Array) -> tuple[Array, tuple[View, ...]]:
    """The array as rows of a larger one, in which others come first."""
    if not array.ndim:
        return array, ()
    others = array[:2]
    rows = (slice(len(others), None), *[slice(None)] * (array.ndim - 1))
    return np.concatenate([others, array]), (("window", rows),)


def check_case(case: Case, dtype: np.dtype[Any], device: Any, generator: np.random.Generator, placed: Placement = compactly) -> None:
    """Compare a call with NumPy's, on arrays placed in memory like this; and another, which does again what the first one did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(repeats, "SIGHTS", 0)
        for _ in range(2):
            arrays = draw(case, dtype, generator)
            values = [on(device, *placed(array)) for array in arrays]
            wrong = judge_case(case, dtype, arrays, read(case.op(*values, **case.attributes)))
            assert not wrong, f"{case} of {dtype}, placed {placed.__name__}: {wrong}"


def judge_case(case: Case, dtype: np.dtype[Any], arrays: Sequence[Array], got: Array) -> str:
    """Say what is wrong with a call's result, if anything is."""
    result = result_of(case, dtype)
    rounded = case.rounded is not None and result.kind == "f"
    given = [
        array.astype(wide(result)) if rounded and (i not in case.draw or i in case.smooth) else array for i, array in enumerate(arrays)
    ]
    allowed: Any = 0.0
    with np.errstate(all="ignore"):
        exact = np.asarray(case.expected(*given, **oracle_attributes(case)))
        if rounded:
            size = abs(np.asarray(case.terms(*given, **oracle_attributes(case)) if case.terms else exact))
            computed = np.finfo(np.float32 if result == np.float16 else result)
            allowed = case.rounded * computed.eps / 2 * size + np.finfo(result).smallest_subnormal.astype(size.dtype)
            if result == np.float16:
                allowed = allowed + case.halves * np.spacing(size.astype(result)) / 2
    return compare(got, exact, result, allowed=allowed)


def oracle_attributes(case: Case) -> dict[str, Any]:
    """The attributes that say more to NumPy than which dtype is wanted."""
    return {name: value for name, value in case.attributes.items() if name != "dtype" or case.rounded is None}
