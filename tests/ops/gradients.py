"""Derivatives against central differences, along a random direction: one comparison for a whole operator, to any order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from clnd import autograd, engine
from clnd.context import Context
from clnd.engine import Value
from clnd.ndarray import NDArray

STEP = 1e-4  # its error is of the order of its square; rounding adds 1e-16 divided by it


def check_derivative(
    function: Callable[..., Value], arrays: Sequence[np.ndarray[Any, Any]], context: Context, order: int = 1, tolerance: float = 2e-6
) -> None:
    """Compare the gradient of a weighted sum of `function` (and of that gradient's, for higher orders) with differences in float64."""
    generator = np.random.default_rng(len(arrays) + sum(array.size for array in arrays))
    directions = [generator.normal(size=array.shape) for array in arrays]

    def slope(shift: float, left: int) -> tuple[float, float]:
        """The derivative of order `left` along the directions, at a shifted point, and how large its terms are."""
        inputs = [
            NDArray(engine.from_numpy(array + shift * d, context.device), context) for array, d in zip(arrays, directions, strict=True)
        ]
        for x in inputs:
            x.attach_grad()
        with autograd.record():
            y = NDArray(function(*(x.value for x in inputs)), context)
            weights = np.cos(np.arange(y.size)).reshape(y.shape)
            total = weighted(y * y, weights)  # squared: so that the second derivative of a linear operator is not idle
            for _ in range(left):
                gradients = autograd.grad(total, inputs, create_graph=True)
                terms = [weighted(g, d) for g, d in zip(gradients, directions, strict=True)]
                total = terms[0]
                for term in terms[1:]:
                    total = total + term
        return total.asscalar(), 1.0 + abs(total.asscalar())

    def weighted(x: NDArray, weights: np.ndarray[Any, Any]) -> NDArray:
        return (x * NDArray(engine.from_numpy(np.asarray(weights), context.device), context)).sum()

    found, size = slope(0.0, order)
    after, before = slope(STEP, order - 1)[0], slope(-STEP, order - 1)[0]
    expected = (after - before) / (2 * STEP)
    assert abs(found - expected) <= tolerance * size * 10 ** (order - 1), f"derivative of order {order}: {found}, by differences {expected}"
