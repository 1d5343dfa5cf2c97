"""Random arrays: `seed`, and the samplers of `mx.nd.random`.

Each context has a generator of its own, seeded with 0 until `seed` is called. The same seed gives the same numbers on every device.
Only for `exponential`, `gamma`, `poisson` and the negative binomials these may differ in last bits, and so, rarely, in a whole number:
their logarithms are those of the device.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from clnd.engine import Value, dtypes
from clnd.engine.layout import Shape
from clnd.errors import DTypeError, MXNetError, guarded
from clnd.ops import distributions, registry
from clnd.ops import random as ops
from clnd.ops.declare import shape_of

from .context import Context
from .nd.creation import chosen_context
from .nd.wrapping import deliver, unwrap
from .ndarray import NDArray

__all__ = [
    "exponential",
    "gamma",
    "generalized_negative_binomial",
    "multinomial",
    "negative_binomial",
    "normal",
    "poisson",
    "randint",
    "randn",
    "seed",
    "shuffle",
    "uniform",
]

_lock = threading.Lock()
_generators: dict[Context, ops.Generator] = {}
_first_seed = 0  # of a context that has drawn no number yet


class SeedError(MXNetError, ValueError):
    """A seed that is no integer."""


def generator(context: Context) -> ops.Generator:
    """The generator of a context."""
    found = _generators.get(context)
    if found is None:
        with _lock:
            found = _generators.setdefault(context, ops.Generator(_first_seed))
    return found


@guarded
def seed(seed_state: int, ctx: Any = "all") -> None:
    """Start the random numbers again: the same seed gives the same numbers, on every device and with every driver.

    Parameters
    ----------
    seed_state : int
        Its lower 64 bits are used.
    ctx : Context or "all"
        The context whose numbers shall start again. By default those of all contexts do, each with the same numbers: where several devices
        need different ones, seed each with a number of its own.

    Raises
    ------
    ValueError
        If the seed is no integer.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(1)
    >>> first = mx.nd.random.uniform(shape=3).asnumpy()
    >>> mx.random.seed(1)
    >>> bool((mx.nd.random.uniform(shape=3).asnumpy() == first).all())
    True
    """
    global _first_seed
    if not isinstance(seed_state, (int, np.integer)):
        raise SeedError(f"random.seed: seed_state must be an int, not {seed_state!r}")
    number = int(seed_state)
    if ctx != "all":
        generator(Context(ctx)).seed(number)
        return
    with _lock:
        _first_seed = number
        for existing in _generators.values():
            existing.seed(number)


@guarded
def uniform(
    low: Any = 0, high: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of the same probability from the interval [low, high).

    Parameters
    ----------
    low, high : float, or NDArray
        The bounds, finite; `high` itself is not drawn. With arrays of one shape, `shape` numbers are drawn for each pair of entries.
    shape : int or tuple of int, optional
        By default one number, shape (1,), or that of `out`; with arrays as bounds, one number for each pair of entries.
    dtype : {"float16", "float32", "float64"}, optional
        float32 by default, or that of `out`.
    ctx : Context, optional
        The current one by default. Arrays as bounds say it themselves.
    out : NDArray, optional
        Where to write the numbers.

    Returns
    -------
    NDArray
        Of shape `shape`, or `low.shape + shape`; `out` where that is given. No gradient flows to the bounds.

    Raises
    ------
    MXNetError
        If `low` is greater than `high`, a bound is not finite or their distance is infinite, or `dtype` is no float.

    Notes
    -----
    Philox 4x32-10 (Salmon, Moraes, Dror and Shaw, 2011): a float32 has 24 random bits, a float64 53, a float16 is a float32 rounded down.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> x = mx.nd.random.uniform(-1, 1, shape=(2, 3))
    >>> x.shape, bool((x >= -1).min()), bool((x < 1).min())
    ((2, 3), True, True)
    >>> mx.nd.random.uniform(mx.nd.array([0, 10]), mx.nd.array([1, 20]), shape=4).shape
    (2, 4)
    """
    return draw("uniform", {"low": low, "high": high}, shape, dtype, ctx, out)


@guarded
def normal(
    loc: Any = 0, scale: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of a normal distribution.

    Parameters
    ----------
    loc : float or NDArray
        The mean.
    scale : float or NDArray
        The standard deviation, not negative. With arrays of one shape, `shape` numbers are drawn for each pair of entries.
    shape, dtype, ctx, out
        As of `uniform`.

    Returns
    -------
    NDArray
        Of shape `shape`, or `loc.shape + shape`; `out` where that is given. No gradient flows to the parameters.

    Raises
    ------
    MXNetError
        If `scale` is negative, a parameter is not finite, or `dtype` is no float.

    Notes
    -----
    ``loc + scale * sqrt(-2 ln u) cos(2 pi v)``, and sin for another number, of uniform u and v (Box and Muller, 1958). Float64 reaches 9.3
    standard deviations from the mean, the other dtypes 6.5.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> x = mx.nd.random.normal(5, 0.1, shape=10000)
    >>> abs(float(x.mean()) - 5) < 0.01
    True
    """
    return draw("normal", {"loc": loc, "scale": scale}, shape, dtype, ctx, out)


@guarded
def randn(*shape: int, loc: Any = 0, scale: Any = 1, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None) -> NDArray:
    """Draw numbers of a normal distribution; the shape is given as single numbers.

    Parameters
    ----------
    *shape : int
        The size of each axis.
    loc, scale, dtype, ctx, out
        As of `normal`.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.random.randn(2, 3).shape
    (2, 3)
    """
    return draw("normal", {"loc": loc, "scale": scale}, shape, dtype, ctx, out)


@guarded
def randint(low: int, high: int, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None) -> NDArray:
    """Draw integers from `low` to `high - 1`, each with the same probability.

    Parameters
    ----------
    low, high : int
        The bounds; `high` itself is not drawn.
    shape, ctx, out
        As of `uniform`.
    dtype : an integer dtype, optional
        int32 by default, or that of `out`; it must hold all numbers that may be drawn.

    Raises
    ------
    MXNetError
        If `low` is not less than `high`, a bound is no integer or not of `dtype`, or `dtype` is not for integers.

    Notes
    -----
    A 64-bit random word, for ranges above 2**32 a 128-bit one, is multiplied with the range and the upper bits taken (Lemire, 2019, without
    the rejection): a probability is off by less than one part in 2**32.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> x = mx.nd.random.randint(-5, 5, shape=1000)
    >>> int(x.min()), int(x.max()), x.dtype.__name__
    (-5, 4, 'int32')
    """
    dtype, shape, context = _frame("randint", np.int32, shape, dtype, ctx, out)
    value = ops.random_randint(low=low, high=high, shape=shape, dtype=dtype, device=context.device, generator=generator(context))
    return _delivered("randint", value, context, out)


@guarded
def exponential(scale: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None) -> NDArray:
    """Draw numbers of an exponential distribution.

    Parameters
    ----------
    scale : float or NDArray
        The mean, positive: the inverse of the rate `lam` of `nd.random_exponential`.
    shape, dtype, ctx, out
        As of `uniform`.

    Raises
    ------
    MXNetError
        If a parameter is not a finite number of its range; in an array that gives NaN. So with all that follow.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> abs(float(mx.nd.random.exponential(5, shape=100000).mean()) - 5) < 0.1
    True
    """
    return draw("exponential", {"scale": scale}, shape, dtype, ctx, out)


@guarded
def gamma(
    alpha: Any = 1, beta: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of a gamma distribution: of mean ``alpha * beta`` and variance ``alpha * beta**2``.

    Parameters
    ----------
    alpha : float or NDArray
        The shape, positive.
    beta : float or NDArray
        The scale, positive. (That of `nd.random_pdf_gamma` is a rate.)
    shape, dtype, ctx, out
        As of `uniform`.

    Notes
    -----
    Marsaglia and Tsang, "A simple method for generating gamma variables" (2000).

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> abs(float(mx.nd.random.gamma(9, 0.5, shape=100000).mean()) - 4.5) < 0.1
    True
    """
    return draw("gamma", {"alpha": alpha, "beta": beta}, shape, dtype, ctx, out)


@guarded
def poisson(lam: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None) -> NDArray:
    """Draw counts of a Poisson distribution, as floats.

    Parameters
    ----------
    lam : float or NDArray
        The mean, not negative.
    shape, dtype, ctx, out
        As of `uniform`.

    Notes
    -----
    Hoermann, "The transformed rejection method for generating Poisson random variables" (1993); for means below 10
    products of uniform numbers.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> abs(float(mx.nd.random.poisson(4, shape=100000).mean()) - 4) < 0.1
    True
    """
    return draw("poisson", {"lam": lam}, shape, dtype, ctx, out)


@guarded
def negative_binomial(
    k: Any = 1, p: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None
) -> NDArray:
    """Draw counts of a negative binomial distribution, as floats: of mean ``k * (1 - p) / p``.

    Parameters
    ----------
    k : float or NDArray
        How many failures end the experiment; positive, and need not be whole.
    p : float or NDArray
        The probability of a failure, above 0 and at most 1.
    shape, dtype, ctx, out
        As of `uniform`.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> abs(float(mx.nd.random.negative_binomial(3, 0.5, shape=100000).mean()) - 3) < 0.1
    True
    """
    return draw("negative_binomial", {"k": k, "p": p}, shape, dtype, ctx, out)


@guarded
def generalized_negative_binomial(
    mu: Any = 1, alpha: Any = 1, shape: Any = None, dtype: Any = None, ctx: Context | None = None, out: NDArray | None = None
) -> NDArray:
    """Draw counts of a negative binomial distribution given by mean and spread, as floats: of variance ``mu + alpha * mu**2``.

    Parameters
    ----------
    mu : float or NDArray
        The mean, not negative.
    alpha : float or NDArray
        The spread, not negative; without one, 0, they are Poisson's.
    shape, dtype, ctx, out
        As of `uniform`.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> abs(float(mx.nd.random.generalized_negative_binomial(3, 0.5, shape=100000).mean()) - 3) < 0.1
    True
    """
    return draw("generalized_negative_binomial", {"mu": mu, "alpha": alpha}, shape, dtype, ctx, out)


@guarded
def multinomial(data: NDArray, shape: Any = None, get_prob: bool = False, out: Any = None, dtype: Any = "int32") -> Any:
    """Draw positions along the last axis of an array of probabilities.

    Parameters
    ----------
    data : NDArray
        Of shape (..., k): each line of k holds probabilities, not negative, and is taken as a share of its sum.
    shape : int or tuple of int, optional
        How many positions are drawn from each line; one by default.
    get_prob : bool
        Are the logarithms of the drawn positions' probabilities wanted, too? Their gradient flows to `data`.
    out : NDArray, or two of them, optional
        Where to write the result.
    dtype : optional
        Of the positions.

    Returns
    -------
    NDArray, or a list of two
        Of shape ``data.shape[:-1] + shape``; of shape (1,) for one line without `shape`.

    Examples
    --------
    >>> import clnd as mx
    >>> mx.random.seed(0)
    >>> x = mx.nd.random.multinomial(mx.nd.array([0.5, 0, 0.5]), shape=1000)
    >>> sorted(set(x.asnumpy().tolist()))
    [0, 2]
    """
    if not isinstance(data, NDArray):
        raise DTypeError(f"multinomial: data must be an NDArray, not {type(data).__name__}")
    count = () if shape is None else shape_of("multinomial", shape)
    drawn = distributions.sample_multinomial(data.value, shape=count, get_prob=get_prob, dtype=dtype, generator=generator(data.context))
    return deliver("multinomial", drawn, data.context, out)


@guarded
def shuffle(data: NDArray, out: NDArray | None = None) -> NDArray:
    """Shuffle an array along its first axis: the same rows in random order, every order with the same probability.

    Parameters
    ----------
    data : NDArray
        Of at least one axis; it stays as it is.
    out : NDArray, optional
        Where to write the result.

    Returns
    -------
    NDArray
        A gradient flows back to where each row came from.

    Examples
    --------
    >>> from clnd import nd
    >>> nd.random.shuffle(nd.arange(5)).asnumpy().sum().item()
    10.0
    """
    if not isinstance(data, NDArray):
        raise DTypeError(f"shuffle: data must be an NDArray, not {type(data).__name__}")
    value = ops.shuffle(data.value, generator=generator(data.context))
    return _delivered("shuffle", value, data.context, out)


def draw(name: str, parameters: dict[str, Any], shape: Any, dtype: Any, ctx: Context | None, out: NDArray | None) -> NDArray:
    """Draw from a distribution whose parameters are all numbers, or all arrays."""
    if out is not None and not isinstance(out, NDArray):
        raise DTypeError(f"{name}: out is a {type(out).__name__}, not an NDArray")
    arrays = [parameter for parameter in parameters.values() if isinstance(parameter, NDArray)]
    if len(arrays) == len(parameters):
        values, context = unwrap(name, arrays)
        dtype, shape = _dtype(name, np.float32, dtype, out), () if shape is None else shape_of(name, shape)
    elif arrays:
        words = " and ".join(f"{word} {type(parameter).__name__}" for word, parameter in parameters.items())
        raise DTypeError(f"{name}: the parameters must be two numbers or two arrays, but are {words}")
    else:
        dtype, shape, context = _frame(name, np.float32, shape, dtype, ctx, out)
        if name in _OF_NUMBERS:
            value = _OF_NUMBERS[name](**parameters, shape=shape, dtype=dtype, device=context.device, generator=generator(context))
            return _delivered(name, value, context, out)
        values = [distributions.parameter(name, word, number, context.device) for word, number in parameters.items()]
    if name == "exponential" and "scale" in parameters:  # the mean in place of the rate
        values = [1 / value for value in values]
    value = registry[f"sample_{name}"](*values, shape=shape, dtype=dtype, generator=generator(context))
    return _delivered(name, value, context, out)


# What has a kernel of its own for parameters that are numbers.
_OF_NUMBERS: dict[str, Callable[..., Value]] = {"uniform": ops.random_uniform, "normal": ops.random_normal}


def _frame(name: str, default: Any, shape: Any, dtype: Any, ctx: Context | None, out: NDArray | None) -> tuple[Any, Shape, Context]:
    """Dtype, shape and context of what is to be drawn."""
    context = out.context if out is not None and ctx is None else chosen_context(ctx)
    if out is not None and out.context != context:
        raise MXNetError(f"{name}: ctx is {context}, but out is on {out.context}")
    wanted: Shape = (1,) if out is None else out.shape
    return _dtype(name, default, dtype, out), wanted if shape is None else shape_of(name, shape), context


def _dtype(name: str, default: Any, dtype: Any, out: NDArray | None) -> Any:
    """The dtype of what is to be drawn."""
    if out is None:
        return default if dtype is None else dtype
    if dtype is not None and dtypes.as_dtype(dtype) != out.dtype:
        raise DTypeError(f"{name}: dtype is {dtypes.as_dtype(dtype)}, but out has {np.dtype(out.dtype)}")
    return out.dtype


def _delivered(name: str, value: Value, context: Context, out: NDArray | None) -> NDArray:
    array: NDArray = deliver(name, value, context, out)
    return array
