"""Cases of the densities of random distributions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import stats

from ops.case import Case, Draw, indices
from ops.table import Array

COUNTS = indices(0, 6, "float32")


def between(low: float, high: float) -> Draw:
    return lambda generator, shape: generator.uniform(low, high, shape).astype("float32")


def shares(generator: np.random.Generator, shape: Any) -> Array:
    """Numbers whose sum along the last axis is 1, none of them near 0."""
    return (0.5 / shape[-1] + 0.5 * generator.dirichlet(np.full(shape[-1], 5.0), shape[:-1])).astype("float32")


def along(distribution: Callable[..., Array]) -> Callable[..., Array]:
    """The distribution of (sample, *parameters), with the parameters of an entry for all the sample's further axes."""

    def function(sample: Array, *parameters: Array, is_log: bool = False) -> Array:
        wide = (p.reshape(p.shape + (1,) * (sample.ndim - p.ndim)).astype(float) for p in parameters)
        logarithm = distribution(sample.astype(float), *wide)
        return logarithm if is_log else np.exp(logarithm)

    return function


def dirichlet(sample: Array, alpha: Array, is_log: bool = False) -> Array:
    lines = sample.reshape(len(alpha), -1, sample.shape[-1]).astype(float)
    densities = [[stats.dirichlet.logpdf(x / x.sum(), a.astype(float)) for x in line] for line, a in zip(lines, alpha, strict=True)]
    logarithm = np.array(densities).reshape(sample.shape[:-1])
    return logarithm if is_log else np.exp(logarithm)


def density(name: str, function: Callable[..., Array], *draw: Draw, counts: bool = False, extra: tuple[int, ...] = (4,)) -> list[Case]:
    """The density and its logarithm."""
    shapes = ((2, *extra), *((2,) for _ in draw[1:]))
    return [
        Case(
            f"random_pdf_{name}",
            shapes,
            {"is_log": is_log},
            numpy=along(function),
            dtypes=("float32",),
            rounded=24,
            terms=lambda *arrays, is_log: 8 + 0 * along(function)(*arrays),
            draw=dict(enumerate(draw)),
            smooth=tuple(range(counts, len(shapes))),
        )
        for is_log in (False, True)
    ]


positive = between(0.5, 2.5)
CASES = [
    *density("uniform", lambda x, low, high: stats.uniform.logpdf(x, low, high - low), between(0, 1), between(-2, -1), between(2, 3)),
    *density("normal", stats.norm.logpdf, between(-1, 1), between(-1, 1), positive),
    *density("gamma", lambda x, alpha, beta: stats.gamma.logpdf(x, alpha, scale=1 / beta), positive, positive, positive, extra=(3, 2)),
    *density("exponential", lambda x, lam: stats.expon.logpdf(x, scale=1 / lam), positive, positive, extra=()),
    *density("poisson", stats.poisson.logpmf, COUNTS, positive, counts=True),
    *density("negative_binomial", stats.nbinom.logpmf, COUNTS, positive, between(0.2, 0.8), counts=True),
    *density(
        "generalized_negative_binomial",
        lambda x, mu, alpha: stats.nbinom.logpmf(x, 1 / alpha, 1 / (1 + mu * alpha)),
        COUNTS,
        positive,
        between(0.2, 0.8),
        counts=True,
    ),
    *(
        Case(
            "random_pdf_dirichlet",
            ((2, 4, 3), (2, 3)),
            {"is_log": is_log},
            numpy=dirichlet,
            dtypes=("float32",),
            rounded=24,
            terms=lambda *arrays, is_log: 8 + 0 * dirichlet(*arrays),
            draw={0: shares, 1: positive},
            smooth=(0, 1),
        )
        for is_log in (False, True)
    ),
]
