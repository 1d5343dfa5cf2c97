"""Control flow as functions: loops and choices of Python, whose gradients are those of what they ran."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from clnd.errors import DTypeError, MXNetError, ShapeError
from clnd.ndarray import NDArray
from clnd.ops import registry
from clnd.ops.parts import unstacked

from .wrapping import unwrap

__all__ = ["cond", "foreach", "while_loop"]


class LoopError(MXNetError, ValueError):
    """A loop that has no bound, or no variables, or not always as many."""


def foreach(body: Callable[[Any, Any], tuple[Any, Any]], data: Any, init_states: Any) -> tuple[Any, Any]:
    """Run `body` for each row of `data`, one after another, handing states on.

    Parameters
    ----------
    body : function
        `body(row, states)` gives an output and the next states.
    data : NDArray or list of NDArray
        Rows are taken along the first axis. For lists `body` gets lists, nested as they are.
    init_states : NDArray or list of NDArray

    Returns
    -------
    outputs, states
        The outputs, stacked along a new first axis, and the last states.

    Examples
    --------
    >>> from clnd import nd
    >>> sums, last = nd.contrib.foreach(lambda x, total: (x + total, x + total), nd.array([1, 2, 3]), nd.zeros((1,)))
    >>> sums.asnumpy().ravel(), last.asnumpy()
    (array([1., 3., 6.], dtype=float32), array([6.], dtype=float32))
    """
    _nested("foreach: data", data)
    _nested("foreach: init_states", init_states)
    arrays = _flat(data)
    if not arrays:
        raise ShapeError("foreach: data is an empty list")
    sizes = {array.shape[:1] for array in arrays}
    if len(sizes) != 1 or () in sizes:
        raise ShapeError(f"foreach: data of shapes {', '.join(str(array.shape) for array in arrays)} have no common number of rows")
    rows = [[_at_least_1d(part, array) for part in unstacked(array.value)] for array in arrays]
    outputs, states = [], init_states
    for row in zip(*rows, strict=True):
        output, states = body(_regrouped(data, iter(row)), states)
        _nested("foreach: the output of body", output)
        outputs.append(output)
    return (_stacked("foreach", outputs) if outputs else []), states


def while_loop(
    cond: Callable[..., Any], func: Callable[..., tuple[Any, Any]], loop_vars: Any, max_iterations: int | None = None
) -> tuple[Any, Any]:
    """Run `func` as long as `cond` holds, at most `max_iterations` times.

    Parameters
    ----------
    cond : function
        `cond(*loop_vars)` tells whether to go on: a number, or an array of one element.
    func : function
        `func(*loop_vars)` gives an output, or a list of them, and the next loop variables.
    loop_vars : NDArray or list of NDArray
    max_iterations : int

    Returns
    -------
    outputs, loop_vars
        The outputs, stacked along a new first axis of `max_iterations` elements, zeros where the loop did not come to; an empty list if it
        never ran. And the last loop variables.

    Examples
    --------
    >>> from clnd import nd
    >>> outputs, i = nd.contrib.while_loop(lambda i: i < 2, lambda i: (i * 10, i + 1), nd.array([0]), max_iterations=3)
    >>> outputs.asnumpy().ravel(), i.asnumpy()
    (array([ 0., 10.,  0.], dtype=float32), array([2.], dtype=float32))
    """
    if max_iterations is None:
        raise LoopError("while_loop: max_iterations must be given")
    single = isinstance(loop_vars, NDArray)
    variables = [loop_vars] if single else list(loop_vars)
    if not variables:
        raise LoopError("while_loop: loop_vars has no element")
    _nested("while_loop: loop_vars", variables)
    outputs: list[Any] = []
    while len(outputs) < int(max_iterations) and _holds("while_loop: cond", cond(*variables)):
        output, found = func(*variables)
        output = [] if output is None else list(output) if isinstance(output, tuple) else output
        found = [found] if isinstance(found, NDArray) else list(found or ())
        _nested("while_loop: the output of func", output)
        _nested("while_loop: the loop variables that func gives", found)
        if len(found) != len(variables):
            raise LoopError(f"while_loop: func gives {len(found)} loop variables, not {len(variables)}")
        variables = found
        outputs.append(output)
    result = _stacked("while_loop", outputs, int(max_iterations)) if outputs else []
    return result, variables[0] if single else variables


def cond(pred: Any, then_func: Callable[[], Any], else_func: Callable[[], Any]) -> Any:
    """What `then_func()` gives if `pred`, a number or an array of one element, is not 0; else what `else_func()` gives.

    Examples
    --------
    >>> from clnd import nd
    >>> x = nd.array([3])
    >>> nd.contrib.cond(x > 2, lambda: x * 10, lambda: x).asnumpy()
    array([30.], dtype=float32)
    """
    return then_func() if _holds("cond: pred", pred) else else_func()


def _holds(name: str, found: Any) -> bool:
    if isinstance(found, NDArray) and found.size != 1:
        raise LoopError(f"{name} is an array of shape {found.shape}, not one number: the current array is not a scalar")
    return bool(found)


def _nested(name: str, arrays: Any) -> None:
    """Complain if this is not an NDArray, or a list of such things."""
    if isinstance(arrays, (list, tuple)):
        for one in arrays:
            _nested(name, one)
    elif not isinstance(arrays, NDArray):
        raise DTypeError(f"{name} must be an NDArray or a (nested) list of them, but holds a {type(arrays).__name__}")


def _flat(arrays: Any) -> list[NDArray]:
    if isinstance(arrays, NDArray):
        return [arrays]
    return [array for one in arrays for array in _flat(one)]


def _regrouped(like: Any, arrays: Any) -> Any:
    """The next arrays, nested as in `like`."""
    if isinstance(like, NDArray):
        return next(arrays)
    return [_regrouped(one, arrays) for one in like]


def _at_least_1d(value: Any, array: NDArray) -> NDArray:
    """A row; (1,) stands for a number, as where an array is indexed."""
    return NDArray(value if value.shape else registry["reshape"](value, shape=(1,)), array.context)


def _stacked(name: str, outputs: Sequence[Any], count: int = 0) -> Any:
    """Outputs of all rounds along a new first axis, zeros behind them up to `count`; nested as they are."""
    first = outputs[0]
    if isinstance(first, NDArray):
        values, context = unwrap(name, outputs)
        missing = count - len(outputs)
        if missing > 0:
            values += [registry["zeros_like"](values[0])] * missing
        return NDArray(registry["stack"](*values, axis=0), context)
    if any(isinstance(output, NDArray) or len(output) != len(first) for output in outputs):
        raise LoopError(f"{name}: the outputs are not the same in number in all rounds")
    return [_stacked(name, some, count) for some in zip(*outputs, strict=True)]
