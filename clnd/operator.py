"""Operators of your own, written in Python: `CustomOp`, what it computes, and `CustomOpProp`, what it takes and gives.

Examples
--------
>>> import clnd as mx
>>> from clnd import nd, autograd
>>> class Scale(mx.operator.CustomOp):
...     def __init__(self, factor):
...         super().__init__()
...         self.factor = factor
...     def forward(self, is_train, req, in_data, out_data, aux):
...         self.assign(out_data[0], req[0], in_data[0] * self.factor)
...     def backward(self, req, out_grad, in_data, out_data, in_grad, aux):
...         self.assign(in_grad[0], req[0], out_grad[0] * self.factor)
>>> @mx.operator.register("scale")
... class ScaleProp(mx.operator.CustomOpProp):
...     def __init__(self, factor):
...         super().__init__()
...         self.factor = float(factor)
...     def create_operator(self, ctx, in_shapes, in_dtypes):
...         return Scale(self.factor)
>>> x = nd.array([1, 2])
>>> x.attach_grad()
>>> with autograd.record():
...     y = nd.Custom(x, op_type="scale", factor=3)
>>> y.backward()
>>> y.asnumpy(), x.grad.asnumpy()
(array([3., 6.], dtype=float32), array([3., 3.], dtype=float32))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .autograd import Function, is_training
from .context import Context, current_context
from .errors import DTypeError, MXNetError, ShapeError
from .ndarray import NDArray
from .ops import registry

__all__ = ["Custom", "CustomOp", "CustomOpProp", "register"]


class CustomOp:
    """What an operator computes. Subclasses define `forward` and, to be differentiated, `backward`.

    Both get lists of arrays, and for each array that they should write a request: "write", "add" or "null" (see `assign`).
    """

    def forward(
        self,
        is_train: bool,
        req: Sequence[str],
        in_data: Sequence[NDArray],
        out_data: Sequence[NDArray],
        aux: Sequence[NDArray],
    ) -> None:
        """Compute `out_data` from `in_data`; the auxiliary arrays may be changed."""
        raise MXNetError(f"{type(self).__name__} must define forward(self, is_train, req, in_data, out_data, aux)")

    def backward(
        self,
        req: Sequence[str],
        out_grad: Sequence[NDArray],
        in_data: Sequence[NDArray],
        out_data: Sequence[NDArray],
        in_grad: Sequence[NDArray],
        aux: Sequence[NDArray],
    ) -> None:
        """Compute the gradients of `in_data` from those of `out_data`."""
        raise MXNetError(f"{type(self).__name__} must define backward(self, req, out_grad, in_data, out_data, in_grad, aux)")

    def assign(self, dst: NDArray, req: str, src: Any) -> None:
        """Write `src` into `dst` as requested: "write" (or "inplace") it, "add" it, or with "null" do nothing."""
        if req in ("write", "inplace"):
            dst[:] = src
        elif req == "add":
            dst[:] = dst + src
        elif req != "null":
            raise MXNetError(f"assign: req {req!r} is not one of write, inplace, add, null")


class CustomOpProp:
    """What an operator takes and gives. `nd.Custom` makes one for each call, with its attributes as strings.

    Parameters
    ----------
    need_top_grad : bool
        Does `backward` read the gradients of the outputs? They are there in any case.
    """

    def __init__(self, need_top_grad: bool = True) -> None:
        self.need_top_grad_ = need_top_grad

    def list_arguments(self) -> list[str]:
        """The names of the arrays that it takes."""
        return ["data"]

    def list_outputs(self) -> list[str]:
        """The names of the arrays that it gives."""
        return ["output"]

    def list_auxiliary_states(self) -> list[str]:
        """The names of the arrays that it takes after the others, and may change."""
        return []

    def infer_shape(self, in_shape: list[list[int]]) -> Any:
        """The shapes of the arrays taken, given and auxiliary, from those taken. By default all outputs have that of the first array."""
        return in_shape, [in_shape[0]] * len(self.list_outputs()), []

    def infer_type(self, in_type: list[Any]) -> Any:
        """The same of dtypes. By default all have that of the first array."""
        first = in_type[0]
        return in_type, [first] * len(self.list_outputs()), [first] * len(self.list_auxiliary_states())

    def create_operator(self, ctx: Context, in_shapes: list[list[int]], in_dtypes: list[Any]) -> CustomOp:
        """The operator for arrays of these shapes and dtypes."""
        raise MXNetError(f"{type(self).__name__} must define create_operator(self, ctx, in_shapes, in_dtypes)")


_registered: dict[str, Callable[..., CustomOpProp]] = {}
Prop = TypeVar("Prop", bound=type[CustomOpProp])


def register(reg_name: str) -> Callable[[Prop], Prop]:
    """Let `nd.Custom` find the decorated subclass of `CustomOpProp` under a name. The last one of that name counts."""

    def do_register(prop_cls: Prop) -> Prop:
        if not (isinstance(prop_cls, type) and issubclass(prop_cls, CustomOpProp)):
            raise DTypeError(f"register: {prop_cls!r} is no subclass of CustomOpProp")
        _registered[reg_name] = prop_cls
        return prop_cls

    return do_register


class _Call(Function):
    """One call of an operator, as autograd sees it."""

    def __init__(self, op: CustomOp, outputs: Sequence[tuple[Any, Any]], aux: Sequence[NDArray], context: Context) -> None:
        self.op, self.outputs, self.aux, self.context = op, outputs, aux, context

    def forward(self, *inputs: NDArray) -> list[NDArray]:
        """Run the operator on fresh arrays."""
        full, context = registry["full"], self.context
        made = [full(shape=tuple(shape), value=0, dtype=dtype, device=context.device) for shape, dtype in self.outputs]
        found = [NDArray(value, context) for value in made]
        self.requests = ["write" if x.value.traced else "null" for x in inputs]
        self.op.forward(is_train=is_training(), req=["write"] * len(found), in_data=list(inputs), out_data=found, aux=self.aux)
        self.count = len(inputs)
        self.save_for_backward(*inputs, *found)
        return found

    def backward(self, *output_grads: NDArray) -> list[NDArray]:
        """Run the operator's own."""
        inputs, outputs = list(self.saved_tensors[: self.count]), list(self.saved_tensors[self.count :])
        gradients = [NDArray(registry["zeros_like"](x.value), x.context) for x in inputs]
        self.op.backward(req=self.requests, out_grad=list(output_grads), in_data=inputs, out_data=outputs, in_grad=gradients, aux=self.aux)
        return gradients


def Custom(*data: NDArray, op_type: str, out: Any = None, name: str | None = None, **kwargs: Any) -> Any:
    """Call an operator that was registered with `mx.operator.register`.

    Parameters
    ----------
    data : NDArrays
        Its arguments, then its auxiliary states; those that are missing are looked up by name.
    op_type : str
        The name that it was registered under.
    kwargs
        Its attributes, which it gets as strings.

    Examples
    --------
    See `clnd.operator`.
    """
    if op_type not in _registered:
        known = ", ".join(sorted(_registered)) or "none"
        raise MXNetError(f"Custom: no operator {op_type!r} is registered; registered are: {known}")
    arrays = {key: value for key, value in kwargs.items() if isinstance(value, NDArray)}
    prop = _registered[op_type](**{key: str(value) for key, value in kwargs.items() if key not in arrays})
    arguments, states = prop.list_arguments(), prop.list_auxiliary_states()
    given = [*data, *(arrays.pop(wanted) for wanted in [*arguments, *states][len(data) :] if wanted in arrays)]
    if len(given) != len(arguments) + len(states) or arrays:
        named = ", ".join([*arguments, *states])
        raise DTypeError(f"Custom: {op_type} takes the arrays {named}, but {len(given) + len(arrays)} were given")
    for x in given:
        if not isinstance(x, NDArray):
            raise DTypeError(f"Custom: an array of {op_type} is a {type(x).__name__}, not an NDArray")
        if x.context != given[0].context:
            raise MXNetError(f"Custom: operands of {op_type} are on different contexts, {given[0].context} and {x.context}")
    inputs, aux = given[: len(arguments)], given[len(arguments) :]
    context = given[0].context if given else current_context()
    shapes, types = [list(x.shape) for x in inputs], [x.dtype for x in inputs]
    taken, made = prop.infer_shape([list(shape) for shape in shapes])[:2]
    if [tuple(shape) for shape in taken] != [x.shape for x in inputs]:
        raise ShapeError(f"Custom: {op_type} takes arrays of shapes {taken}, but was given {shapes}")
    outputs = list(zip(made, prop.infer_type(types)[1], strict=True))
    found = _Call(prop.create_operator(context, shapes, types), outputs, aux, context)(*inputs)
    results = found if out is None else _written(op_type, found, [out] if isinstance(out, NDArray) else list(out))
    return results[0] if len(results) == 1 else results


def _written(op_type: str, found: Sequence[NDArray], out: Sequence[NDArray]) -> list[NDArray]:
    """The results, in the arrays that were given for them."""
    if [x.shape for x in out] != [x.shape for x in found]:
        raise ShapeError(f"Custom: {op_type} gives arrays of shapes {[x.shape for x in found]}, but out has {[x.shape for x in out]}")
    for target, x in zip(out, found, strict=True):
        target[:] = x
    return list(out)
