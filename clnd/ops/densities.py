"""Densities, or probabilities, of random distributions, and their logarithms: compositions, so that they can be differentiated.

`sample` has the shape of the parameters and further axes after that: the entries along these are drawn with the same parameters. Whether
they are of the distribution's support is not looked at, and counts get no gradient. All is computed as logarithms, float16 in float32.
"""

from __future__ import annotations

from typing import Any

from clnd.engine import Value
from clnd.errors import ShapeError

from .declare import composed, converted, registry, widened
from .mathematics import exp, gammaln, log, log1p
from .shape import reshape, stop_gradient

_LOG_TWO_PI = 1.8378770664093453


def _aligned(name: str, sample: Value, **parameters: Value) -> tuple[Any, list[Value]]:
    """The result's dtype; then, in the dtype that is computed in, the sample, and the parameters with as many axes."""
    for word, parameter in parameters.items():
        if sample.shape[: parameter.ndim] != parameter.shape:
            raise ShapeError(
                f"{name}: sample of shape {sample.shape} must have the shape of {word}, {parameter.shape}, and axes after that"
            )
    return widened(sample, *(reshape(p, shape=p.shape + (1,) * (sample.ndim - p.ndim)) for p in parameters.values()))


def _density(logarithm: Value, is_log: Any, dtype: Any) -> Value:
    """The density of this logarithm, or the logarithm itself."""
    return converted(logarithm if is_log else exp(logarithm), dtype)


@composed(methods=[])
def random_pdf_uniform(sample: Value, low: Value, high: Value, *, is_log: bool = False) -> Value:
    """The density of the uniform distribution on [low, high].

    >>> from clnd import nd
    >>> nd.random_pdf_uniform(nd.array([[1, 2]]), nd.array([0]), nd.array([4])).asnumpy()
    array([[0.25, 0.25]], dtype=float32)
    """
    dtype, (x, low, high) = _aligned("random_pdf_uniform", sample, low=low, high=high)
    return _density(registry["broadcast_to"](-log(high - low), shape=x.shape), is_log, dtype)


@composed(methods=[])
def random_pdf_normal(sample: Value, mu: Value, sigma: Value, *, is_log: bool = False) -> Value:
    """The density of the normal distribution of mean `mu` and standard deviation `sigma`.

    >>> from clnd import nd
    >>> nd.random_pdf_normal(nd.array([[0, 1]]), nd.array([0]), nd.array([1])).asnumpy().round(3)
    array([[0.399, 0.242]], dtype=float32)
    """
    dtype, (x, mu, sigma) = _aligned("random_pdf_normal", sample, mu=mu, sigma=sigma)
    distance = (x - mu) / sigma
    return _density(distance * distance * -0.5 - log(sigma) - 0.5 * _LOG_TWO_PI, is_log, dtype)


@composed(methods=[])
def random_pdf_gamma(sample: Value, alpha: Value, beta: Value, *, is_log: bool = False) -> Value:
    """The density of the gamma distribution of shape `alpha` and rate `beta`. (The samplers' beta is a scale, the inverse of a rate.)

    >>> from clnd import nd
    >>> nd.random_pdf_gamma(nd.array([[1, 2]]), nd.array([2]), nd.array([1])).asnumpy().round(3)
    array([[0.368, 0.271]], dtype=float32)
    """
    dtype, (x, alpha, beta) = _aligned("random_pdf_gamma", sample, alpha=alpha, beta=beta)
    return _density(alpha * log(beta) + (alpha - 1) * log(x) - beta * x - gammaln(alpha), is_log, dtype)


@composed(methods=[])
def random_pdf_exponential(sample: Value, lam: Value, *, is_log: bool = False) -> Value:
    """The density of the exponential distribution of rate `lam`.

    >>> from clnd import nd
    >>> nd.random_pdf_exponential(nd.array([[0, 1]]), nd.array([2])).asnumpy().round(3)
    array([[2.   , 0.271]], dtype=float32)
    """
    dtype, (x, lam) = _aligned("random_pdf_exponential", sample, lam=lam)
    return _density(log(lam) - lam * x, is_log, dtype)


@composed(methods=[])
def random_pdf_poisson(sample: Value, lam: Value, *, is_log: bool = False) -> Value:
    """The probability of counts whose mean is `lam`, by the Poisson distribution.

    >>> from clnd import nd
    >>> nd.random_pdf_poisson(nd.array([[0, 1, 2]]), nd.array([1])).asnumpy().round(3)
    array([[0.368, 0.368, 0.184]], dtype=float32)
    """
    dtype, (x, lam) = _aligned("random_pdf_poisson", stop_gradient(sample), lam=lam)
    return _density(x * log(lam) - lam - gammaln(x + 1), is_log, dtype)


def _negative_binomial(x: Value, k: Value, log_p: Value, log_q: Value) -> Value:
    """The logarithm of gamma(x + k) / (x! gamma(k)) p**k q**x."""
    return gammaln(x + k) - gammaln(x + 1) - gammaln(k) + k * log_p + x * log_q


@composed(methods=[])
def random_pdf_negative_binomial(sample: Value, k: Value, p: Value, *, is_log: bool = False) -> Value:
    """The probability of counts of tries that end in one way, while `k` end in the other, of probability `p`.

    >>> from clnd import nd
    >>> nd.random_pdf_negative_binomial(nd.array([[0, 1, 2]]), nd.array([2]), nd.array([0.5])).asnumpy().round(4)
    array([[0.25  , 0.25  , 0.1875]], dtype=float32)
    """
    dtype, (x, k, p) = _aligned("random_pdf_negative_binomial", stop_gradient(sample), k=k, p=p)
    return _density(_negative_binomial(x, k, log(p), log1p(-p)), is_log, dtype)


@composed(methods=[])
def random_pdf_generalized_negative_binomial(sample: Value, mu: Value, alpha: Value, *, is_log: bool = False) -> Value:
    """The probability of counts of mean `mu` and variance `mu + alpha * mu**2`, by the negative binomial distribution; `alpha` above 0.

    >>> from clnd import nd
    >>> nd.random_pdf_generalized_negative_binomial(nd.array([[0, 1, 2]]), nd.array([2]), nd.array([0.5])).asnumpy().round(4)
    array([[0.25  , 0.25  , 0.1875]], dtype=float32)
    """
    dtype, (x, mu, alpha) = _aligned("random_pdf_generalized_negative_binomial", stop_gradient(sample), mu=mu, alpha=alpha)
    spread = mu * alpha
    log_p = -log1p(spread)
    return _density(_negative_binomial(x, 1 / alpha, log_p, log(spread) + log_p), is_log, dtype)


@composed(methods=[])
def random_pdf_dirichlet(sample: Value, alpha: Value, *, is_log: bool = False) -> Value:
    """The density of the Dirichlet distribution: the last axes of `sample` and `alpha` are shares and their concentrations.

    >>> from clnd import nd
    >>> nd.random_pdf_dirichlet(nd.array([[0.2, 0.8], [0.5, 0.5]]), nd.array([1, 2])).asnumpy().round(3)
    array([1.6, 1. ], dtype=float32)
    """
    name = "random_pdf_dirichlet"
    if not alpha.ndim or not sample.ndim or sample.shape[-1] != alpha.shape[-1] or sample.shape[: alpha.ndim - 1] != alpha.shape[:-1]:
        raise ShapeError(
            f"{name}: sample of shape {sample.shape} must have the shape of alpha, {alpha.shape}, and axes before its last one"
        )
    shape = alpha.shape[:-1] + (1,) * (sample.ndim - alpha.ndim) + alpha.shape[-1:]
    dtype, (x, a) = widened(sample, reshape(alpha, shape=shape))

    def total(value: Value) -> Value:
        return registry["sum"](value, axis=-1)

    return _density(total((a - 1) * log(x)) + gammaln(total(a)) - total(gammaln(a)), is_log, dtype)
