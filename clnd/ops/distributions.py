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
from clnd.errors import DTypeError, MXNetError, ShapeError

from .declare import broadcast_shapes, converted, launched, registry, whole_numbers
from .random import _FLOATS, Generator, _checked

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
    except (TypeError, ValueError):
        raise DTypeError(f"random.{distribution}: {word} must be a number, not {given!r}") from None
    text, allowed = _ALLOWED[distribution][word]
    if not (allowed(number) and abs(number) < float("inf")):
        raise MXNetError(f"random.{distribution}: {word} must be finite and {text}, but is {given}")
    made: Value = registry["full"](shape=(), value=number, dtype=dtypes.float32, device=device)
    return made


def _sizes(name: str, shape: Any) -> tuple[int, ...]:
    sizes = whole_numbers(name, "shape", () if shape is None else shape)
    if any(n < 0 for n in sizes):
        raise ShapeError(f"{name}: the shape {sizes} has a negative size")
    return sizes


def _sample(distribution: str, shape: Any, dtype: Any, generator: Generator, *parameters: Value) -> Value:
    """Launch the template."""
    name, device = f"sample_{distribution}", parameters[0].device
    for value in parameters[1:]:
        if value.device is not device:
            raise MXNetError(f"{name}: parameters are on different contexts, {device} and {value.device}; move one with as_in_context()")
    found = _checked(name, dtypes.float32 if dtype is None else dtype, _FLOATS)
    engine.check_dtype(found, device, name)
    common, sizes = broadcast_shapes(name, [value.shape for value in parameters]), _sizes(name, shape)
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
