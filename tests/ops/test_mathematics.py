"""The functions of mathematics against NumPy and SciPy in float64: over all bit patterns, not only where functions are used."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

import clnd as mx
import measures
from clnd import autograd, engine, nd
from clnd.engine import dtypes
from clnd.errors import DTypeError
from clnd.ndarray import NDArray
from clnd.ops import registry
from measures import keeps_denormals
from ops.table import oracle

SIZE = 200_000  # random bit patterns for each function


@pytest.fixture(params=measures.CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def device(context):
    return context.device


# --- what the functions should give, from float64 to float64 ---


def half_away(x):
    whole = np.trunc(x)
    return whole + np.copysign(abs(x - whole) >= 0.5, x)


def logistic(x):
    e = np.exp(-abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def soft_sign(x):
    return np.where(np.isinf(x), np.sign(x), x / (1 + abs(x)))


def smooth(x, scalar):
    return np.where(abs(x) * scalar**2 < 1, 0.5 * (scalar * x) ** 2, abs(x) - 0.5 / scalar**2)


# By how many units in the last place of float32 the result may be off: 0 is the exact result, 0.5 the correctly rounded one.
EXACT = {
    "abs": np.abs,
    "ceil": np.ceil,
    "fix": np.trunc,
    "floor": np.floor,
    "relu": lambda x: np.where(x > 0, x, np.where(np.isnan(x), x, 0)),
    "rint": np.rint,
    "round": half_away,
    "sign": np.sign,
    "trunc": np.trunc,
}
ROUNDED = {"square": np.square}
ROUNDED_TWICE = {"cube": lambda x: x**3}
CLOSE = {
    "arccos": np.arccos,
    "arccosh": np.arccosh,
    "arcsin": np.arcsin,
    "arcsinh": np.arcsinh,
    "arctan": np.arctan,
    "arctanh": np.arctanh,
    "cbrt": np.cbrt,
    "cos": np.cos,
    "cosh": np.cosh,
    "degrees": np.degrees,
    "erf": special.erf,
    "erfinv": special.erfinv,
    "exp": np.exp,
    "expm1": np.expm1,
    "log": np.log,
    "log10": np.log10,
    "log1p": np.log1p,
    "log2": np.log2,
    "radians": np.radians,
    "rcbrt": lambda x: 1 / np.cbrt(x),
    "reciprocal": np.reciprocal,
    "rsqrt": lambda x: 1 / np.sqrt(x),
    "sigmoid": logistic,
    "sin": np.sin,
    "sinh": np.sinh,
    "softrelu": lambda x: np.logaddexp(x, 0),
    "softsign": soft_sign,
    "sqrt": np.sqrt,
    "tan": np.tan,
    "tanh": np.tanh,
}
GAMMA = {"gamma": special.gamma, "gammaln": special.gammaln, "digamma": special.digamma}
BOUNDS = {
    name: bound for names, bound in ((EXACT, 0.0), (ROUNDED, 0.5), (ROUNDED_TWICE, 2.0), (CLOSE, 4.0), (GAMMA, 4.0)) for name in names
}
FUNCTIONS = {**EXACT, **ROUNDED, **ROUNDED_TWICE, **CLOSE, **GAMMA}
WITH_ATTRIBUTES = {
    "clip": {"a_min": -1.5, "a_max": 2.0},
    "hard_sigmoid": {"alpha": 0.25, "beta": 0.5},
    "polygamma": {"order": 2},
    "smooth_l1": {"scalar": 2.0},
}


def patterns(generator, dtype, size=SIZE):
    """Random bit patterns, numbers of the sizes that functions are used at, and those where special things happen."""
    info = np.finfo(dtype)
    bits = generator.integers(0, 2 ** (8 * info.dtype.itemsize) - 1, size, dtype=np.uint64, endpoint=True)
    usual = [generator.uniform(-width, width, size // 8) for width in (1.01, 3, 12, 110)]
    halves = np.arange(-80, 80) / 2
    special_ones = [0, 1, info.max, info.tiny, info.smallest_subnormal, 1 + info.eps, 1 - info.eps / 2, np.inf, 1e5, 1e10, 2.0**24 - 1]
    special_ones = np.array([*special_ones, 0.5 - info.eps / 4, np.nan]).astype(dtype)
    found = np.concatenate(
        [
            bits.astype(f"u{info.dtype.itemsize}").view(dtype),
            *(numbers.astype(dtype) for numbers in usual),
            *(np.nextafter(halves.astype(dtype), to) for to in (halves.astype(dtype), dtype(np.inf), dtype(-np.inf))),
            special_ones,
            -special_ones,
        ]
    )
    found[np.isnan(found)] = np.nan  # of signalling ones NumPy complains
    return found


def computed(device, name, x, **attributes):
    return engine.to_numpy(registry[name](engine.from_numpy(x, device), **attributes))


def off_by(got, exact):
    """How many units in the last place of its dtype each result is off; NaN for NaN is right, and signs of zeros count."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(got.dtype)
        step = np.maximum(np.spacing(abs(rounded)), np.finfo(got.dtype).smallest_subnormal).astype(np.float64)
        error = abs(got - exact) / step
        # Around the largest number: infinity counts as the next one.
        beyond = np.isinf(got) != np.isinf(rounded)
        largest = np.finfo(got.dtype).max
        error[beyond] = (abs(np.clip(got, -largest, largest) - np.clip(exact, -2 * largest, 2 * largest)) / np.spacing(largest))[beyond]
    error[(got == rounded) & (np.isinf(got) | (got == 0))] = 0
    error[np.isnan(got) & np.isnan(rounded)] = 0
    error[np.isnan(got) != np.isnan(rounded)] = np.inf
    error[(got == 0) & (rounded == 0) & (np.signbit(got) != np.signbit(rounded))] = np.inf
    return error


def check(x, got, exact, bound):
    error = off_by(got, exact)
    worst = int(np.argmax(error))
    assert got.dtype == x.dtype
    assert error[worst] <= bound, f"{got[worst]!r} at {x[worst]!r} is {error[worst]:.3g} ulp off {exact[worst]!r}"


def poles(x):
    """Where the gamma function's family is checked by hand."""
    return ((x <= 0) & (x == np.floor(x))) | np.isinf(x)


# --- values ---


@pytest.mark.portability
@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_within_four_ulp_of_float64_everywhere(name, device, seeded):
    x = patterns(np.random.default_rng(seeded), np.float32)
    bound = BOUNDS[name]
    if name in GAMMA:
        x = x[~poles(x)]
        if not device.traits.fp64:  # the zeros below 0 cannot be found without double; elsewhere, floats are nearly as good
            x, bound = x[~(x < 0)], 10.0
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x.astype(np.float64))
    if name == "erfinv":
        exact = np.copysign(exact, x)  # SciPy forgets the sign of 0
    if not keeps_denormals(device):
        normal = ~((abs(x) < 1.2e-38) & (x != 0)) & ~((abs(exact) < 1.2e-38) & (exact != 0))
        x, exact = x[normal], exact[normal]
    if name == "rsqrt" and bound < 10:
        exact[x == 0] = np.copysign(np.inf, x[x == 0])
    check(x, computed(device, name, x), exact, bound)


@pytest.mark.portability
@pytest.mark.parametrize(
    ("name", "bound"), [(name, 0.5) for name in ("add", "divide", "modulo", "multiply")] + [("hypot", 4), ("power", 2)]
)
def test_float32_of_two_arrays_within_four_ulp(name, bound, device, seeded):
    generator = np.random.default_rng(seeded)
    x, usual = patterns(generator, np.float32), generator.uniform(-9, 9, (2, SIZE // 2)).astype(np.float32)
    ends = np.array([0, 0.5, 1, 1 + 2**-23, 2, 2.5, 3, 2**24 - 1, 2**24, 1e38, np.inf, np.nan], np.float32)
    pairs = np.stack(np.meshgrid(*[np.concatenate([ends, -ends])] * 2)).reshape(2, -1)
    x, y = np.concatenate([x, usual[0], pairs[0]]), np.concatenate([generator.permutation(x), usual[1], pairs[1]])
    with np.errstate(all="ignore"):
        exact = oracle(registry[name])(x.astype(np.float64), y.astype(np.float64))
    if not keeps_denormals(device):
        # A remainder is the difference of numbers of which the last places are to be normal, too.
        normal = ~np.logical_or.reduce([(abs(each) < 1e-30) & (each != 0) for each in (x, y, exact)])
        x, y, exact = x[normal], y[normal], exact[normal]
    got = engine.to_numpy(registry[name](engine.from_numpy(x, device), engine.from_numpy(y, device)))
    check(x, got, exact, bound)


@pytest.mark.portability
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4, 5, 10])
def test_polygamma_in_float32(order, device, seeded):
    x = patterns(np.random.default_rng(seeded), np.float32, 10_000 if device.traits.fp64 else 500)
    x = x[~(x < (-30 if device.traits.fp64 else 0)) & ~poles(x)]  # SciPy adds up terms from a low x on
    x = x[(x > 0) | (x % 0.5 != 0)]  # where the terms cancel, it has no digits
    with np.errstate(all="ignore"):
        exact = special.polygamma(order, x.astype(np.float64))
    if not keeps_denormals(device):
        normal = ~(abs(x) < 1.2e-38) & ~((abs(exact) < 1.2e-38) & (exact != 0))
        x, exact = x[normal], exact[normal]
    check(x, computed(device, "polygamma", x, order=order), exact, 4 if device.traits.fp64 else 20)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_within_thirteen_digits(name, device, seeded):
    if not device.traits.fp64:
        pytest.skip("no float64")
    x = patterns(np.random.default_rng(seeded), np.float64, 20_000)
    allowed = 1e-13
    if name in GAMMA:  # where SciPy has its digits
        x = x[~poles(x) & (abs(x) < 1e15)]
        x = x[(x > 0) | (abs(x - np.rint(x)) > 0.01)]
        x = x[(name != "gammaln") | ((abs(x - 1) > 0.01) & (abs(x - 2) > 0.01))]
    with np.errstate(all="ignore"):
        exact = FUNCTIONS[name](x)
    got = computed(device, name, x)
    assert got.dtype == np.float64
    # Below 0 the functions around the gamma function have zeros; there SciPy, too, is right to so many digits of their terms.
    terms = 1e-14 * (1 + abs(np.log(abs(x) + 1)) * abs(x)) if name in ("gammaln", "digamma") else 0.0
    terms = np.where(x < 0, terms, 0)
    tiny = np.finfo(np.float64).tiny
    with np.errstate(all="ignore"):
        right = (got == exact) | (np.isnan(got) & np.isnan(exact)) | (abs(got - exact) <= allowed * np.maximum(abs(exact), tiny) + terms)
    assert right.all(), [(a, b, c) for a, b, c in zip(x[~right], got[~right], exact[~right], strict=True)][:5]


def test_near_the_zeros_above_0_the_logarithm_of_gamma_and_its_derivative_keep_their_digits(device):
    if not device.traits.fp64:
        pytest.skip("no float64")
    step = 2.0 ** -np.arange(4, 50, 5)
    # Taylor's series, with the derivatives at 1, 2 and the zero of digamma.
    for start, first, second, third in (
        (1.0, -np.euler_gamma, np.pi**2 / 6, -2.4041138063191885),
        (2.0, 1 - np.euler_gamma, np.pi**2 / 6 - 1, 0),
    ):
        d = step[step < 1e-6]
        exact = d * (first + d * (second / 2 + d * third / 6))
        np.testing.assert_allclose(computed(device, "gammaln", start + d), exact, rtol=1e-13)
    zero, rest, slope = 1.4616321449683622, 9.549995429965697e-17, 0.96767245447621
    got = computed(device, "digamma", np.array([zero]))
    np.testing.assert_allclose(got, [-rest * slope], rtol=1e-6)


@pytest.mark.portability
def test_where_the_gamma_function_has_no_value_or_no_finite_one(device):
    x = np.array([0.0, -0.0, -1, -2, -(2.0**23), np.inf, -np.inf, np.nan, 40, -45.5, -46.5], np.float32)
    inf, nan = np.inf, np.nan
    expected = {
        "gamma": [inf, -inf, nan, nan, nan, inf, nan, nan, inf, 0.0, -0.0],
        "gammaln": [inf, inf, inf, inf, inf, inf, inf, nan],
        "digamma": [-inf, inf, nan, nan, nan, inf, nan, nan],
    }
    for name, values in expected.items():
        got = computed(device, name, x)[: len(values)]
        np.testing.assert_array_equal(got, np.array(values, np.float32), err_msg=name)
        assert name != "gamma" or list(np.signbit(got[-2:])) == [False, True]
    for order, values in {1: [inf, inf, inf, inf, inf, 0, nan, nan], 2: [-inf, -inf, -inf, -inf, -inf, 0, nan, nan]}.items():
        np.testing.assert_array_equal(computed(device, "polygamma", x, order=order)[: len(values)], np.array(values, np.float32))


def test_polygamma_of_even_order_halfway_between_two_poles(device):
    # There the terms of both sides cancel but for those beyond.
    x = np.array([-0.5, -3.5, -14.5, -29.5], np.float32)
    exact = [-2.0 * special.zeta(3, float(1 - each)) for each in x]
    bound = 2e-7 if device.traits.fp64 else 1e-5
    np.testing.assert_allclose(computed(device, "polygamma", x, order=2), -np.array(exact) if exact[0] > 0 else exact, rtol=bound)


@pytest.mark.parametrize("order", [-1, 1.5, 151, np.nan])
def test_an_order_that_there_is_not(order, device):
    with pytest.raises(DTypeError, match="order"):
        registry["polygamma"](engine.from_numpy(np.ones(2, np.float32), device), order=order)


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [*FUNCTIONS, *WITH_ATTRIBUTES])
def test_a_result_does_not_depend_on_its_neighbours(name, dtype, device, seeded):
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("no float64")
    generator = np.random.default_rng(seeded)
    attributes = WITH_ATTRIBUTES.get(name, {})
    alone = np.concatenate([generator.uniform(-10, 10, 1000), generator.uniform(-1, 1, 1000)]).astype(dtype)
    among = np.repeat(alone, 2)
    info = np.finfo(dtype)
    among[1::2] = generator.choice(
        np.array([np.inf, -np.inf, np.nan, 0, -0.0, 1e3, 1e16, -1e30, info.max, info.tiny / 4], dtype), alone.size
    )
    np.testing.assert_array_equal(computed(device, name, among, **attributes)[::2], computed(device, name, alone, **attributes))


OURS = (
    "sin",
    "cos",
    "tan",
    "tanh",
    "sigmoid",
    "softrelu",
    "erfinv",
    *GAMMA,
    *WITH_ATTRIBUTES,
)  # whose code is not one call of the driver's


@pytest.mark.parametrize("name", [*OURS, *EXACT, "exp"])
def test_float16_is_float32_rounded_once(name, device):
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    attributes = WITH_ATTRIBUTES.get(name, {})
    with np.errstate(all="ignore"):
        expected = computed(device, name, halves.astype(np.float32), **attributes).astype(np.float16)
    got = computed(device, name, halves, **attributes)
    assert got.dtype == np.float16
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("scalar", [1.0, 0.5, 10.0])
def test_smooth_l1(scalar, device, seeded):
    x = patterns(np.random.default_rng(seeded), np.float32, 10_000)
    x = x[(abs(x) > 1e-10) & (abs(x) < 1e30)]
    check(x, computed(device, "smooth_l1", x, scalar=scalar), smooth(x.astype(np.float64), scalar), 4)


@pytest.mark.parametrize(("alpha", "beta"), [(0.2, 0.5), (-1.5, 0.25)])
def test_hard_sigmoid(alpha, beta, device, seeded):
    x = patterns(np.random.default_rng(seeded), np.float32, 10_000)
    with np.errstate(all="ignore"):
        exact = np.clip(np.float64(np.float32(alpha)) * x + beta, 0, 1)
    np.testing.assert_array_equal(computed(device, "hard_sigmoid", x, alpha=alpha, beta=beta), exact.astype(np.float32))


class TestNumbersOfMXNet:
    """What MXNet 1.9.1 gives."""

    X = (0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, np.nan, np.inf, -np.inf, 0.49999997, 8388609)

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("rint", [0, 0, 1, 2, -1, -2, -3, np.nan, np.inf, -np.inf, 0, 8388609]),
            ("round", [0, 1, 2, 3, -1, -2, -3, np.nan, np.inf, -np.inf, 0, 8388609]),
            ("fix", [0, 0, 1, 2, 0, -1, -2, np.nan, np.inf, -np.inf, 0, 8388609]),
            ("relu", [0, 0.5, 1.5, 2.5, 0, 0, 0, np.nan, np.inf, 0, 0.49999997, 8388609]),
        ],
    )
    def test_whole_numbers(self, name, expected, context):
        x = nd.array(self.X, ctx=context)
        np.testing.assert_array_equal(getattr(nd, name)(x).asnumpy(), np.array(expected, np.float32))

    def test_rint_of_float16_and_integers(self, context):
        x = nd.array([0.5, 1.5, -0.49975586, 2.5], dtype="float16", ctx=context)
        np.testing.assert_array_equal(nd.rint(x).asnumpy(), [0, 1, 0, 2])
        assert nd.rint(x).dtype is np.float16
        np.testing.assert_array_equal(nd.rint(nd.array([-3, 4], dtype="int32", ctx=context)).asnumpy(), [-3, 4])

    @pytest.mark.parametrize(
        ("function", "expected"),
        [
            (lambda x: nd.smooth_l1(x, scalar=2), [0, 0.375, 1.375, 2.375, 0.375, 1.375, 2.375]),
            (nd.smooth_l1, [0, 0.125, 1, 2, 0.125, 1, 2]),
            (nd.hard_sigmoid, [0.5, 0.6, 0.8, 1, 0.4, 0.2, 0]),
            (lambda x: nd.hard_sigmoid(x, 0.5, 0.25), [0.25, 0.5, 1, 1, 0, 0, 0]),
            (lambda x: nd.clip(x, -1, 1), [0, 0.5, 1, 1, -0.5, -1, -1]),
            (lambda x: x.clip(a_min=-1, a_max=1), [0, 0.5, 1, 1, -0.5, -1, -1]),
            (lambda x: nd.Activation(x, act_type="softrelu"), np.logaddexp(X[:7], 0)),
        ],
    )
    def test_attributes(self, function, expected, context):
        np.testing.assert_allclose(function(nd.array(self.X[:7], ctx=context)).asnumpy(), expected, rtol=1e-6, atol=1e-7)

    def test_what_mxnet_has_not(self):
        assert not {"softrelu", "isnan", "isinf", "isfinite", "digamma", "polygamma"} & set(dir(nd))
        assert not {"erf", "gamma", "gammaln", "softsign", "smooth_l1", "hard_sigmoid"} & set(dir(NDArray))


# --- integers, bounds, predicates ---

INTEGERS = ("int8", "uint8", "int32", "uint32", "int64", "uint64")
KEEP = ("abs", "ceil", "cube", "fix", "floor", "relu", "rint", "round", "sign", "square", "trunc")


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", KEEP)
def test_integers_stay_integers(name, dtype, device, seeded):
    limits = np.iinfo(dtype)
    x = np.random.default_rng(seeded).integers(limits.min, limits.max, 1000, dtype=dtype, endpoint=True)
    x = np.concatenate([x, np.array([0, 1, 5, limits.min, limits.max, limits.min + 1], dtype)])
    numpys = {"abs": np.abs, "cube": lambda x: x * x * x, "relu": lambda x: np.maximum(x, 0), "sign": np.sign, "square": np.square}
    got = computed(device, name, x)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, numpys.get(name, np.copy)(x))


@pytest.mark.parametrize(
    ("name", "dtype"), [*((name, "int32") for name in (*CLOSE, *GAMMA)), *(("sqrt", dtype) for dtype in (*INTEGERS, "bool"))]
)
def test_of_integers_the_others_make_float32(name, dtype, device):
    x = np.array([0, 1, 3, 100]).astype(dtype)
    got = computed(device, name, x)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, computed(device, name, x.astype(np.float32)))


@pytest.mark.parametrize(
    ("values", "dtype", "low", "high", "expected"),
    [
        pytest.param([-3, 0, 5], "int32", -1.5, 2.7, [-1, 0, 2], id="fractions"),
        pytest.param([0, 200, 7], "uint8", -5, 1e9, [0, 200, 7], id="beyond the dtype"),
        pytest.param([0, 200, 7], "uint8", 300, 400, [255, 255, 255], id="above the dtype"),
        pytest.param([-(2**63), 2**62, 1], "int64", -np.inf, 2**61, [-(2**63), 2**61, 1], id="infinite"),
        pytest.param([2**63 + 5, 3], "uint64", 2**63 + 7, 2**64 - 1, [2**63 + 7, 2**63 + 7], id="large"),
        pytest.param([-3, 5], "int8", None, 1, [-3, 1], id="no lower bound"),
        pytest.param([-3.0, 5.0], "float32", 0, None, [0, 5], id="no upper bound"),
        pytest.param([1.0, 5.0, -2.0, np.nan], "float32", 2, 1, [1, 1, 1, np.nan], id="crossed"),
        pytest.param([-np.inf, np.inf, np.nan], "float32", -1, 1, [-1, 1, np.nan], id="specials"),
        pytest.param([1.0, 5.0], "float16", -1e6, 1e6, [1, 5], id="bounds too large for float16"),
    ],
)
def test_clip(values, dtype, low, high, expected, device):
    got = computed(device, "clip", np.array(values, dtype), a_min=low, a_max=high)
    assert got.dtype == dtype
    np.testing.assert_array_equal(got, np.array(expected, dtype))


def test_clip_of_integers_needs_numbers(device):
    with pytest.raises(DTypeError, match="nan"):
        registry["clip"](engine.from_numpy(np.ones(2, np.int32), device), a_min=np.nan, a_max=1)


def test_another_bound_is_no_other_kernel(device):
    x = engine.from_numpy(np.arange(4, dtype=np.float32), device)
    engine.to_numpy(registry["clip"](x, a_min=0.5, a_max=1.0))
    with measures.counted() as counts:
        engine.to_numpy(registry["clip"](x, a_min=-0.25, a_max=2.0))
    assert counts.kernels == 0


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8", "bool"])
@pytest.mark.parametrize("name", ["isnan", "isinf", "isfinite"])
def test_what_kind_of_number(name, dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        pytest.skip("no float64")
    x = np.array([0, 1, 1, 0] if dtypes.category(np.dtype(dtype)) != "float" else [0, -1.5, np.nan, np.inf, -np.inf], dtype)
    got = computed(device, name, x)
    assert got.dtype == bool
    np.testing.assert_array_equal(got, getattr(np, name)(x))


# --- gradients ---


def apply(name, x, **attributes):
    return NDArray(registry[name](x.value, **attributes), x.context)


def derivatives(function, values, orders, context, dtype="float64"):
    """The derivatives of the first so many orders."""
    x = nd.array(np.asarray(values), dtype=dtype, ctx=context)
    x.attach_grad()
    found = []
    with autograd.record():
        y = function(x)
        for _ in range(orders):
            # What does not depend on x any more has the derivative 0.
            y = autograd.grad([y], [x], create_graph=True)[0] if y.value.traced else nd.zeros_like(x)
            found.append(y)
    return [y.asnumpy() for y in found]


class TestDerivativesOfSpecialFunctions:
    """Of the first three orders, against formulas."""

    X = np.array([0.3, 0.75, 1.0, 1.4616, 2.5, 4.0, 11.0, 40.5])
    BELOW = np.array([-0.3, -1.4, -2.6, -10.25])

    @pytest.fixture(autouse=True)
    def needs_float64(self, device):
        if not device.traits.fp64:
            pytest.skip("no float64")

    def check(self, function, x, expected, context):
        for order, (got, exact) in enumerate(zip(derivatives(function, x, len(expected), context), expected, strict=True), 1):
            np.testing.assert_allclose(got, exact, rtol=1e-12, atol=1e-14, err_msg=f"order {order}")

    def test_gammaln_and_digamma(self, context):
        x = np.concatenate([self.X, self.BELOW])
        psi = [special.polygamma(n, x) for n in range(5)]
        self.check(lambda a: apply("gammaln", a), x, psi[:3], context)
        self.check(lambda a: apply("digamma", a), x, psi[1:4], context)

    @pytest.mark.parametrize("order", [0, 1, 2, 5])
    def test_polygamma(self, order, context):
        x = np.concatenate([self.X, self.BELOW])
        psi = [special.polygamma(order + n, x) for n in range(1, 4)]
        self.check(lambda a: apply("polygamma", a, order=order), x, psi, context)

    def test_gamma(self, context):
        x = np.concatenate([self.X, self.BELOW])
        value, (a, b, c) = special.gamma(x), (special.polygamma(n, x) for n in range(3))
        expected = [value * a, value * (a**2 + b), value * (a**3 + 3 * a * b + c)]
        self.check(lambda a: apply("gamma", a), x, expected, context)

    def test_erf(self, context):
        x = np.array([-3, -0.5, 0, 0.1, 1, 2.5])
        slope = 2 / np.sqrt(np.pi) * np.exp(-(x**2))
        self.check(lambda a: apply("erf", a), x, [slope, -2 * x * slope, (4 * x**2 - 2) * slope], context)

    def test_erfinv(self, context):
        x = np.array([-0.99, -0.5, 0, 0.1, 0.9, 0.999])
        z = special.erfinv(x)
        slope = np.sqrt(np.pi) / 2 * np.exp(z**2)
        self.check(lambda a: apply("erfinv", a), x, [slope, 2 * z * slope**2, (2 + 8 * z**2) * slope**3], context)


# Those whose rules could be wrong in a way that a first derivative does not show; the others have one of a line.
INTERESTING = (
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "cbrt",
    "clip",
    "cosh",
    "expm1",
    "hard_sigmoid",
    "log1p",
    "rcbrt",
) + ("relu", "rsqrt", "sigmoid", "smooth_l1", "softrelu", "softsign", "sqrt", "tan", "tanh")


@pytest.mark.parametrize("name", INTERESTING)
def test_three_derivatives_against_differences(name, context):
    """Each derivative of float64 against the central difference of the one before."""
    if not context.device.traits.fp64:
        pytest.skip("no float64")
    op, attributes = registry[name], WITH_ATTRIBUTES.get(name, {})
    low, high = op.domain
    x = np.linspace(low, high, 12)[1:-1] + 0.0123
    step = 1e-5

    def values(at):
        here = apply(name, nd.array(at, dtype="float64", ctx=context), **attributes).asnumpy()
        return [here, *derivatives(lambda a: apply(name, a, **attributes), at, 3, context)]

    here, before, after = values(x), values(x - step), values(x + step)
    for order in range(1, 4):
        difference = (after[order - 1] - before[order - 1]) / (2 * step)
        scale = 1 + abs(here[order - 1]) + abs(difference)
        assert (abs(here[order] - difference) <= 1e-6 * scale).all(), (order, here[order], difference)


INF, NAN = np.inf, np.nan


@pytest.mark.portability
@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("abs", [0, -0.0, INF, -INF], [0, 0, 1, -1]),
        ("arccos", [-1, 1, 2], [-INF, -INF, NAN]),
        ("arccosh", [1, 0.5, -3, 1e30], [INF, NAN, NAN, 1e-30]),
        ("arcsin", [-1, 1, 2, -0.99999994], [INF, INF, NAN, 2896.3093]),
        ("arcsinh", [0, 1e25, -INF], [1, 0, 0]),
        ("arctan", [0, 1e25, -INF], [1, 0, 0]),
        ("arctanh", [0, 1, -1], [1, INF, INF]),
        ("cbrt", [0, -8, INF], [INF, 1 / 12, 0]),
        ("clip", [-2, -1.5, 0, 2, 3], [0, 1, 1, 1, 0]),
        ("ceil", [0.5], [0]),
        ("erf", [0, 1e30, -INF], [2 / math.sqrt(math.pi), 0, 0]),
        ("erfinv", [0, 1, -1], [math.sqrt(math.pi) / 2, INF, INF]),
        ("exp", [-INF, 0], [0, 1]),
        ("expm1", [-40, 0], [math.exp(-40), 1]),
        ("hard_sigmoid", [-2, -1, 2, 5, -INF], [0, 0.25, 0, 0, 0]),
        ("log1p", [0, -1], [1, INF]),
        ("reciprocal", [INF, 2], [0, -0.25]),
        ("relu", [0, -0.0, -1, 2, INF, -INF], [0, 0, 0, 1, 1, 0]),
        ("rint", [0.5], [0]),
        ("rsqrt", [0, INF], [-INF, 0]),
        ("sigmoid", [0, 200, -200, INF, -INF], [0.25, 0, 0, 0, 0]),
        ("sign", [-1, 0, 1], [0, 0, 0]),
        ("smooth_l1", [0, 0.125, 0.25, -0.25, 3, -INF], [0, 0.5, 1, -1, 1, -1]),
        ("softrelu", [0, 200, -200, INF, -INF], [0.5, 1, 0, 1, 0]),
        ("softsign", [0, 1, INF, -INF], [1, 0.25, 0, 0]),
        ("sqrt", [0, INF, 4], [INF, 0, 0.25]),
        ("tanh", [0, INF, -INF], [1, 0, 0]),
    ],
)
def test_gradients_where_something_is_special(name, values, expected, context):
    attributes = WITH_ATTRIBUTES.get(name, {})
    x = nd.array(values, ctx=context)
    x.attach_grad()
    with autograd.record():
        y = apply(name, x, **attributes)
    y.backward()
    np.testing.assert_allclose(x.grad.asnumpy(), np.array(expected, np.float32), rtol=1e-6, atol=1e-37)


@pytest.mark.parametrize(
    "name", ["abs", "arcsinh", "arctan", "clip", "erf", "hard_sigmoid", "relu", "sigmoid", "smooth_l1", "softrelu", "softsign", "tanh"]
)
def test_derivatives_far_out_and_at_kinks_are_no_nan(name, context):
    x = np.array([0.0, -0.0, 1e-20, 1e-40, 200, -200, 1e18, -1e18, 1e30], np.float32)
    for order, found in enumerate(derivatives(lambda a: apply(name, a, **WITH_ATTRIBUTES.get(name, {})), x, 2, context, "float32"), 1):
        assert not np.isnan(found).any(), (order, x, found)


@pytest.mark.portability
@pytest.mark.parametrize("name", ["erf", "sigmoid", "tanh"])
def test_what_comes_nearer_and_nearer_to_1_gets_there(name, device):
    got = computed(device, name, np.array([20, 100, 1e30, np.inf], np.float32))
    np.testing.assert_array_equal(got, np.ones(4, np.float32))


def test_fused_or_not_the_bits_are_the_same(context):
    values = np.random.default_rng(1).uniform(-3, 3, 1000)

    def work(x):
        return nd.sin(x) * nd.sigmoid(x) + nd.gamma(nd.abs(x) + 0.5) - nd.erfinv(nd.tanh(x) / 2)

    results = []
    for eager in (False, True):
        with engine.eager(eager):
            results.append(work(nd.array(values, ctx=context)).asnumpy())
    np.testing.assert_array_equal(*results)
    assert mx.cpu().device is not None


@pytest.mark.portability
@pytest.mark.parametrize(("name", "low"), [("tanh", -1), ("erf", -1), ("sin", -1), ("sigmoid", 0)])
def test_no_rounding_leads_past_the_bounds_of_a_function(name, low, device):
    x = np.linspace(-30, 30, 100_001, dtype=np.float32)
    got = computed(device, name, np.append(x, np.float32([-1e30, 1e30])))
    assert got.min() >= low and got.max() <= 1
    if name != "sin":
        assert (np.diff(got[:-2]) >= 0).all()
        assert got[-2] == low and got[-1] == 1
