"""NDArray: the user's handle on a value. Writing gives the handle a new value; views read and write through their base handle.

The operators themselves are hung here by `clnd.nd`, from their declarations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes, state
from clnd.engine.layout import Shape, repeats
from clnd.errors import DTypeError, ExportError, MXNetError, ShapeError, guarded, shown
from clnd.ops import registry
from clnd.ops.lookup import Lookup
from clnd.ops.shape import Steps, region, selected

from .context import Context, current_context
from .indexing import Selection, read_key

__all__ = ["Leaf", "NDArray"]

_HOST = (1, 0)  # its memory, in DLPack's numbers
_VERSIONED = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # does NumPy say with elements whether they may be written?
_IN_GRAPH = (
    "Assigning to NDArrays that are already in a computational graph is not possible while recording, where they have a gradient "
    "attached: it would be the gradient of another array. Write it outside `autograd.record()`, inside `autograd.pause()`, or compute "
    "a new array"
)


_LARGE = 1 << 16  # bytes that are worth an operation


class Leaf:
    """Where the gradient of a variable goes: an array, and how it is written ("write", "add" or "null")."""

    __slots__ = ("gradient", "req")

    def __init__(self, gradient: NDArray, req: str) -> None:
        self.gradient, self.req = gradient, req

    def receive(self, dz: Value | None) -> None:
        """Take what arrived in a backward pass; None stands for zeros."""
        if dz is None:
            dz = registry["zeros_like"](self.gradient.value)
        self.gradient._write(self.gradient.value + dz if self.req == "add" else dz)

    def release(self) -> None:
        """Give back the memory of a gradient that is about to be written anew."""
        if self.req == "write" and self.gradient._base is None:
            self.gradient.forget()


class NDArray:
    """An n-dimensional array on a device. Make one with `nd.array`, `nd.zeros` and the like, or by computing.

    Operations are launched asynchronously; reading a value waits for it.

    Examples
    --------
    >>> from clnd import nd
    >>> x = nd.array([[1, 2], [3, 4]])
    >>> x * 2 + 1
    <BLANKLINE>
    [[3. 5.]
     [7. 9.]]
    <NDArray 2x2 @cpu(0)>
    """

    __slots__ = ("__weakref__", "_base", "_cached", "_context", "_leaf", "_own", "_steps")
    __array_ufunc__ = None  # NumPy's operators leave it to ours
    __array_priority__ = 1000.0
    handle = property(lambda self: self)

    if TYPE_CHECKING:  # the operators, hung here by their declarations (clnd/nd)

        def __getattr__(self, name: str) -> Any: ...
        def __add__(self, other: Any) -> NDArray: ...
        def __radd__(self, other: Any) -> NDArray: ...
        def __sub__(self, other: Any) -> NDArray: ...
        def __rsub__(self, other: Any) -> NDArray: ...
        def __mul__(self, other: Any) -> NDArray: ...
        def __rmul__(self, other: Any) -> NDArray: ...
        def __truediv__(self, other: Any) -> NDArray: ...
        def __rtruediv__(self, other: Any) -> NDArray: ...
        def __mod__(self, other: Any) -> NDArray: ...
        def __rmod__(self, other: Any) -> NDArray: ...
        def __pow__(self, other: Any) -> NDArray: ...
        def __rpow__(self, other: Any) -> NDArray: ...
        def __gt__(self, other: Any) -> NDArray: ...
        def __ge__(self, other: Any) -> NDArray: ...
        def __lt__(self, other: Any) -> NDArray: ...
        def __le__(self, other: Any) -> NDArray: ...
        def __neg__(self) -> NDArray: ...

    def __init__(self, value: Value, context: Context) -> None:
        self._own = value
        self._base: NDArray | None = None
        self._steps: Steps = ()
        self._cached: tuple[Value, Value] | None = None
        self._context = context
        self._leaf: Leaf | None = None
        if state.tracer is not None:
            state.tracer.makes(self)

    # The value behind the handle.

    @property
    def value(self) -> Value:
        """The value that the handle has now."""
        base = self._base
        if base is None:
            if state.tracer is not None:
                state.tracer.meets(self)
            return self._own
        seen = base.value
        if self._cached is not None and self._cached[0] is seen and not self._cached[1].record.freed:  # type: ignore[union-attr]
            return self._cached[1]
        value = selected(seen, self._steps)
        # Only a recorded view is remembered: it has a place in the graph. Another would only keep the base from being written in place.
        self._cached = (seen, value) if value.record is not None and value.record.traced else None
        return value

    def _view(self, steps: Steps) -> NDArray:
        view = NDArray(None, self._context)  # type: ignore[arg-type]
        view._base, view._steps = self, steps
        if state.recording:
            view.value  # noqa: B018  (takes its place in the graph now)
        return view

    def replace(self, value: Value) -> None:
        """Give the handle (no view) another value of its shape and dtype; an attached gradient stays attached."""
        if state.tracer is not None:
            state.tracer.meets(self)
        if self._leaf is not None:
            value = _alias(value)
            value.leaf = self._leaf
        self._own = value

    def forget(self) -> None:
        """Give back the memory of a large array (no view) that is about to be written anew: until then it is zeros, which wait."""
        buffer = self._own.buffer
        if buffer is not None and buffer.size >= _LARGE:
            del buffer
            self.replace(registry["zeros_like"](self._own))

    def _write(self, source: Value, steps: Steps = ()) -> None:
        """Write `source`, broadcast and converted, over what `steps` select, through to the base."""
        if self._base is not None:
            self._base._write(source, self._steps + steps)
            return
        current = self._own
        if state.recording and self._leaf is not None:
            raise MXNetError(_IN_GRAPH)
        if source.device is not current.device:
            raise MXNetError(f"writing: the array is on {current.device}, what is written on {source.device}; use as_in_context()")
        if source.dtype != current.dtype:
            source = registry["cast"](source, dtype=current.dtype)
        if not state.recording and source.traced:
            source = registry["alias"](source)  # a copy that is not recorded is a constant
        if not steps:
            if source.shape != current.shape:
                source = registry["broadcast_to"](source, shape=current.shape)
            self.replace(source)
            return
        if current.size == 0 or source.size == 0:
            return
        del current  # its references are about to be counted
        with engine.lock:  # several threads may write to parts of one array
            if (state.recording and (self._own.traced or source.traced)) or not self._write_in_place(source, steps):
                self.replace(registry["assign"](self._own, source, steps=steps))

    def _write_in_place(self, source: Value, steps: Steps) -> bool:
        """Write where nobody else holds the value: then it costs the part that is written. False if somebody does."""
        if state.tracer is not None:
            state.tracer.meets(self)
        engine.evaluate(self._own)
        if engine.reads(source, self._own.buffer):
            engine.evaluate(source)  # lets go of the buffer that is to be written
        place = region(self._own.layout, steps)
        slot = engine.Slot(self._own)
        if place is None or repeats(self._own.layout) or not engine.held_alone(slot):
            return False
        if state.tracer is not None:
            state.tracer.overwrites(self._own.buffer)
        with engine.called("assign"):
            engine.write_region(slot, place, source)
        self._own.record = None  # what it was computed from is not what it holds now
        return True

    # What it is.

    @property
    def shape(self) -> Shape:
        """The size of each axis."""
        return self.value.shape

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.value.size

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.value.shape)

    @property
    def dtype(self) -> type:
        """The type of the elements, as NumPy's type object."""
        return self.value.dtype.type

    @property
    def context(self) -> Context:
        """The context that the array is on."""
        return self._context

    ctx = context

    @property
    def stype(self) -> str:
        """The storage type: always "default", for clnd has no sparse arrays."""
        return "default"

    @property
    def writable(self) -> bool:
        """Can it be written to? Always."""
        return True

    @property
    def T(self) -> NDArray:
        """The array with its axes reversed: a copy, as far as writing goes."""
        return NDArray(registry["transpose"](self.value), self._context)

    # Out of the array.

    def asnumpy(self) -> np.ndarray[Any, Any]:
        """The elements as a new NumPy array; waits for them."""
        return engine.to_numpy(self.value)

    def asscalar(self) -> Any:
        """The only element, as a NumPy scalar.

        Raises
        ------
        ValueError
            If there is not exactly one.
        """
        if self.size != 1:
            raise ShapeError(f"The current array is not a scalar: it has shape {self.shape}")
        return self.asnumpy().reshape(-1)[0]

    def item(self) -> Any:
        """The only element, as a Python number.

        Raises
        ------
        ValueError
            If there is not exactly one.
        """
        return self.asscalar().item()

    def wait_to_read(self) -> None:
        """Wait until the elements are computed; raises what went wrong on the way."""
        engine.evaluate(self.value)
        self.value.device.finish()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        if copy is False:
            raise ValueError("an NDArray lies on its device: NumPy cannot have it without a copy")
        array = self.asnumpy()
        return array if dtype is None else array.astype(dtype, copy=False)

    # To other libraries, without a copy where the device works in the host's memory.

    def __dlpack__(self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None) -> Any:
        """The elements as a DLPack capsule, for `np.from_dlpack`, `torch.from_dlpack` and the like; waits for them.

        They stay as they are, whatever is written to the array later. Who gets them must not write them: newer versions of the
        protocol say so, older ones cannot. Where the device has a memory of its own they are copied to the host's, if it is that which
        was asked for: `np.from_dlpack(x, device="cpu")`.

        Raises
        ------
        BufferError
            Where the device has a memory of its own, and the host's was not asked for, or no copy allowed.
        """
        shared, wanted = self.value.device.traits.unified_memory, self.__dlpack_device__() if dl_device is None else tuple(dl_device)
        if wanted != _HOST or (copy is False and not shared):
            where = "" if shared else ", where they get a copy"
            raise ExportError(
                f"__dlpack__: other libraries read {self.context} in the host's memory{where}, not in DLPack's {wanted}: use "
                'from_dlpack(x, device="cpu"), or asnumpy()'
            )
        host = engine.mapped(self.value) if shared else self.asnumpy()
        if not _VERSIONED:
            return (host.copy() if copy and shared else host).__dlpack__(stream=stream)
        if max_version is not None and shared:
            host.flags.writeable = False
        given = {"stream": stream, "max_version": max_version, "copy": copy if shared else None}
        return host.__dlpack__(**{name: x for name, x in given.items() if x is not None})

    def __dlpack_device__(self) -> tuple[int, int]:
        """Where the elements are, in DLPack's numbers: the host's memory, or an OpenCL device's own."""
        return _HOST if self.value.device.traits.unified_memory else (4, self._context.device_id)

    def to_dlpack_for_read(self) -> Any:
        """The elements in the host's memory as a DLPack capsule that must not be written. See `__dlpack__`."""
        return self.__dlpack__(dl_device=_HOST)

    def to_dlpack_for_write(self) -> Any:
        """The elements as a DLPack capsule, through which they can be written; waits for them.

        What is written there the array has, until it is written itself or handed out again: from then on both have their own elements.
        Read what was computed from the array before something else writes it: work that still waits would see what was written.

        Raises
        ------
        MXNetError
            Where the device has a memory of its own; while recording.
        """
        if state.recording:
            raise MXNetError(_IN_GRAPH)
        root = self
        while root._base is not None:
            root = root._base
        own = engine.ready(root._own)
        traced, compact = own.record is not None and own.record.traced, engine.is_compact(own.layout)
        del own
        if traced or not compact or not engine.held_alone(engine.Slot(root._own)):
            root.replace(engine.copied(root._own))
        return engine.mapped(self.value, write=True).__dlpack__()

    def __float__(self) -> float:
        return float(self.asscalar())

    def __int__(self) -> int:
        return int(self.asscalar())

    def __index__(self) -> int:
        if dtypes.category(self.value.dtype) == "float":
            raise DTypeError(f"an array of {self.value.dtype} cannot be an index; convert with astype('int32')")
        return int(self.asscalar())

    def __bool__(self) -> bool:
        if self.size == 1:
            return bool(self.asscalar())
        if self.size == 0:
            return False
        raise ShapeError("The truth value of an NDArray with multiple elements is ambiguous.")

    def __len__(self) -> int:
        if not self.shape:
            raise DTypeError("len() of a 0-d array")
        return self.shape[0]

    def __iter__(self) -> Iterator[NDArray]:
        if not self.shape:
            raise DTypeError("iteration over a 0-d array")
        return (self[i] for i in range(self.shape[0]))

    def __contains__(self, item: Any) -> bool:
        return bool((self.asnumpy() == (item.asnumpy() if isinstance(item, NDArray) else item)).any())

    def __repr__(self) -> str:
        return f"\n{self.asnumpy()}\n<NDArray {'x'.join(str(n) for n in self.shape)} @{self.context}>"

    __str__ = __repr__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.asnumpy(), self.context)

    # Copies and conversions.

    def copy(self) -> NDArray:
        """A copy on the same context. While recording, gradients flow back through it."""
        return NDArray(registry["alias"](self.value), self._context)

    def __copy__(self) -> NDArray:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> NDArray:
        with _paused():
            return self.copy()

    @guarded
    def copyto(self, other: NDArray | Context) -> NDArray:
        """Copy into another array of the same shape, or to a context.

        Returns
        -------
        NDArray
            The array that was written, or a new one.
        """
        if isinstance(other, Context):
            return NDArray(_moved(self.value, other), other)
        if not isinstance(other, NDArray):
            raise DTypeError(f"copyto: the target is a {type(other).__name__}, neither an NDArray nor a Context")
        if other.shape != self.shape:
            raise ShapeError(f"copyto: the array has shape {self.shape}, the target {other.shape}")
        other._write(_moved(self.value, other.context))
        return other

    @guarded
    def as_in_context(self, context: Context) -> NDArray:
        """The array on another context; itself where it is there already."""
        if not isinstance(context, Context):
            raise DTypeError(f"as_in_context takes a context, such as mx.cpu(), but was given a {type(context).__name__}")
        return self if context == self.context else self.copyto(context)

    as_in_ctx = as_in_context

    @guarded
    def astype(self, dtype: Any, copy: bool = True) -> NDArray:
        """The elements as another dtype; without `copy` the array itself where it has that dtype."""
        found = dtypes.as_dtype(dtype)
        if found == self.value.dtype:
            return self.copy() if copy else self
        return NDArray(registry["cast"](self.value, dtype=found), self._context)

    def as_nd_ndarray(self) -> NDArray:
        """The array itself: it is an `nd` array."""
        return self

    def as_np_ndarray(self) -> NDArray:
        """MXNet's second namespace, which clnd does not have.

        Raises
        ------
        MXNetError
            Always.
        """
        raise MXNetError("as_np_ndarray: clnd has no mx.np; use clnd.nd, or asnumpy() for a NumPy array")

    @guarded
    def tostype(self, stype: str) -> NDArray:
        """The array itself for "default".

        Raises
        ------
        MXNetError
            For sparse storage, which clnd does not have.
        """
        if stype != "default":
            raise MXNetError(f"tostype: clnd has no {str(stype)[:40]} storage; dense arrays with nd.take or nd.where often do")
        return self

    # Indexing and views.

    def broadcast_like(self, other: NDArray, lhs_axes: Any = None, rhs_axes: Any = None) -> NDArray:
        """Stretched to the shape of another array, or along `lhs_axes` to that array's `rhs_axes`. See `nd.broadcast_like`."""
        return NDArray(registry["broadcast_like"](self.value, other.value, lhs_axes=lhs_axes, rhs_axes=rhs_axes), self._context)

    @guarded
    def reshape(self, *shape: Any, **kwargs: Any) -> NDArray:
        """The same elements under another shape: a view, through which the array can be written.

        Parameters
        ----------
        shape : int, several, or a tuple
            0 keeps an axis, -1 takes what is left, -2 all remaining axes, -3 joins two axes, -4 splits one into the next two numbers.
        reverse : bool
            Read the codes from the right?

        Raises
        ------
        ValueError
            If the number of elements is another.
        """
        from .nd.conventions.shape import decoded_shape

        wanted = kwargs.pop("shape", shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape)
        reverse = kwargs.pop("reverse", False)
        if kwargs:
            raise DTypeError(f"reshape: unknown argument {next(iter(kwargs))}")
        target = decoded_shape(self.shape, wanted, bool(reverse))
        return self._view((("reshape", (target,)),))

    @guarded
    def expand_dims(self, axis: int, inplace: bool = False) -> NDArray:
        """A new axis of one element at position `axis`; with `inplace` as a view, through which the array can be written."""
        return self._reshaped(registry["expand_dims"](self.value, axis=axis), inplace)

    @guarded
    def flatten(self, inplace: bool = False) -> NDArray:
        """All axes but the first joined to one; with `inplace` as a view, through which the array can be written."""
        return self._reshaped(registry["flatten"](self.value), inplace)

    @guarded
    def squeeze(self, axis: Any = None, inplace: bool = False) -> NDArray:
        """Without the axes of one element, all or those of `axis`; with `inplace` as a view, through which the array can be written."""
        from .nd.conventions import CONVENTIONS

        return self._reshaped(CONVENTIONS["squeeze"](self.value, axis=axis), inplace)

    def _reshaped(self, value: Value, inplace: bool) -> NDArray:
        """A new array, or a view of this one in its shape."""
        return self._view((("reshape", (value.shape,)),)) if inplace else NDArray(value, self._context)

    def __getitem__(self, key: Any) -> NDArray:
        selection = read_key(key, self.shape, NDArray)
        if selection.arrays:
            lookup = self._lookup(selection)
            return NDArray(lookup.of(selected(self.value, selection.window(selection.spread))), self._context)
        steps = selection.steps(one_element=True)
        if selection.shared:
            return self._view(steps)
        return NDArray(selected(self.value, steps), self._context)

    def __setitem__(self, key: Any, source: Any) -> None:
        selection = read_key(key, self.shape, NDArray)
        value = self._operand(source)
        if selection.arrays:
            self._set_picked(key, selection, value)
            return
        steps = () if selection.everything else selection.steps()
        target = selection.shape
        if value.shape != target:
            value = _fitted(value, target, self.shape, key)
        if isinstance(source, NDArray) and source._base is self and source._steps in (steps, selection.steps(one_element=True)):
            return  # `x[i] += 1` has written through the view x[i] already
        if steps and value.buffer is not None and value.buffer is self.value.buffer and not (state.recording and value.traced):
            value = engine.copied(value)
        self._write(value, steps)

    @guarded
    def slice_assign(self, rhs: Any, begin: Any, end: Any, step: Any = ()) -> NDArray:
        """Write `rhs` over what `slice` with this begin, end and step gives; returns the array itself."""
        from .nd.conventions.shape import slice_window

        window = slice_window(self.shape, begin, end, step)
        value = self._operand(rhs)
        if value.shape != window[1]:
            value = _fitted(value, window[1], self.shape, (begin, end, step))
        if engine.reads(value, self.value.buffer):
            value = engine.copied(value)
        self._write(value, (("window", window),))
        return self

    def slice_assign_scalar(self, value: float, begin: Any, end: Any, step: Any = ()) -> NDArray:
        """Write a number over what `slice` with this begin, end and step gives; returns the array itself."""
        return self.slice_assign(value, begin, end, step)

    def _lookup(self, selection: Selection) -> Lookup:
        """What the index arrays of a key select of its window."""
        arrays = [(axis, self._index(array)) for axis, array in selection.arrays]
        return Lookup(selection.spread, arrays, selection.integers, selection.apart)

    def _index(self, key: Any) -> Value:
        """An index array or mask as a value on this array's device. What comes from the host are integers of 64 bits."""
        if isinstance(key, NDArray):
            if not key.ndim and key.value.dtype == dtypes.bool_:
                raise DTypeError("a bool is no index; use a bool array as a mask")
            return key.value
        if key.dtype.kind not in "biuf" and key.size:
            raise DTypeError(f"an index array holds integers or bools, not {key.dtype}")
        with np.errstate(invalid="ignore"):
            return engine.from_numpy(key if key.dtype == bool else key.astype(np.int64), self.value.device)

    def _set_picked(self, key: Any, selection: Selection, value: Value) -> None:
        """Write where index arrays say."""
        if selection.everything and len(selection.arrays) == 1 and value.size == 1:
            mask = self._index(selection.arrays[0][1])
            if mask.dtype == dtypes.bool_ and not selection.arrays[0][0]:  # one kernel, and no need to know how many elements that are
                mask = registry["reshape"](mask, shape=mask.shape + (1,) * (self.ndim - mask.ndim))
                self._write(registry["where"](mask, registry["reshape"](value, shape=()), self.value))
                return
        lookup = self._lookup(selection)
        if value.shape != lookup.result:
            value = _fitted(value, lookup.result, self.shape, key)
        if value.size == 0:
            return
        if selection.everything and self._base is None and self._put_in_place(lookup, value):
            return
        steps = selection.window(selection.spread)
        written = lookup.assigned(selected(self.value, steps), value)
        if selection.everything:
            self._write(registry["reshape"](written, shape=self.shape))
        else:
            self._write(written, steps)

    def _put_in_place(self, lookup: Lookup, source: Value) -> bool:
        """Write where index arrays say, if nobody else holds the value: then it costs the part that is written."""
        if state.recording and (self._leaf is not None or self._own.traced or source.traced):
            return False
        if source.device is not self._own.device:
            return False
        if source.dtype != self._own.dtype:
            source = registry["cast"](source, dtype=self._own.dtype)
        if state.tracer is not None:
            state.tracer.meets(self)
        with engine.lock:
            engine.evaluate(self._own)
            engine.evaluate(source)
            engine.evaluate(lookup.positions)
            slot = engine.Slot(self._own)
            if self._own.offset or not engine.is_compact(self._own.layout) or not engine.held_alone(slot):
                return False
            if state.tracer is not None:
                state.tracer.overwrites(self._own.buffer)
            slot.value.buffer.since = self._own.device.launched
            with engine.called("put"):
                lookup.assign_in(self._own.buffer, source)
            self._own.record = None
        return True

    def _operand(self, source: Any) -> Value:
        """`source` (NDArray, number, list, NumPy array) as a value on this array's device."""
        if isinstance(source, NDArray):
            return source.value
        own = self.value
        if isinstance(source, (bool, int, float, np.number, np.bool_)):
            return registry["full"](shape=(), value=source, dtype=own.dtype, device=own.device)
        return engine.from_numpy(np.asarray(source).astype(own.dtype), own.device)

    # Gradients.

    @property
    def grad(self) -> Any:
        """The gradient, an NDArray, that `backward` wrote; None where none is attached."""
        return None if self._leaf is None else self._leaf.gradient

    @guarded
    def attach_grad(self, grad_req: str = "write", stype: str | None = None) -> None:
        """Give the array a gradient, of zeros at first. It becomes a beginning of the graph: what it was computed from is cut off.

        Parameters
        ----------
        grad_req : {"write", "add", "null"}
            Does `backward` overwrite the gradient, add to it, or leave it alone?
        stype : str, optional
            Only "default".
        """
        if stype not in (None, "default"):
            raise MXNetError(f"attach_grad: clnd has no {stype} storage")
        with _paused():
            self.mark(NDArray(registry["zeros_like"](self.value), self._context), grad_req)

    def mark(self, gradient: NDArray, req: str) -> None:
        """Let `backward` write this array's gradient into `gradient`."""
        if req not in ("write", "add", "null"):
            raise ShapeError(f"grad_req {shown(req)} is not one of 'write', 'add', 'null'")
        if gradient.shape != self.shape:
            raise ShapeError(f"a gradient of shape {gradient.shape} does not fit an array of shape {self.shape}")
        if gradient.value.device is not self.value.device:
            raise MXNetError(f"the array is on {self.context}, its gradient on {gradient.context}; use as_in_context()")
        own = _alias(self.value)
        self._base, self._steps, self._cached = None, (), None
        own.leaf = self._leaf = Leaf(gradient, req)
        self._own = own

    def detach(self) -> NDArray:
        """The same elements, through which no gradient flows."""
        return NDArray(_alias(self.value), self._context)

    def backward(self, out_grad: NDArray | None = None, retain_graph: bool = False, train_mode: bool = True) -> None:
        """Compute the gradients of this array with respect to all that it was computed from. See `autograd.backward`."""
        from . import autograd

        autograd.backward([self], None if out_grad is None else [out_grad], retain_graph, train_mode)


def _paused() -> Any:
    from .autograd import pause

    return pause(state.training)


def _alias(value: Value) -> Value:
    """The same elements as an unrecorded value of its own."""
    before, state.recording = state.recording, False
    try:
        return registry["alias"](value)
    finally:
        state.recording = before


def _moved(value: Value, context: Context) -> Value:
    device = context.device
    if device is value.device:
        return registry["alias"](value)
    return registry["transfer"](value, device=device, source=value.device)


def _fitted(value: Value, target: Shape, whole: Shape, key: Any) -> Value:
    """`value` broadcast to the selected shape; leading axes of one element may be dropped, as in NumPy."""
    shape = value.shape
    while len(shape) > len(target) and shape[0] == 1:
        shape = shape[1:]
    try:
        return registry["broadcast_to"](registry["reshape"](value, shape=shape), shape=target)
    except ShapeError:
        raise ShapeError(
            f"x[{key!r}] = v: v of shape {value.shape} cannot be broadcast to the selected shape {target} of an array of shape {whole}"
        ) from None


def _restored(array: np.ndarray[Any, Any], context: Context) -> NDArray:
    """An array from its elements: what pickle calls. On another machine the context may be missing: then the current one.

    A pickle runs what its maker put into it, beside this: only `nd.load` is for files from anywhere.
    """
    try:
        device = context.device
    except MXNetError:
        context = current_context()
        device = context.device
    return NDArray(engine.from_numpy(array, device), context)
