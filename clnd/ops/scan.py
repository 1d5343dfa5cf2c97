"""Running sums, and counts."""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from clnd import engine
from clnd.engine import Value, code, dtypes
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, MXNetError, ShapeError

from . import reduction
from .declare import composed, converted, launched, normalize_axis, registry

if TYPE_CHECKING:
    from clnd.opencl import Traits


def _summed_back(dz: Value, a_shape: Shape, axis: int | None) -> Value | None:
    """The sums up from each position: running sums backwards. Through whole numbers flows nothing."""
    if dtypes.category(dz.dtype) != "float":
        return None
    flip, at = registry["flip"], 0 if axis is None else axis
    return registry["reshape"](flip(cumsum(flip(dz, axis=at), axis=at), axis=at), shape=a_shape)


@launched(
    grad=lambda dz, a_shape, axis: _summed_back(dz, a_shape, axis),
    numpy=np.cumsum,
    methods=[],
)
def cumsum(a: Value, *, axis: int | None = None, dtype: Any = None) -> Value:
    """Running sums along `axis` (None: of the flattened array). Floats carry their rounding errors along (Neumaier 1974).

    Parameters
    ----------
    dtype : dtype, optional
        The elements are converted to it before they are summed.

    >>> from clnd import nd
    >>> nd.cumsum(nd.array([[1, 2], [3, 4]]), axis=1).asnumpy()
    array([[1., 3.],
           [3., 7.]], dtype=float32)
    """
    wanted = reduction.sum.result_dtype(a.dtype) if dtype is None else dtypes.as_dtype(dtype)
    if wanted == dtypes.bool_:
        raise DTypeError("cumsum: sums have no dtype bool; use int64")
    if axis is None:
        a, axis = registry["reshape"](a, shape=(a.size,)), 0
    axis = normalize_axis("cumsum", axis, a.ndim)
    x = engine.gathered(converted(a, wanted))
    if x.size == 0:
        return x
    return _sums(x, (prod(x.shape[:axis]), x.shape[axis], prod(x.shape[axis + 1 :])), totals=False)


def _sums(x: Value, sizes: tuple[int, int, int], totals: bool) -> Value:
    """Sums along the middle axis of x, seen as `sizes`: of parts of it first, then from the sums of the parts before. See the template."""
    outer, n, inner = sizes
    device, info = x.device, dtypes.INFO[x.dtype]
    common = dtypes.float32 if x.dtype == dtypes.float16 else x.dtype
    compensated = info.category == "float"
    lanes = device.traits.lanes if inner >= device.traits.lanes else 1
    units = outer * -(-inner // lanes)
    length = _length(device.traits, units, n, lanes)
    parts = -(-n // length)
    if parts == inner == 1 and device.traits.schedule == "cpu" and x.dtype == common and outer >= 2 * device.traits.lanes > 2:
        lanes = device.traits.lanes

    def launch(step: str, result: Value, before: Value) -> Value:
        kernel = device.kernel(
            "scan",
            f"cumsum_{step}__{x.dtype}",
            arguments=("buffer", "buffer", "long", "buffer", *["long"] * 4),
            step=step,
            totals=totals and compensated,
            compensated=compensated,
            lanes=lanes,
            storage=info.storage,
            compute=info.compute,
            plus=code.spell("a + b" if compensated else "convert_T(as_U(a) + as_U(b))", {"a": "a", "b": "b"}, common, lanes),
        )
        result.place(device.allocate(result.size * result.dtype.itemsize), compact(result.shape))
        turned = step == "crossed"
        grid = _grid(device.traits, -(-outer // lanes) if turned else units * parts, 3 * n if turned else length, lanes)
        kernel(*grid, result.buffer, x.buffer, x.offset, before.buffer, outer, n, inner, length)
        return result

    before = x
    if parts > 1:
        some = launch("totals", Value((2 if compensated else 1, outer, parts, inner), common, device), x)
        before = _sums(some, (outer, parts, inner), totals=True)
    return launch("crossed" if lanes > 1 == inner else "sums", Value(x.shape, x.dtype, device), before)


def _length(traits: Traits, units: int, n: int, lanes: int) -> int:
    """How many positions a work-item sums: few enough that all compute units have work, and that no loop has too many rounds."""
    cpu = traits.schedule == "cpu"
    wanted = 4 * traits.compute_units if cpu else 8 * traits.compute_units * traits.group
    least = 4096 // lanes if cpu else 64
    parts = max(1, min(wanted // units, n // least), -(-n // (engine.ROUNDS // lanes)))
    return -(-n // parts)


def _grid(traits: Traits, units: int, length: int, lanes: int) -> Any:
    if traits.schedule == "gpu":
        return engine.grid(traits, units)
    least = -(-units // max(1, engine.ROUNDS // lanes // length))
    return (max(least, min(units, 4 * traits.compute_units, units * length * lanes // 8192), 1),), (1,)


@launched(numpy=None)
def counts(data: Value, edges: Value) -> Value:
    """How many elements lie in each bin between neighbouring `edges`."""
    if edges.ndim != 1 or edges.size < 2:
        raise ShapeError(f"histogram: the edges of the bins have shape {edges.shape}; they are an array of one axis with 2 edges or more")
    common, bins = dtypes.promote(data.dtype, edges.dtype), edges.size - 1
    device, info = data.device, dtypes.INFO[common]
    if data.size == 0:
        return registry["full"](shape=(bins,), value=0, dtype=dtypes.int64, device=device)
    data, edges = (engine.gathered(converted(x, common)) for x in (data, edges))
    kernel = device.kernel(
        "histogram",
        f"histogram__{common}",
        arguments=("buffer", "long", "buffer", "long", "long", "buffer", "long", "long"),
        storage=info.storage,
        compute=info.compute,
    )
    traits = device.traits
    rows = max(1, min(4 * traits.compute_units, 2**20 // bins), -(-data.size // 2**31))
    found = engine.gathered(registry["full"](shape=(rows, bins), value=0, dtype="uint32", device=device))
    rounds = 4 * engine.ROUNDS // (traits.lanes * (1 + bins.bit_length()))
    kernel(
        *engine.grid(traits, data.size, max(1, rounds)),
        found.buffer,
        rows,
        data.buffer,
        data.offset,
        data.size,
        edges.buffer,
        edges.offset,
        bins,
    )
    return registry["sum"](found, axis=0, dtype=dtypes.int64)


@composed(numpy=None)
def histogram(a: Value, bins: Any = 10, *, range: Any = None) -> list[Value]:
    """How many elements lie in each bin, and the edges of the bins.

    An element belongs to the bin between the edge that is not above it and the next; the last bin has its upper edge, too.
    What lies outside or is NaN is not counted.

    Parameters
    ----------
    bins : int or array
        How many bins, of one width; or their edges, rising.
    range : (number, number), optional
        Of a number of bins the first and the last edge. By default the smallest and the largest element, which waits for the device.

    Returns
    -------
    (array, array)
        int64 counts, whatever says where the bins are (MXNet gives float32 without `range`); and the edges, floats if `bins` is a number.

    >>> from clnd import nd
    >>> counts, edges = nd.histogram(nd.array([1, 2, 2, 5]), bins=2, range=(1, 3))
    >>> counts.asnumpy(), edges.asnumpy()
    (array([1, 2]), array([1., 2., 3.], dtype=float32))
    """
    edges = bins if isinstance(bins, Value) else _edges(a, bins, range)
    return [counts(a, edges), edges]


def _edges(a: Value, bins: int, range: Any) -> Value:
    if bins < 1 or bins % 1:
        raise ShapeError(f"histogram: the number of bins is {bins}, but must be a whole number of 1 or more")
    if range is None:
        range = (engine.to_numpy(registry[fold](a)).item() for fold in ("min", "max")) if a.size else (0, 1)
    low, high = (float(end) for end in range)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise MXNetError(f"histogram: the range {low} to {high} has no bins; its ends must be finite numbers, the first not above the last")
    if low == high:
        low, high = low - 0.5, high + 0.5
    dtype = dtypes.floating(a.dtype)
    start = registry["arange"](start=low, step=(high - low) / bins, count=int(bins), dtype=dtype, device=a.device)
    end = registry["full"](shape=(1,), value=high, dtype=dtype, device=a.device)
    return registry["concat"](start, end, dim=0)
