"""The `mx.nd.random` namespace, and the operators that MXNet knew before it had one."""

from __future__ import annotations

from typing import Any

from clnd.context import Context
from clnd.errors import DTypeError
from clnd.ndarray import NDArray
from clnd.random import (
    draw,
    exponential,
    gamma,
    generalized_negative_binomial,
    multinomial,
    negative_binomial,
    normal,
    poisson,
    randint,
    randn,
    shuffle,
    uniform,
)

__all__ = [
    "exponential",
    "exponential_like",
    "gamma",
    "gamma_like",
    "generalized_negative_binomial",
    "generalized_negative_binomial_like",
    "multinomial",
    "negative_binomial",
    "negative_binomial_like",
    "normal",
    "normal_like",
    "poisson",
    "poisson_like",
    "randint",
    "randn",
    "shuffle",
    "uniform",
    "uniform_like",
]


def uniform_like(data: NDArray, low: float = 0, high: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw numbers from [low, high) in the shape, dtype and context of another array. See `uniform`.

    >>> from clnd import nd
    >>> nd.random.uniform_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("uniform_like", data)
    return uniform(low, high, data.shape, data.dtype, data.context, out)


def normal_like(data: NDArray, loc: float = 0, scale: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw numbers of a normal distribution in the shape, dtype and context of another array. See `normal`.

    >>> from clnd import nd
    >>> nd.random.normal_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("normal_like", data)
    return normal(loc, scale, data.shape, data.dtype, data.context, out)


def exponential_like(data: NDArray, lam: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw exponential numbers of rate `lam` in the shape, dtype and context of another array. (`exponential` takes the mean.)

    >>> from clnd import nd
    >>> nd.random.exponential_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("exponential_like", data)
    return draw("exponential", {"lam": lam}, data.shape, data.dtype, data.context, out)


def gamma_like(data: NDArray, alpha: float = 1, beta: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw numbers of a gamma distribution in the shape, dtype and context of another array. See `gamma`.

    >>> from clnd import nd
    >>> nd.random.gamma_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("gamma_like", data)
    return draw("gamma", {"alpha": alpha, "beta": beta}, data.shape, data.dtype, data.context, out)


def poisson_like(data: NDArray, lam: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw counts of a Poisson distribution in the shape, dtype and context of another array. See `poisson`.

    >>> from clnd import nd
    >>> nd.random.poisson_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("poisson_like", data)
    return draw("poisson", {"lam": lam}, data.shape, data.dtype, data.context, out)


def negative_binomial_like(data: NDArray, k: float = 1, p: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw counts of a negative binomial distribution in the shape, dtype and context of another array. See `negative_binomial`.

    >>> from clnd import nd
    >>> nd.random.negative_binomial_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("negative_binomial_like", data)
    return draw("negative_binomial", {"k": k, "p": p}, data.shape, data.dtype, data.context, out)


def generalized_negative_binomial_like(data: NDArray, mu: float = 1, alpha: float = 1, out: NDArray | None = None) -> NDArray:
    """Draw counts in the shape, dtype and context of another array. See `generalized_negative_binomial`.

    >>> from clnd import nd
    >>> nd.random.generalized_negative_binomial_like(nd.zeros((2, 3))).shape
    (2, 3)
    """
    _require_array("generalized_negative_binomial_like", data)
    return draw("generalized_negative_binomial", {"mu": mu, "alpha": alpha}, data.shape, data.dtype, data.context, out)


def random_uniform(
    low: float = 0, high: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers from [low, high). The older form of `nd.random.uniform`.

    >>> from clnd import nd
    >>> nd.random_uniform(0, 1, shape=3).shape
    (3,)
    """
    return uniform(low, high, shape, dtype, ctx, out)


def random_normal(
    loc: float = 0, scale: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of a normal distribution. The older form of `nd.random.normal`.

    >>> from clnd import nd
    >>> nd.random_normal(shape=3).shape
    (3,)
    """
    return normal(loc, scale, shape, dtype, ctx, out)


def random_randint(
    low: int, high: int, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw integers from `low` to `high - 1`. The older form of `nd.random.randint`.

    >>> from clnd import nd
    >>> nd.random_randint(0, 10, shape=3).shape
    (3,)
    """
    return randint(low, high, shape, dtype, ctx, out)


def random_exponential(
    lam: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of an exponential distribution of rate `lam`. (`nd.random.exponential` takes the mean.)

    >>> from clnd import nd
    >>> nd.random_exponential(shape=3).shape
    (3,)
    """
    return draw("exponential", {"lam": lam}, shape, dtype, ctx, out)


def random_gamma(
    alpha: float = 1, beta: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw numbers of a gamma distribution. The older form of `nd.random.gamma`.

    >>> from clnd import nd
    >>> nd.random_gamma(shape=3).shape
    (3,)
    """
    return draw("gamma", {"alpha": alpha, "beta": beta}, shape, dtype, ctx, out)


def random_poisson(lam: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None) -> NDArray:
    """Draw counts of a Poisson distribution. The older form of `nd.random.poisson`.

    >>> from clnd import nd
    >>> nd.random_poisson(shape=3).shape
    (3,)
    """
    return draw("poisson", {"lam": lam}, shape, dtype, ctx, out)


def random_negative_binomial(
    k: float = 1, p: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw counts of a negative binomial distribution. The older form of `nd.random.negative_binomial`.

    >>> from clnd import nd
    >>> nd.random_negative_binomial(shape=3).shape
    (3,)
    """
    return draw("negative_binomial", {"k": k, "p": p}, shape, dtype, ctx, out)


def random_generalized_negative_binomial(
    mu: float = 1, alpha: float = 1, shape: Any = None, ctx: Context | None = None, dtype: Any = None, out: NDArray | None = None
) -> NDArray:
    """Draw counts, given mean and spread. The older form of `nd.random.generalized_negative_binomial`.

    >>> from clnd import nd
    >>> nd.random_generalized_negative_binomial(shape=3).shape
    (3,)
    """
    return draw("generalized_negative_binomial", {"mu": mu, "alpha": alpha}, shape, dtype, ctx, out)


def sample_uniform(low: NDArray, high: NDArray, shape: Any = (), dtype: Any = None, out: NDArray | None = None) -> NDArray:
    """For each entry of `low` and `high` draw an array of `shape` from [low, high). The older form of `nd.random.uniform`.

    >>> from clnd import nd
    >>> nd.sample_uniform(nd.array([0, 5]), nd.array([1, 10]), shape=3).shape
    (2, 3)
    """
    _require_array("sample_uniform", low)
    return uniform(low, high, shape, dtype, None, out)


def sample_normal(mu: NDArray, sigma: NDArray, shape: Any = (), dtype: Any = None, out: NDArray | None = None) -> NDArray:
    """For each entry of `mu` and `sigma` draw an array of `shape` from their normal distribution. The older form of `nd.random.normal`.

    >>> from clnd import nd
    >>> nd.sample_normal(nd.array([0, 5]), nd.array([1, 0.1]), shape=3).shape
    (2, 3)
    """
    _require_array("sample_normal", mu)
    return normal(mu, sigma, shape, dtype, None, out)


def _require_array(name: str, data: Any) -> None:
    if not isinstance(data, NDArray):
        raise DTypeError(f"{name} takes an NDArray, not {type(data).__name__}")
