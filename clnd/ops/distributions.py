"""Random numbers of further distributions, with arrays of parameters: a shape of numbers for each entry.

`templates/distributions.cl.mako` names the algorithms. All is computed in float32; where an entry is no parameter of its distribution, the
numbers are NaN. No gradient flows to the parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import DTypeError, MXNetError, ShapeError, shown

from .declare import broadcast_shapes, composed, converted, launched, registry, shape_of
from .mathematics import log
from .random import FLOATS, Generator, checked, random_uniform
from .shape import reshape, stop_gradient

_ROUNDS = 16  # of runs of elements that a work-item draws: each takes loops of its own, and some drivers end these after 65,535 rounds

# What numbers a parameter may be, beside finite: in words, and as a test.
_Range = tuple[str, Callable[[float], bool]]
_POSITIVE: _Range = ("greater than 0", lambda x: x > 0)
_NOT_NEGATIVE: _Range = ("not negative", lambda x: x >= 0)
_PROBABILITY: _Range = ("above 0 and at most 1", lambda x: 0 < x <= 1)
_ALLOWED: dict[str, dict[str, _Range]] = {
    "exponential": {"lam": _POSITIVE, "scale": _POSITIVE},
    "gamma": {"alpha": _POSITIVE, "beta": _POSITIVE},
    "poisson": {"lam": _NOT_NEGATIVE},
    "negative_binomial": {"k": _POSITIVE, "p": _PROBABILITY},
    "generalized_negative_binomial": {"mu": _NOT_NEGATIVE, "alpha": _NOT_NEGATIVE},
}


def parameter(distribution: str, word: str, given: Any, device: Any) -> Value:
    """A number as a distribution's parameter.

    Raises
    ------
    MXNetError
        If it is none.
    """
    try:
        number = float(dtypes.to_scalar(float(given), dtypes.float32))
    except (TypeError, ValueError, OverflowError):
        raise DTypeError(f"random.{distribution}: {word} must be a number, not {shown(given)}") from None
    text, allowed = _ALLOWED[distribution][word]
    if not (allowed(number) and abs(number) < float("inf")):
        raise MXNetError(f"random.{distribution}: {word} must be finite and {text}, but is {given}")
    made: Value = registry["full"](shape=(), value=number, dtype=dtypes.float32, device=device)
    return made


def _sample(distribution: str, shape: Any, dtype: Any, generator: Generator, *parameters: Value) -> Value:
    """Launch the template."""
    name, device = f"sample_{distribution}", parameters[0].device
    for value in parameters[1:]:
        if value.device is not device:
            raise MXNetError(f"{name}: parameters are on different contexts, {device} and {value.device}; move one with as_in_context()")
    found = checked(name, dtypes.float32 if dtype is None else dtype, FLOATS)
    engine.check_dtype(found, device, name)
    common, sizes = broadcast_shapes(name, [value.shape for value in parameters]), shape_of(name, () if shape is None else shape)
    result = Value(common + sizes, found, device)
    if result.size == 0:
        return result
    arguments: list[Any] = []
    for value in parameters:
        filled = engine.gathered(registry["broadcast_to"](converted(value, dtypes.float32), shape=common))
        arguments += [filled.buffer, filled.offset]
    kernel = device.kernel(
        "distributions",
        f"{name}__{found}",
        arguments=("buffer", "long", "ulong", "ulong", *("buffer", "long") * len(parameters), "long"),
        storage=dtypes.INFO[found].storage,
        distribution=distribution,
    )
    buffer = device.allocate(result.size * found.itemsize)
    seed, offset = generator.take(result.size)
    kernel(*engine.grid(device.traits, result.size, _ROUNDS), buffer, result.size, seed, offset, *arguments, prod(sizes))
    return result.place(buffer, compact(result.shape))


@launched()
def sample_exponential(lam: Value, *, shape: Any = (), dtype: Any = None, generator: Generator) -> Value:
    """For each entry of `lam` an array of `shape` with exponential numbers of this rate: of mean 1 / lam.

    >>> from clnd import nd
    >>> nd.sample_exponential(nd.array([1, 5]), shape=3).shape
    (2, 3)
    """
    return _sample("exponential", shape, dtype, generator, lam)


@launched()
def sample_gamma(alpha: Value, beta: Value, *, shape: Any = (), dtype: Any = None, generator: Generator) -> Value:
    """For each entry of `alpha` and `beta` an array of `shape` with gamma numbers of this shape and scale: of mean alpha * beta.

    >>> from clnd import nd
    >>> nd.sample_gamma(nd.array([1, 5]), nd.array([1, 0.5]), shape=3).shape
    (2, 3)
    """
    return _sample("gamma", shape, dtype, generator, alpha, beta)


@launched()
def sample_poisson(lam: Value, *, shape: Any = (), dtype: Any = None, generator: Generator) -> Value:
    """For each entry of `lam` an array of `shape` with counts of this mean, by the Poisson distribution.

    >>> from clnd import nd
    >>> nd.sample_poisson(nd.array([1, 5]), shape=3).shape
    (2, 3)
    """
    return _sample("poisson", shape, dtype, generator, lam)


@launched()
def sample_negative_binomial(k: Value, p: Value, *, shape: Any = (), dtype: Any = None, generator: Generator) -> Value:
    """For each entry of `k` and `p` an array of `shape` with counts of tries until `k` of probability `p` came: of mean k (1 - p) / p.

    >>> from clnd import nd
    >>> nd.sample_negative_binomial(nd.array([1, 5]), nd.array([0.5, 0.1]), shape=3).shape
    (2, 3)
    """
    return _sample("negative_binomial", shape, dtype, generator, k, p)


@launched()
def sample_generalized_negative_binomial(mu: Value, alpha: Value, *, shape: Any = (), dtype: Any = None, generator: Generator) -> Value:
    """For each entry of `mu` and `alpha` an array of `shape` with counts of mean `mu` and variance mu + alpha * mu**2.

    >>> from clnd import nd
    >>> nd.sample_generalized_negative_binomial(nd.array([1, 5]), nd.array([0, 0.5]), shape=3).shape
    (2, 3)
    """
    return _sample("generalized_negative_binomial", shape, dtype, generator, mu, alpha)


@composed(methods=[])
def sample_multinomial(data: Value, *, shape: Any = (), get_prob: bool = False, dtype: Any = "int32", generator: Generator) -> Any:
    """For each line along the last axis of `data`, probabilities, an array of `shape` with positions that are drawn with these.

    A line is taken as a share of its sum, to a precision of 2**-24. One line without `shape` gives an array of one position.

    Parameters
    ----------
    get_prob : bool
        Is the logarithm of the probability of each position a second result? Its gradient flows to `data`.
    dtype : dtype
        Of the positions, any number.

    >>> from clnd import nd
    >>> nd.sample_multinomial(nd.array([[0, 1, 0], [0, 0, 1]]), shape=3).asnumpy()
    array([[1, 1, 1],
           [2, 2, 2]], dtype=int32)
    """
    name, device, result = "sample_multinomial", data.device, dtypes.as_dtype(dtype)
    if not data.ndim or not data.shape[-1]:
        raise ShapeError(f"{name}: data of shape {data.shape} holds no probabilities along its last axis")
    if result == dtypes.bool_:
        raise DTypeError(f"{name}: dtype bool holds no positions; use int32")
    engine.check_dtype(result, device, name)
    whole = data.shape[:-1] + shape_of(name, () if shape is None else shape)
    kinds, lines = data.shape[-1], prod(data.shape[:-1])
    each = prod(whole) // max(1, lines)
    probabilities = converted(data, dtypes.promote(dtypes.floating(data.dtype), dtypes.float32))
    sums = registry["cumsum"](reshape(stop_gradient(probabilities), shape=(lines, 1, kinds)), axis=-1)
    uniform = random_uniform(low=0, high=1, shape=(lines, each, 1), dtype=sums.dtype, device=device, generator=generator)
    total = registry["slice_axis"](sums, axis=-1, begin=kinds - 1, end=kinds)
    passed = registry["sum"](registry["less_equal"](sums, uniform * total), axis=-1, dtype=dtypes.int32)
    position = registry["minimum"](passed, kinds - 1)  # all are passed where they are zeros
    found = converted(reshape(position, shape=whole or (1,)), result)
    if not get_prob:
        return found
    line = registry["arange"](start=0, step=kinds, count=lines, dtype=dtypes.int64, device=device)
    picked = registry["take"](reshape(data, shape=(data.size,)), position + reshape(line, shape=(lines, 1)))
    return [found, log(reshape(picked, shape=whole or (1,)))]
