"""The elementwise functions of mathematics.

Where OpenCL C has no function, or drivers have a bad one, the code calls one of templates/functions.cl.mako (`name_T`).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from clnd.engine import Value, dtypes
from clnd.errors import DTypeError

from .declare import Elementwise, elementwise, registry, zero

# Signs, sizes and whole numbers: these keep the dtype of integers.


@elementwise(
    float="data > (T)(0) ? (T)(1) : (data < (T)(0) ? (T)(-1) : (data == (T)(0) ? (T)(0) : data))",
    int="data > (T)(0) ? (T)(1) : (data < (T)(0) ? (T)(-1) : (T)(0))",
    uint="data > (T)(0) ? (T)(1) : (T)(0)",
    grad=zero,
    numpy=np.sign,
)
def sign(data: Any) -> None:
    """-1, 0 or 1, as the element is below, at or above 0; NaN stays NaN. The gradient is zero.

    >>> from clnd import nd
    >>> nd.sign(nd.array([3, 0, -0.5])).asnumpy()
    array([ 1.,  0., -1.], dtype=float32)
    """


@elementwise(float="fabs(data)", int="as_T(abs(data))", uint="data", grad=lambda dz, data: dz * sign(data), numpy=np.abs)
def abs(data: Any) -> None:
    """The absolute value. The gradient at 0 is 0; the smallest signed integer stays what it is.

    >>> from clnd import nd
    >>> nd.abs(nd.array([1.5, -2])).asnumpy()
    array([1.5, 2. ], dtype=float32)
    """


@elementwise("data", float="floor(data)", grad=zero, numpy=np.floor)
def floor(data: Any) -> None:
    """The largest whole number that is not larger. The gradient is zero.

    >>> from clnd import nd
    >>> nd.floor(nd.array([1.5, -1.5])).asnumpy()
    array([ 1., -2.], dtype=float32)
    """


@elementwise("data", float="ceil(data)", grad=zero, numpy=np.ceil)
def ceil(data: Any) -> None:
    """The smallest whole number that is not smaller. The gradient is zero.

    >>> from clnd import nd
    >>> nd.ceil(nd.array([1.5, -1.5])).asnumpy()
    array([ 2., -1.], dtype=float32)
    """


@elementwise("data", float="trunc(data)", grad=zero, numpy=np.trunc)
def trunc(data: Any) -> None:
    """The whole part: what follows the point is dropped. The gradient is zero.

    >>> from clnd import nd
    >>> nd.trunc(nd.array([1.5, -1.5])).asnumpy()
    array([ 1., -1.], dtype=float32)
    """


@elementwise("data", float="trunc(data)", grad=zero, numpy=np.fix)
def fix(data: Any) -> None:
    """The nearest whole number towards 0: another name of `trunc`. The gradient is zero.

    >>> from clnd import nd
    >>> nd.fix(nd.array([1.5, -1.5])).asnumpy()
    array([ 1., -1.], dtype=float32)
    """


@elementwise("data", float="rint(data)", grad=zero, numpy=np.rint)
def rint(data: Any) -> None:
    """The nearest whole number; halves go to the lower one in `mx.nd`, to the even one below it. The gradient is zero.

    >>> from clnd import nd
    >>> nd.rint(nd.array([0.7, 1.5, -1.5])).asnumpy()
    array([ 1.,  1., -2.], dtype=float32)
    """


def _round_numpy(data: Any) -> Any:
    whole = np.trunc(data)
    return whole + np.copysign(np.abs(data - whole) >= 0.5, data)


@elementwise("data", float="round(data)", grad=zero, numpy=_round_numpy)
def round(data: Any) -> None:
    """The nearest whole number, halves away from 0. The gradient is zero.

    >>> from clnd import nd
    >>> nd.round(nd.array([0.7, 2.5, -2.5])).asnumpy()
    array([ 1.,  3., -3.], dtype=float32)
    """


class Clip(Elementwise):
    """Its bounds, numbers of any size, become numbers of the array's dtype."""

    def __call__(self, *inputs: Any, **attrs: Any) -> Value:
        """Saturate the bounds."""
        attrs = self.fill(attrs)
        dtype = inputs[0].dtype
        low, high = -math.inf if attrs["a_min"] is None else attrs["a_min"], math.inf if attrs["a_max"] is None else attrs["a_max"]
        if dtypes.category(dtype) in ("int", "uint"):
            if low != low or high != high:
                raise DTypeError(f"clip: nan is no bound for {dtype}")
            limits = np.iinfo(dtype)
            low, high = (int(min(max(bound, limits.min), limits.max)) for bound in (low, high))
        return super().__call__(*inputs, a_min=high if low > high else low, a_max=high)


@partial(
    Clip,
    code=dict.fromkeys(("float", "int", "uint"), "data < a_min ? a_min : (data > a_max ? a_max : data)"),
    grad=lambda dz, data, a_min, a_max: registry["where"](
        registry["logical_or"](registry["less"](data, a_min), registry["greater"](data, a_max)), 0, dz
    ),
    numpy=np.clip,
)
def clip(data: Any, *, a_min: Any, a_max: Any) -> None:
    """The element, but at least `a_min` and at most `a_max` (None for no bound). Beside integers the bounds lose their fraction.

    The gradient goes to the elements within the bounds, those at a bound included.

    >>> from clnd import nd
    >>> nd.clip(nd.array([-2, 0.5, 3]), a_min=-1, a_max=1).asnumpy()
    array([-1. ,  0.5,  1. ], dtype=float32)
    """


@elementwise("data != data", float="isnan(data)", bool="data != data", result=bool, grad=zero, numpy=np.isnan, methods=[])
def isnan(data: Any) -> None:
    """Is the element not a number? The gradient is zero.

    >>> from clnd import nd, ops
    >>> ops.registry["isnan"](nd.array([1, float("nan")]).value).dtype
    dtype('bool')
    """


@elementwise("data != data", float="isinf(data)", bool="data != data", result=bool, grad=zero, numpy=np.isinf, methods=[])
def isinf(data: Any) -> None:
    """Is the element infinite, of either sign? The gradient is zero.

    >>> from clnd import nd, ops
    >>> ops.registry["isinf"](nd.array([1, float("inf")]).value).dtype
    dtype('bool')
    """


@elementwise("data == data", float="isfinite(data)", bool="data == data", result=bool, grad=zero, numpy=np.isfinite, methods=[])
def isfinite(data: Any) -> None:
    """Is the element a finite number? The gradient is zero.

    >>> from clnd import nd, ops
    >>> ops.registry["isfinite"](nd.array([1, float("inf")]).value).dtype
    dtype('bool')
    """


# Powers and roots.


@elementwise("data * data", int="convert_T(as_U(data) * as_U(data))", grad=lambda dz, data: dz * 2 * data, numpy=np.square)
def square(data: Any) -> None:
    """The element times itself. Integers wrap around.

    >>> from clnd import nd
    >>> nd.square(nd.array([1, -3])).asnumpy()
    array([1., 9.], dtype=float32)
    """


@elementwise(
    "data * data * data",
    int="convert_T(as_U(data) * as_U(data) * as_U(data))",
    grad=lambda dz, data: dz * 3 * square(data),
    numpy=lambda data: np.power(data, 3),
    methods=[],
)
def cube(data: Any) -> None:
    """The third power of the element. Integers wrap around."""


@elementwise(float="sqrt(data)", promote="float", grad=lambda dz, z: dz * 0.5 / z, numpy=np.sqrt, domain=(0.5, 3.0))
def sqrt(data: Any) -> None:
    """The square root; NaN of what is below 0.

    >>> from clnd import nd
    >>> nd.sqrt(nd.array([4, 2.25])).asnumpy()
    array([2. , 1.5], dtype=float32)
    """


def _rsqrt_numpy(data: Any) -> Any:
    return 1 / np.sqrt(data)


@elementwise(float="rsqrt(data)", promote="float", grad=lambda dz, z: dz * -0.5 * z * z * z, numpy=_rsqrt_numpy, domain=(0.5, 3.0))
def rsqrt(data: Any) -> None:
    """One divided by the square root.

    >>> from clnd import nd
    >>> nd.rsqrt(nd.array([4, 0])).asnumpy()
    array([0.5, inf], dtype=float32)
    """


@elementwise(float="cbrt(data)", promote="float", grad=lambda dz, z: dz / (3 * z * z), numpy=np.cbrt, domain=(0.5, 3.0), dear=True)
def cbrt(data: Any) -> None:
    """The cube root, of the element's sign.

    >>> from clnd import nd
    >>> nd.cbrt(nd.array([8, -27])).asnumpy()
    array([ 2., -3.], dtype=float32)
    """


def _rcbrt_numpy(data: Any) -> Any:
    return 1 / np.cbrt(data)


@elementwise(
    float="(T)(1) / cbrt(data)",
    promote="float",
    grad=lambda dz, z: dz * (-1 / 3) * square(square(z)),
    numpy=_rcbrt_numpy,
    domain=(0.5, 3.0),
    dear=True,
)
def rcbrt(data: Any) -> None:
    """One divided by the cube root.

    >>> from clnd import nd
    >>> nd.rcbrt(nd.array([8, -1])).asnumpy()
    array([ 0.5, -1. ], dtype=float32)
    """


@elementwise(float="(T)(1) / data", promote="float", grad=lambda dz, z: -(dz * z * z), numpy=np.reciprocal, domain=(0.5, 2.0))
def reciprocal(data: Any) -> None:
    """One divided by the element.

    >>> from clnd import nd
    >>> nd.reciprocal(nd.array([2, -4])).asnumpy()
    array([ 0.5 , -0.25], dtype=float32)
    """


# Exponentials and logarithms.


@elementwise(float="exp_T(data)", promote="float", grad=lambda dz, z: dz * z, numpy=np.exp, dear=True)
def exp(data: Any) -> None:
    """e to the power of the element.

    >>> from clnd import nd
    >>> nd.exp(nd.array([0, 1])).asnumpy().round(3)
    array([1.   , 2.718], dtype=float32)
    """


@elementwise(float="exp_minus_one_T(data)", promote="float", grad=lambda dz, data: dz * exp(data), numpy=np.expm1, dear=True)
def expm1(data: Any) -> None:
    """exp(x) - 1, of which small elements keep all digits.

    >>> from clnd import nd
    >>> nd.expm1(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 1.718], dtype=float32)
    """


@elementwise(float="log_T(data)", promote="float", grad=lambda dz, data: dz / data, numpy=np.log, domain=(0.5, 3.0), dear=True)
def log(data: Any) -> None:
    """The natural logarithm.

    >>> from clnd import nd
    >>> nd.log(nd.array([1, 0])).asnumpy()
    array([  0., -inf], dtype=float32)
    """


@elementwise(
    float="log10(data)",
    promote="float",
    grad=lambda dz, data: dz * (1 / math.log(10)) / data,
    numpy=np.log10,
    domain=(0.5, 3.0),
    dear=True,
)
def log10(data: Any) -> None:
    """The logarithm to base 10.

    >>> from clnd import nd
    >>> nd.log10(nd.array([1000, 0.1])).asnumpy().round(3)
    array([ 3., -1.], dtype=float32)
    """


@elementwise(
    float="log2(data)", promote="float", grad=lambda dz, data: dz * (1 / math.log(2)) / data, numpy=np.log2, domain=(0.5, 3.0), dear=True
)
def log2(data: Any) -> None:
    """The logarithm to base 2.

    >>> from clnd import nd
    >>> nd.log2(nd.array([8, 0.5])).asnumpy().round(3)
    array([ 3., -1.], dtype=float32)
    """


@elementwise(float="log1p(data)", promote="float", grad=lambda dz, data: dz / (1 + data), numpy=np.log1p, domain=(-0.5, 2.0), dear=True)
def log1p(data: Any) -> None:
    """log(1 + x), of which small elements keep all digits.

    >>> from clnd import nd
    >>> nd.log1p(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 0.693], dtype=float32)
    """


# Trigonometry.


@elementwise(float="degrees(data)", promote="float", grad=lambda dz: dz * (180 / math.pi), numpy=np.degrees)
def degrees(data: Any) -> None:
    """Radians as degrees.

    >>> from clnd import nd
    >>> nd.degrees(nd.array([0, 3.1415927])).asnumpy().round(3)
    array([  0., 180.], dtype=float32)
    """


@elementwise(float="radians(data)", promote="float", grad=lambda dz: dz * (math.pi / 180), numpy=np.radians)
def radians(data: Any) -> None:
    """Degrees as radians.

    >>> from clnd import nd
    >>> nd.radians(nd.array([0, 180])).asnumpy().round(3)
    array([0.   , 3.142], dtype=float32)
    """


@elementwise(float="sin_T(data)", promote="float", grad=lambda dz, data: dz * registry["cos"](data), numpy=np.sin, dear=True)
def sin(data: Any) -> None:
    """The sine of an angle in radians, of any size.

    >>> from clnd import nd
    >>> nd.sin(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 0.841], dtype=float32)
    """


@elementwise(float="cos_T(data)", promote="float", grad=lambda dz, data: -(dz * sin(data)), numpy=np.cos, dear=True)
def cos(data: Any) -> None:
    """The cosine of an angle in radians, of any size.

    >>> from clnd import nd
    >>> nd.cos(nd.array([0, 2])).asnumpy().round(3)
    array([ 1.   , -0.416], dtype=float32)
    """


@elementwise(float="tan_T(data)", promote="float", grad=lambda dz, z: dz * (1 + z * z), numpy=np.tan, domain=(-1.2, 1.2), dear=True)
def tan(data: Any) -> None:
    """The tangent of an angle in radians, of any size.

    >>> from clnd import nd
    >>> nd.tan(nd.array([0, 0.5])).asnumpy().round(3)
    array([0.   , 0.546], dtype=float32)
    """


# The factors of 1 - x^2 and the like have roots of their own: nothing cancels or overflows.


@elementwise(
    float="asin(data)",
    promote="float",
    grad=lambda dz, data: dz * rsqrt(1 - data) * rsqrt(1 + data),
    numpy=np.arcsin,
    domain=(-0.9, 0.9),
    dear=True,
)
def arcsin(data: Any) -> None:
    """The angle whose sine is given: -pi/2 to pi/2; NaN outside -1 to 1.

    >>> from clnd import nd
    >>> nd.arcsin(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 1.571], dtype=float32)
    """


@elementwise(
    float="acos(data)",
    promote="float",
    grad=lambda dz, data: -(dz * rsqrt(1 - data) * rsqrt(1 + data)),
    numpy=np.arccos,
    domain=(-0.9, 0.9),
    dear=True,
)
def arccos(data: Any) -> None:
    """The angle whose cosine is given: 0 to pi; NaN outside -1 to 1.

    >>> from clnd import nd
    >>> nd.arccos(nd.array([1, -1])).asnumpy().round(3)
    array([0.   , 3.142], dtype=float32)
    """


@elementwise(float="atan(data)", promote="float", grad=lambda dz, data: dz / (1 + data * data), numpy=np.arctan, dear=True)
def arctan(data: Any) -> None:
    """The angle whose tangent is given: -pi/2 to pi/2.

    >>> from clnd import nd
    >>> nd.arctan(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 0.785], dtype=float32)
    """


@elementwise(float="sinh(data)", promote="float", grad=lambda dz, data: dz * registry["cosh"](data), numpy=np.sinh, dear=True)
def sinh(data: Any) -> None:
    """The hyperbolic sine.

    >>> from clnd import nd
    >>> nd.sinh(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 1.175], dtype=float32)
    """


@elementwise(float="cosh(data)", promote="float", grad=lambda dz, data: dz * sinh(data), numpy=np.cosh, dear=True)
def cosh(data: Any) -> None:
    """The hyperbolic cosine.

    >>> from clnd import nd
    >>> nd.cosh(nd.array([0, 1])).asnumpy().round(3)
    array([1.   , 1.543], dtype=float32)
    """


@elementwise(float="tanh_T(data)", promote="float", grad=lambda dz, z: dz * (1 - z * z), numpy=np.tanh, dear=True)
def tanh(data: Any) -> None:
    """The hyperbolic tangent.

    >>> from clnd import nd
    >>> nd.tanh(nd.array([0, 100])).asnumpy().round(3)
    array([0., 1.], dtype=float32)
    """


@elementwise(float="asinh(data)", promote="float", grad=lambda dz, data: dz * rsqrt(1 + data * data), numpy=np.arcsinh, dear=True)
def arcsinh(data: Any) -> None:
    """The number whose hyperbolic sine is given.

    >>> from clnd import nd
    >>> nd.arcsinh(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 0.881], dtype=float32)
    """


@elementwise(
    float="acosh(data)",
    promote="float",
    grad=lambda dz, data: dz * rsqrt(data - 1) * rsqrt(data + 1),
    numpy=np.arccosh,
    domain=(1.2, 3.0),
    dear=True,
)
def arccosh(data: Any) -> None:
    """The number, not below 0, whose hyperbolic cosine is given; NaN of what is below 1.

    >>> from clnd import nd
    >>> nd.arccosh(nd.array([1, 2])).asnumpy().round(3)
    array([0.   , 1.317], dtype=float32)
    """


@elementwise(
    float="atanh(data)",
    promote="float",
    grad=lambda dz, data: dz / ((1 - data) * (1 + data)),
    numpy=np.arctanh,
    domain=(-0.9, 0.9),
    dear=True,
)
def arctanh(data: Any) -> None:
    """The number whose hyperbolic tangent is given; NaN outside -1 to 1.

    >>> from clnd import nd
    >>> nd.arctanh(nd.array([0, 0.5])).asnumpy().round(3)
    array([0.   , 0.549], dtype=float32)
    """


# Activations.


@elementwise(
    "data > (T)(0) ? data : (T)(0)",
    float="(data > (T)(0)) | (data != data) ? data : (T)(0)",
    grad=lambda dz, z: registry["where"](registry["less_equal"](z, 0), 0, dz),
    numpy=lambda data: np.maximum(data, 0),
)
def relu(data: Any) -> None:
    """The element where it is above 0, else 0. The gradient at 0 is 0.

    >>> from clnd import nd
    >>> nd.relu(nd.array([1.5, -2])).asnumpy()
    array([1.5, 0. ], dtype=float32)
    """


@elementwise(
    float="sigmoid_T(data)", promote="float", grad=lambda dz, z: dz * z * (1 - z), numpy=lambda data: 1 / (1 + np.exp(-data)), dear=True
)
def sigmoid(data: Any) -> None:
    """The logistic function 1 / (1 + exp(-x)).

    >>> from clnd import nd
    >>> nd.sigmoid(nd.array([0, 2])).asnumpy().round(3)
    array([0.5  , 0.881], dtype=float32)
    """


@elementwise(
    float="hard_sigmoid_T(data, alpha, beta)",
    promote="float",
    grad=lambda dz, z, alpha: registry["where"](registry["logical_and"](registry["greater"](z, 0), registry["less"](z, 1)), dz * alpha, 0),
    numpy=lambda data, alpha=0.2, beta=0.5: np.clip(alpha * data + beta, 0, 1),
    methods=[],
)
def hard_sigmoid(data: Any, *, alpha: Any = 0.2, beta: Any = 0.5) -> None:
    """The line `alpha * x + beta`, cut off at 0 and 1. The gradient at the two ends is 0.

    >>> from clnd import nd
    >>> nd.hard_sigmoid(nd.array([-3, 0, 1])).asnumpy()
    array([0. , 0.5, 0.7], dtype=float32)
    """


@elementwise(
    float="isinf(data) ? copysign((T)(1), data) : data / ((T)(1) + fabs(data))",
    promote="float",
    grad=lambda dz, data: dz * square(reciprocal(1 + abs(data))),
    numpy=lambda data: data / (1 + np.abs(data)),
    methods=[],
)
def softsign(data: Any) -> None:
    """x / (1 + abs(x)), which is 1 or -1 at the infinities.

    >>> from clnd import nd
    >>> nd.softsign(nd.array([1, -3])).asnumpy()
    array([ 0.5 , -0.75], dtype=float32)
    """


@elementwise(
    float="(data > (T)(0) ? data : (T)(0)) + log1p(exp_T(-fabs(data)))",
    promote="float",
    grad=lambda dz, data: dz * sigmoid(data),
    numpy=lambda data: np.logaddexp(data, 0),
    methods=[],
    dear=True,
)
def softrelu(data: Any) -> None:
    """log(1 + exp(x)), a smooth `relu`.

    >>> from clnd import nd
    >>> nd.Activation(nd.array([0, 100]), act_type="softrelu").asnumpy()
    array([  0.6931472, 100.       ], dtype=float32)
    """


def _smooth_l1_numpy(data: Any, scalar: Any = 1.0) -> Any:
    size, edge = np.abs(data), scalar * scalar
    return np.where(size * edge < 1, 0.5 * edge * np.square(data), size - 0.5 / edge)


@elementwise(
    float="fabs(data) * (scalar * scalar) < (T)(1)"
    " ? (T)(0.5f) * (scalar * data) * (scalar * data) : fabs(data) - (T)(0.5f) / (scalar * scalar)",
    promote="float",
    grad=lambda dz, data, scalar: dz * clip(data * (scalar * scalar), a_min=-1, a_max=1),
    numpy=_smooth_l1_numpy,
    methods=[],
)
def smooth_l1(data: Any, *, scalar: Any = 1.0) -> None:
    """The absolute value less `0.5 / scalar**2`, made a parabola within `1 / scalar**2` of 0.

    >>> from clnd import nd
    >>> nd.smooth_l1(nd.array([0.5, -2])).asnumpy()
    array([0.125, 1.5  ], dtype=float32)
    """


# The error function and the gamma function.


@elementwise(
    float="erf_T(data)",
    promote="float",
    grad=lambda dz, data: dz * (2 / math.sqrt(math.pi)) * exp(-square(data)),
    numpy=np.vectorize(math.erf, otypes=[float]),
    methods=[],
    dear=True,
)
def erf(data: Any) -> None:
    """The error function: 2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.

    >>> from clnd import nd
    >>> nd.erf(nd.array([0, 1])).asnumpy().round(3)
    array([0.   , 0.843], dtype=float32)
    """


@elementwise(
    float="erfinv_T(data)",
    promote="float",
    grad=lambda dz, z: dz * (math.sqrt(math.pi) / 2) * exp(square(z)),
    domain=(-0.9, 0.9),
    methods=[],
    dear=True,
)
def erfinv(data: Any) -> None:
    """The number whose error function is given; NaN outside -1 to 1.

    >>> from clnd import nd
    >>> nd.erfinv(nd.array([0, 0.5, 1])).asnumpy().round(3)
    array([0.   , 0.477,   inf], dtype=float32)
    """


class Polygamma(Elementwise):
    """Its order is checked."""

    def fill(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """The attributes; DTypeError for an order that there is not."""
        filled = super().fill(attrs)
        order = filled["order"]
        if not (0 <= order <= 150 and order % 1 == 0):
            raise DTypeError(f"polygamma: the order is {order}, not a whole number of 0 to 150")
        return filled


@partial(
    Polygamma,
    code={"float": "polygamma_T(order, data)"},
    promote="float",
    grad=lambda dz, data, order: dz * registry["polygamma"](data, order=order + 1),
    domain=(0.5, 4.0),
    methods=[],
    dear=True,
)
def polygamma(data: Any, *, order: int) -> None:
    """The derivative of `digamma` of this order.

    >>> from clnd import nd, ops
    >>> nd.NDArray(ops.registry["polygamma"](nd.array([1, 2]).value, order=1), nd.ones(1).context).asnumpy().round(3)
    array([1.645, 0.645], dtype=float32)
    """


@elementwise(
    float="digamma_T(data)",
    promote="float",
    grad=lambda dz, data: dz * polygamma(data, order=1),
    domain=(0.5, 4.0),
    methods=[],
    dear=True,
)
def digamma(data: Any) -> None:
    """The derivative of `gammaln`; NaN at whole numbers below 0.

    >>> from clnd import nd, ops
    >>> nd.NDArray(ops.registry["digamma"](nd.array([1, 2]).value), nd.ones(1).context).asnumpy().round(3)
    array([-0.577,  0.423], dtype=float32)
    """


@elementwise(
    float="gamma_T(data)",
    promote="float",
    grad=lambda dz, z, data: dz * z * digamma(data),
    numpy=np.vectorize(math.gamma, otypes=[float]),
    domain=(0.5, 4.0),
    methods=[],
    dear=True,
)
def gamma(data: Any) -> None:
    """The gamma function, which is (n - 1)! at whole numbers n; NaN at whole numbers below 0.

    >>> from clnd import nd
    >>> nd.gamma(nd.array([5, 0.5])).asnumpy().round(3)
    array([24.   ,  1.772], dtype=float32)
    """


@elementwise(
    float="gammaln_T(data)",
    promote="float",
    grad=lambda dz, data: dz * digamma(data),
    numpy=np.vectorize(math.lgamma, otypes=[float]),
    domain=(0.5, 4.0),
    methods=[],
    dear=True,
)
def gammaln(data: Any) -> None:
    """The logarithm of the absolute value of the gamma function.

    >>> from clnd import nd
    >>> nd.gammaln(nd.array([1, 10])).asnumpy().round(3)
    array([ 0.   , 12.802], dtype=float32)
    """
