"""Reductions: the order of folding follows from shape, axes and device alone, and the work before and beside them shares their kernel."""

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from clnd import engine, nd
from clnd.engine import Folding, reduce
from clnd.engine.fusion import Fusion
from clnd.ops import registry
from measures import allocated, counted, forget_kernels, launches

pytestmark = pytest.mark.portability

SHAPES = [(1,), (7,), (16,), (17,), (3, 5), (16, 33), (1, 1, 1), (2, 3, 4), (5, 1, 6), (4, 3, 2, 5), (40, 70), (1000, 3), (3, 1000)]
FOLDS = {"sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min}


def every_choice(shape):
    """All sets of axes."""
    axes = range(len(shape))
    return [choice for n in range(1, len(shape) + 1) for choice in combinations(axes, n)]


def sample(shape, dtype="float32", seed=0):
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (generator.uniform(0.9, 1.1, shape) * generator.choice([-1, 1], shape)).astype(dtype)
    return generator.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folds_are_those_of_numpy_along_every_choice_of_axes(shape, fold):
    x = sample(shape)
    for axes in every_choice(shape):
        for keepdims in (False, True):
            got = getattr(nd, fold)(nd.array(x), axis=axes, keepdims=keepdims).asnumpy()
            expected = FOLDS[fold](x.astype(np.float64), axis=axes, keepdims=keepdims)
            assert got.shape == (expected.shape or (1,))
            np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-4 if fold == "prod" else 2e-6, atol=1e-6)


@pytest.mark.parametrize("length", [51, 67, 128, 131, 250, 1025])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "int64"])
def test_rows_of_any_length_are_folded_whole(length, dtype):
    x = sample((3, length), dtype)
    wide = np.zeros((3, length + 5), dtype)
    wide[:, 2:-3] = x
    layouts = [nd.array(x, dtype=dtype), nd.array(wide, dtype=dtype)[:, 2:-3], nd.array(x.T.copy(), dtype=dtype).T]
    for fold, oracle in FOLDS.items():
        found, *others = (engine.to_numpy(registry[fold](given.value, axis=1)) for given in layouts)
        expected = oracle(x.astype(np.float64) if dtype.startswith("float") else x, axis=1)
        np.testing.assert_allclose(found, expected.astype(found.dtype), rtol=3e-3 if dtype == "float16" else 1e-4, err_msg=fold)
        for other in others:
            np.testing.assert_array_equal(other, found, fold)


@pytest.mark.parametrize("length", [1, 2, reduce.SHORT, reduce.SHORT + 1])
def test_few_elements_make_each_of_many_results(length):
    x = sample((2, 37, length))
    for given in (nd.array(x), nd.array(x.transpose(2, 0, 1)).transpose((1, 2, 0))):
        y = given * 2
        for fold, oracle in FOLDS.items():
            expected = oracle(2.0 * x.astype(np.float64), axis=2)
            np.testing.assert_allclose(getattr(nd, fold)(y, axis=2).asnumpy(), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(y.asnumpy(), 2 * x)


@pytest.mark.parametrize("fold", FOLDS)
@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "uint8", "int32", "int64", "bool"])
def test_folds_of_every_dtype(dtype, fold, device):
    if dtype == "float64" and not device.traits.fp64:
        return
    x = sample((6, 35), dtype)
    for axis in (0, 1, (0, 1)):
        folded = engine.to_numpy(registry[fold](nd.array(x, dtype=dtype).value, axis=axis))
        expected = FOLDS[fold](x.astype(np.longdouble) if dtype.startswith("float") else x, axis=axis)
        if dtype.startswith("float"):
            np.testing.assert_allclose(folded.astype(np.float64), expected, rtol=3e-3 if dtype == "float16" else 1e-13)
            assert folded.dtype == dtype
        else:
            np.testing.assert_array_equal(folded, expected)
            assert folded.dtype == expected.dtype


def arrangements(x):
    """The same elements, lying and made in other ways."""
    plain = nd.array(x)
    yield "compact", plain
    yield "transposed", nd.array(np.ascontiguousarray(x.T)).T
    yield "backwards", nd.flip(nd.array(x[::-1, ::-1].copy()), axis=(0, 1))
    yield "part of a larger array", nd.array(np.pad(x, ((2, 1), (3, 5))))[2 : 2 + x.shape[0], 3 : 3 + x.shape[1]]
    yield "every other", nd.array(np.repeat(np.repeat(x, 2, 0), 2, 1))[1::2, ::2]
    yield "waiting", nd.where(plain == plain, plain * 1, plain)
    yield "waiting behind a transpose", (nd.array(np.ascontiguousarray(x.T)) * 1).T
    yield "reshaped", nd.array(x.reshape(-1)).reshape(x.shape)


@pytest.mark.parametrize("fold", ["sum", "prod", "max", "mean"])
@pytest.mark.parametrize("axis", [0, 1, (0, 1)], ids=str)
@pytest.mark.parametrize("shape", [(5, 7), (33, 47), (300, 300), (70000, 2), (2, 70000)], ids=str)
def test_the_same_bits_wherever_the_elements_lie_and_whatever_was_fused(shape, axis, fold):
    x = sample(shape)
    found = {how: getattr(nd, fold)(array, axis=axis).asnumpy().tobytes() for how, array in arrangements(x)}
    assert {how for how, got in found.items() if got != found["compact"]} == set()
    with engine.eager():
        assert getattr(nd, fold)(nd.array(x) * 1, axis=axis).asnumpy().tobytes() == found["compact"]


@pytest.mark.parametrize("axis", [0, 1, (0, 1)], ids=str)
def test_float16_is_folded_in_float32_and_rounded_once(axis):
    x = sample((33, 47), "float16")
    got = nd.sum(nd.array(x, dtype="float16"), axis=axis).asnumpy()
    exact = x.astype(np.float64).sum(axis)
    np.testing.assert_array_equal(got, exact.astype(np.float16).reshape(got.shape))


@pytest.mark.parametrize("shape", [(100_003,), (3, 50_000), (50_000, 3)], ids=str)
def test_sums_carry_their_rounding_errors_along(shape):
    generator = np.random.default_rng(1)
    x = (generator.normal(size=shape) * 10.0 ** generator.integers(-6, 7, shape)).astype(np.float32)
    for axis in ((len(shape) - 1,), (0,)):
        got = nd.sum(nd.array(x), axis=axis).asnumpy()
        expected = x.astype(np.float64).sum(axis)
        # Blocks of 16 are summed plainly; beyond them nothing is lost.
        bound = 16 * 2.0**-24 * np.sqrt(np.square(x, dtype=np.float64).sum(axis)) * 4
        assert (abs(got - expected.reshape(got.shape)) <= bound).all()


def test_a_sum_of_many_equal_numbers_is_exact_where_a_plain_one_is_far_off():
    x = nd.broadcast_to(nd.array([0.1]), shape=(5_000_000,))
    exact = float(np.float32(Fraction(float(np.float32(0.1))) * 5_000_000))
    assert abs(nd.sum(x).asscalar() - exact) <= math.ulp(exact) * 2**30  # two units in the last place of a float32


@pytest.mark.parametrize("axis", [0, 1, (0, 1)], ids=str)
def test_infinities_and_nan(axis):
    x = np.ones((20, 19), np.float32)
    x[3, 4], x[5, 6], x[7, 6], x[9, 9] = np.inf, np.inf, -np.inf, np.nan
    for fold, numpy in (("sum", np.sum), ("max", np.max), ("min", np.min), ("prod", np.prod)):
        with np.errstate(invalid="ignore"):
            expected = numpy(x, axis=axis)
        got = getattr(nd, fold)(nd.array(x), axis=axis).asnumpy()
        np.testing.assert_array_equal(got, expected.reshape(got.shape), fold)


def test_an_overflowing_sum_is_infinite():
    assert nd.sum(nd.array(np.full(100, 3e38))).asscalar() == np.inf


def test_integers_wrap_around():
    for dtype in ("int8", "int32", "int64"):
        top = np.iinfo(dtype).max
        x = np.full(33, top, dtype)
        assert nd.sum(nd.array(x, dtype=dtype)).asscalar() == x.sum(dtype=dtype)


def test_the_fold_of_no_elements_is_its_identity_or_an_error():
    empty = nd.zeros((3, 0, 2))
    np.testing.assert_array_equal(nd.sum(empty, axis=1).asnumpy(), np.zeros((3, 2)))
    np.testing.assert_array_equal(nd.prod(empty, axis=1).asnumpy(), np.ones((3, 2)))
    assert nd.sum(empty, axis=0).shape == (0, 2)
    assert nd.max(empty, axis=0).shape == (0, 2)
    with pytest.raises(ValueError, match="max of no elements"):
        nd.max(empty, axis=1)


# In parts, by several work-items.


@pytest.mark.parametrize("shape", [(1 << 20,), (1 << 20, 1), (4, 1 << 18), (1 << 18, 4), (64, 64, 64)], ids=str)
@pytest.mark.parametrize("fold", ["sum", "max"])
def test_long_axes_are_folded_in_parts(shape, fold):
    x = sample(shape)
    for axis in range(len(shape)):
        got = getattr(nd, fold)(nd.array(x), axis=axis).asnumpy()
        expected = FOLDS[fold](x.astype(np.float64), axis=axis)
        np.testing.assert_allclose(got, expected.reshape(got.shape), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("segments", [1, 2, 3, 7])
@pytest.mark.parametrize(("shape", "axes"), [((40, 37), (1,)), ((40, 37), (0,)), ((40, 37), (0, 1)), ((2, 3, 41), (0, 2))])
def test_any_number_of_parts_gives_the_fold(segments, shape, axes, monkeypatch):
    monkeypatch.setattr(reduce, "_segments", lambda *given: segments)
    forget_kernels(monkeypatch)
    x = np.random.default_rng(0).integers(-50, 50, shape).astype(np.float32)  # so that every order gives the same
    y = nd.array(x)
    with counted() as counts:
        got = nd.sum(y + 1, axis=axes).asnumpy()
    assert counts.launches == 1 + (segments > 1)
    np.testing.assert_array_equal(got, (x + 1).sum(axes).reshape(got.shape))
    np.testing.assert_array_equal(nd.max(y * 2, axis=axes).asnumpy(), (x * 2).max(axes).reshape(got.shape))


def test_float16_in_parts_is_rounded_once(monkeypatch):
    monkeypatch.setattr(reduce, "_segments", lambda *given: 5)
    forget_kernels(monkeypatch)
    x = sample((1000,), "float16")
    assert nd.sum(nd.array(x, dtype="float16")).asscalar() == np.float16(x.astype(np.float64).sum())


# What else the kernel does.


@pytest.mark.parametrize("axis", [0, 1, (0, 1), (0, 2), (1, 2)], ids=str)
def test_what_is_alive_is_stored_on_the_way(axis):
    x = sample((6, 35, 4))
    with counted() as counts, allocated(nd.array(x).context.device) as sizes:
        y = nd.array(x) * 2
        z = (y > 0).T
        total = nd.sum(y * z.T, axis=axis)
        total.wait_to_read()
    assert counts.launches == 1
    assert sorted(sizes)[-3:] == [x.size * 4] * 3  # x, y, and what z is a view of
    assert launches(lambda: y.asnumpy()) == 0
    np.testing.assert_array_equal(y.asnumpy(), x * 2)
    np.testing.assert_array_equal(z.asnumpy(), (x > 0).T)
    np.testing.assert_allclose(total.asnumpy(), np.where(x > 0, x * 2, 0).sum(axis), rtol=1e-6)


def test_a_broadcast_operand_is_read_and_not_copied():
    x, row, column = (nd.array(sample(shape)) for shape in ((300, 200), (200,), (300, 1)))
    with counted() as counts, allocated(x.context.device) as sizes:
        got = nd.sum(x * row + column, axis=1).asnumpy()
    assert counts.launches == 1
    assert sizes == [1200]
    np.testing.assert_allclose(got, (x.asnumpy() * row.asnumpy() + column.asnumpy()).astype(np.float64).sum(1), rtol=1e-4, atol=1e-4)


def test_a_softmax_of_columns_stores_its_powers_alone():
    x = nd.array(sample((100, 30)))
    x.wait_to_read()
    with counted() as counts, allocated(x.context.device) as sizes:
        y = nd.softmax(x, axis=0)
        y.wait_to_read()
    assert counts.launches == 3  # largest, sum of powers, quotient
    assert sorted(sizes) == [120, 120, 12000, 12000]


def test_a_folding_of_ones_own():
    """The engine knows no operator: any join with an identity will do."""
    x = nd.array(np.arange(1, 60, dtype=np.int32), dtype="int32")
    int32 = np.dtype("int32")
    how = Folding("bits", (0,), "a ^ b", "0", int32, int32)
    fusion = Fusion(x.shape, x.value.device)
    prepared = reduce.prepare(fusion, fusion.add((x * 3).value), how, [], [])
    buffer = prepared.launch([], [(x.value.buffer, x.value.offset)], [3])
    result = engine.Value((), int32, x.value.device).place(buffer, engine.compact(()))
    assert engine.to_numpy(result) == np.bitwise_xor.reduce(np.arange(1, 60) * 3)
