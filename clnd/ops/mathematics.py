"""The elementwise functions of mathematics."""

from __future__ import annotations

from typing import Any

import numpy as np

from .declare import elementwise, zero


@elementwise("data * data", int="convert_T(as_U(data) * as_U(data))", grad=lambda dz, data: dz * 2 * data, numpy=np.square)
def square(data: Any) -> None:
    """The element times itself.

    >>> from clnd import nd
    >>> nd.square(nd.array([1, -3])).asnumpy()
    array([1., 9.], dtype=float32)
    """


@elementwise(float="(T)(1) / data", promote="float", grad=lambda dz, z: -(dz * z * z), numpy=np.reciprocal, domain=(0.5, 2.0))
def reciprocal(data: Any) -> None:
    """One divided by the element.

    >>> from clnd import nd
    >>> nd.reciprocal(nd.array([2, -4])).asnumpy()
    array([ 0.5 , -0.25], dtype=float32)
    """


@elementwise(float="exp(data)", promote="float", grad=lambda dz, z: dz * z, numpy=np.exp, dear=True)
def exp(data: Any) -> None:
    """e to the power of the element.

    >>> from clnd import nd
    >>> nd.exp(nd.array([0, 1])).asnumpy()
    array([1.       , 2.7182817], dtype=float32)
    """


@elementwise(float="log(data)", promote="float", grad=lambda dz, data: dz / data, numpy=np.log, domain=(0.5, 3.0), dear=True)
def log(data: Any) -> None:
    """The natural logarithm.

    >>> from clnd import nd
    >>> nd.log(nd.array([1, 0])).asnumpy()
    array([  0., -inf], dtype=float32)
    """


@elementwise(float="tanh(data)", promote="float", grad=lambda dz, z: dz * (1 - z * z), numpy=np.tanh, dear=True)
def tanh(data: Any) -> None:
    """The hyperbolic tangent.

    >>> from clnd import nd
    >>> nd.tanh(nd.array([0, 100])).asnumpy()
    array([0., 1.], dtype=float32)
    """


@elementwise("data", float="floor(data)", grad=zero, numpy=np.floor)
def floor(data: Any) -> None:
    """The largest whole number that is not larger. The gradient is zero.

    >>> from clnd import nd
    >>> nd.floor(nd.array([1.5, -1.5])).asnumpy()
    array([ 1., -2.], dtype=float32)
    """
