"""Random values: Philox 4x32-10, a generator that turns a seed and a place into bits, the same ones on every device.

The generator is J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); normal
numbers come from it by G. E. P. Box and M. E. Muller's transform (1958), integers in a range by D. Lemire's multiplication ("Fast random
integer generation in an interval", 2019). `templates/random.cl.mako` tells how these are computed so that no device rounds differently.

Random values are constants to autograd: no gradient flows to the parameters. One flows through `shuffle`.
"""

from __future__ import annotations

import operator
import threading
from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes, state
from clnd.engine.layout import Shape, compact
from clnd.errors import DTypeError, MXNetError, ShapeError, shown

from .declare import broadcast_shapes, composed, converted, launched, registry
from .sorting import sorted_places

TILE = 16  # blocks of four words: a launch takes whole tiles from the generator
_PARTS = 512  # of a tile, that one work-item handles on the cpu schedule: some drivers end loops after 65,535 rounds
FLOATS = tuple(dtype for dtype in dtypes.INFO if dtypes.category(dtype) == "float")
_INTEGERS = tuple(dtype for dtype in dtypes.INFO if dtypes.category(dtype) in ("int", "uint"))
_WORDS = (np.dtype(np.uint32), np.dtype(np.uint64))


class Generator:
    """A stream of random bits: a seed, and how many blocks of it are used. Threads may share one.

    Parameters
    ----------
    seed : int
        Only its lower 64 bits count.
    offset : int
        Blocks that are used already: what `take` has given makes a generator that gives the same numbers again.

    Examples
    --------
    >>> generator = Generator(7)
    >>> generator.take(100), generator.take(16), generator.take(16)
    ((7, 0), (7, 112), (7, 128))
    """

    __slots__ = ("_lock", "_offset", "_seed")

    def __init__(self, seed: int = 0, offset: int = 0) -> None:
        self._lock = threading.Lock()
        self._seed, self._offset = seed if 0 <= seed < 2**64 else seed % 2**64, offset

    def seed(self, seed: int) -> None:
        """Start again, from another seed."""
        with self._lock:
            self._seed, self._offset = seed % 2**64, 0

    def take(self, blocks: int) -> tuple[int, int]:
        """Use up whole tiles of at least `blocks` blocks.

        Returns
        -------
        seed, offset : int
            The seed, and how many blocks were used before.
        """
        with self._lock:
            seed, offset = self._seed, self._offset
            self._offset = (offset - -blocks // TILE * TILE) % 2**64
        return (seed, offset) if state.tracer is None else state.tracer.drawn(self, blocks, (seed, offset))


def _draw(
    distribution: str, generator: Generator, shape: Shape, dtype: np.dtype[Any], device: Any, *parameters: tuple[str, Any], **variant: bool
) -> Value:
    """Launch the template. Each parameter comes with its type."""
    name = f"random_{distribution}"
    engine.check_dtype(dtype, device, name)
    value = Value(shape, dtype, device)
    if value.size == 0:
        return value
    info = dtypes.INFO[dtype]
    kernel = device.kernel(
        "random",
        "_".join([name, *(word for word, on in variant.items() if on)]) + f"__{dtype}",
        arguments=("buffer", "long", "ulong", "ulong", *(kind for kind, _ in parameters)),
        storage=info.storage,
        compute=info.compute,
        distribution=distribution,
        **variant,
    )
    outputs = 1 if variant.get("wide") else 2 if distribution == "randint" or dtype.itemsize == 8 else 4
    tiles = -(-value.size // (TILE * outputs))
    buffer = device.allocate(value.size * dtype.itemsize)
    seed, offset = generator.take(tiles * TILE)
    grid = _grid(device.traits, tiles * (TILE // device.traits.lanes))
    kernel(*grid, buffer, value.size, seed, offset, *(parameter for _, parameter in parameters))
    return value.place(buffer, compact(shape))


def _grid(traits: Any, units: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Global and local size for `units` loop rounds, on the cpu schedule at most `_PARTS` for a work-item."""
    if traits.schedule == "cpu":
        return (max(-(-units // _PARTS), min(units // 16, 4 * traits.compute_units), 1),), (1,)
    groups = max(1, min(-(-units // traits.group), 64 * traits.compute_units))
    return (groups * traits.group,), (traits.group,)


def checked(name: str, dtype: Any, allowed: tuple[np.dtype[Any], ...]) -> np.dtype[Any]:
    """The dtype, if it is among those `allowed`; DTypeError naming the operator `name` otherwise."""
    found = dtypes.as_dtype(dtype)
    if found not in allowed:
        raise DTypeError(f"{name}: dtype {found} is not supported; the dtypes are {', '.join(str(dtype) for dtype in allowed)}")
    return found


def _computed(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """What numbers of `dtype` are computed in."""
    return dtypes.float32 if dtype == dtypes.float16 else dtype


def _finite(name: str, dtype: np.dtype[Any], **numbers: Any) -> list[float]:
    """The parameters as numbers of `dtype`."""
    result = []
    for word, number in numbers.items():
        try:
            rounded = dtypes.to_scalar(float(number), dtype)
        except (TypeError, ValueError, OverflowError):
            raise DTypeError(f"{name}: {word} must be a number, not {shown(number)}") from None
        if not np.isfinite(rounded):
            raise MXNetError(f"{name}: {word} must be a finite number of {dtype}, but is {number}")
        result.append(float(rounded))
    return result


@launched()
def random_bits(*, shape: Any, dtype: Any, device: Any, generator: Generator) -> Value:
    """Random bits, as uint32 or uint64."""
    return _draw("bits", generator, shape, checked("random_bits", dtype, _WORDS), device)


@launched()
def random_uniform(*, low: Any, high: Any, shape: Any, dtype: Any, device: Any, generator: Generator) -> Value:
    """Numbers of the same probability in the interval [low, high), bounds rounded to `dtype` first.

    Float32 has 24 random bits and float64 53; float16 is float32, rounded down. Where both bounds are equal, that is the number.
    """
    dtype = checked("random_uniform", dtype, FLOATS)
    kind = dtypes.INFO[dtype].compute
    first, last = _finite("random_uniform", dtype, low=low, high=high)
    if first > last:
        raise MXNetError(f"random_uniform: low must be less than or equal to high, but they are {low} and {high}")
    if not np.isfinite(dtypes.to_scalar(last - first, _computed(dtype))):
        raise MXNetError(f"random_uniform: the interval from {low} to {high} is too long for {dtype}; draw from half of it and double that")
    return _draw("uniform", generator, shape, dtype, device, (kind, first), (kind, last))


def uniform_blocks(size: int) -> int:
    """How many blocks `random_uniform` takes from a generator for `size` numbers of float32."""
    return -(-size // 4)


@launched()
def random_normal(*, loc: Any, scale: Any, shape: Any, dtype: Any, device: Any, generator: Generator) -> Value:
    """Numbers of a normal distribution, with mean `loc` and standard deviation `scale`: loc + scale * sqrt(-2 ln u) cos(2 pi v), or sin.

    Float64 has numbers up to 9.3 standard deviations from the mean, the other dtypes up to 6.5.
    """
    dtype = checked("random_normal", dtype, FLOATS)
    kind = dtypes.INFO[dtype].compute
    mean, deviation = _finite("random_normal", _computed(dtype), loc=loc, scale=scale)
    if deviation < 0:
        raise MXNetError(f"random_normal: scale must not be negative, but is {scale}")
    return _draw("normal", generator, shape, dtype, device, (kind, mean), (kind, deviation))


@launched()
def random_randint(*, low: Any, high: Any, shape: Any, dtype: Any, device: Any, generator: Generator) -> Value:
    """Integers of the same probability from `low` to `high - 1`; a probability is off by less than one part in 2**32."""
    dtype = checked("random_randint", dtype, _INTEGERS)
    try:
        low, high = operator.index(low), operator.index(high)
    except TypeError:
        raise DTypeError(f"random_randint: low and high must be integers, not {shown(low)} and {shown(high)}") from None
    if low >= high:
        raise MXNetError(f"random_randint: low must be less than high, but they are {low} and {high}")
    limits = np.iinfo(dtype)
    if low < limits.min or high > limits.max + 1:
        raise MXNetError(f"random_randint: {dtype} holds numbers from {limits.min} to {limits.max}, not all from {low} to {high - 1}")
    signed = (low + 2**63) % 2**64 - 2**63
    return _draw("randint", generator, shape, dtype, device, ("long", signed), ("ulong", (high - low) % 2**64), wide=high - low > 2**32)


def _sample(distribution: str, first: Value, second: Value, shape: Any, dtype: Any, generator: Generator) -> Value:
    """Draw `shape` numbers for each pair of entries."""
    name = f"sample_{distribution}"
    dtype = checked(name, dtype, FLOATS)
    device, common = first.device, broadcast_shapes(name, [first.shape, second.shape])
    if second.device is not device:
        raise MXNetError(f"{name}: parameters are on different contexts, {device} and {second.device}; move one with as_in_context()")
    whole = common + tuple(shape)
    if 0 in whole:
        return Value(whole, dtype, device)
    parameters: list[tuple[str, Any]] = []
    for value in (first, second):
        rounded = converted(converted(value, dtype), _computed(dtype))
        filled = engine.gathered(registry["broadcast_to"](rounded, shape=common))
        parameters += [("buffer", filled.buffer), ("long", filled.offset)]
    return _draw(distribution, generator, whole, dtype, device, *parameters, ("long", prod(shape)), arrays=True)


@launched()
def sample_uniform(low: Value, high: Value, *, shape: Any, dtype: Any, generator: Generator) -> Value:
    """For each entry of `low` and `high` an array of `shape` with numbers of the interval between them."""
    return _sample("uniform", low, high, shape, dtype, generator)


@launched()
def sample_normal(mu: Value, sigma: Value, *, shape: Any, dtype: Any, generator: Generator) -> Value:
    """For each entry of `mu` and `sigma` an array of `shape` with normal numbers of this mean and standard deviation."""
    return _sample("normal", mu, sigma, shape, dtype, generator)


@launched()
def permutation(*, count: int, device: Any, generator: Generator) -> Value:
    """The numbers 0, ..., count - 1 in random order, as int64.

    They sort 64-bit random keys, equal ones by their place. So all orders have the same probability, but for the chance that two
    keys are equal, below count**2 / 2**65.
    """
    return sorted_places(random_bits(shape=(count,), dtype=np.uint64, device=device, generator=generator))


@composed(methods=[])
def shuffle(data: Value, *, generator: Generator) -> Value:
    """The same rows in random order: `data` is shuffled along its first axis."""
    if data.ndim == 0:
        raise ShapeError("shuffle: an array without axes has no rows to shuffle")
    order = permutation(count=data.shape[0], device=data.device, generator=generator)
    return registry["take"](data, order, axis=0)
