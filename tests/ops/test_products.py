"""Products of matrices in every form that the rules choose between: sizes about the edges of tiles, ways to lie in memory, dtypes."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from clnd import nd
from clnd.ops import product_plans
from measures import CONTEXTS, launches

portability = pytest.mark.portability
EDGES = [1, 2, 7, 8, 9, 31, 32, 33]
DEPTHS = [1, 5, 64, 255, 256, 257]
LARGE = [
    *[(400, 420, 410), (520, 512, 600), (90, 1000, 300), (90, 300, 1000), (33, 900, 400)],
    *[(8, 600, 700), (600, 8, 700), (1, 700, 600), (700, 1, 600), (3, 5, 40_000)],
]


@pytest.fixture(params=CONTEXTS, ids=str)
def context(request):
    return request.param


@pytest.fixture
def generator(seeded):
    return np.random.default_rng(seeded)


@pytest.fixture(params=[(False, False), (True, False), (False, True), (True, True)], ids=["ab", "aTb", "abT", "aTbT"])
def transposed(request):
    return request.param


def check(generator, context, sizes, transposed, dtype="float32", batch=(), placed=nd.array):
    """Compare a product of random numbers with NumPy's in float64."""
    m, n, k = sizes
    shapes = [(m, k), (k, n)]
    integers = np.dtype(dtype).kind in "iub"
    given = [(generator.integers(-9, 9, (*batch, *shape)) if integers else generator.normal(size=(*batch, *shape))) for shape in shapes]
    given = [x.astype(dtype) for x in given]
    factors = [
        placed(np.swapaxes(x, -1, -2) if turned else x, dtype=dtype, ctx=context) for x, turned in zip(given, transposed, strict=True)
    ]
    product = (nd.batch_dot if batch else nd.dot)(*factors, transpose_a=transposed[0], transpose_b=transposed[1])
    assert product.dtype == np.dtype(dtype)
    if integers:
        np.testing.assert_array_equal(product.asnumpy(), np.matmul(*given))
        return
    left, right = (x.astype(np.float64) for x in given)
    bound = (np.abs(left) @ np.abs(right)) * {"float16": 2.0**-10, "float32": 2.0**-21, "float64": 2.0**-50}[dtype] * max(1, k**0.5 / 8)
    difference = np.abs(product.asnumpy().astype(np.float64) - left @ right)
    assert (difference <= bound + (1e-7 if dtype == "float16" else 0)).all(), (sizes, transposed, difference.max())


def test_rows_whole_pages_apart_are_not_read_by_twelve_at_once():
    device = SimpleNamespace(traits=replace(CONTEXTS[0].device.traits, schedule="cpu", lanes=16))

    def chosen(n):
        lhs, rhs = (product_plans.Lines.of((n, n), (n, 1), 0, columns) for columns in (False, True))
        return min(product_plans.choices(product_plans.Problem(device, np.dtype("float32"), lhs, rhs)))[1]

    apart = chosen(1000)
    assert apart.rows > product_plans.WAYS and not apart.packed[0]
    crowded = chosen(1024)
    assert crowded.rows <= product_plans.WAYS or crowded.packed[0]


def among_nan(array, dtype, ctx):
    """An array as a window on a larger one, whose other elements must not be seen."""
    around = np.full([n + 3 for n in array.shape], np.nan, dtype)
    inside = tuple(slice(1, 1 + n) for n in array.shape)
    around[inside] = array
    return nd.array(around, dtype=dtype, ctx=ctx)[inside]


def every_other(array, dtype, ctx):
    """An array as every other element, backwards, of a larger one."""
    around = np.full([2 * n for n in array.shape], np.nan, dtype)
    inside = tuple(slice(None, None, -2) for _ in array.shape)
    around[inside] = array
    return nd.array(around, dtype=dtype, ctx=ctx)[inside]


@portability
@pytest.mark.parametrize("placed", [nd.array, among_nan, every_other])
def test_edges_of_tiles(placed, transposed, generator, context):
    sizes = [(m, n, k) for m in EDGES for n in EDGES for k in DEPTHS]
    for number in generator.choice(len(sizes), 40, replace=False):
        check(generator, context, sizes[number], transposed, placed=placed)


@portability
@pytest.mark.parametrize("sizes", LARGE, ids=str)
def test_large_and_thin(sizes, transposed, generator, context):
    check(generator, context, sizes, transposed)


@pytest.mark.parametrize("dtype", ["float16", "float64", "int8", "int32", "uint8", "int64", "bool"])
def test_dtypes(dtype, transposed, generator, context):
    if dtype == "float64" and not context.device.traits.fp64:
        pytest.skip("no float64")
    for sizes in ((5, 7, 9), (34, 66, 40), (70, 700, 400)):
        check(generator, context, sizes, transposed, dtype)


@pytest.mark.parametrize("sizes", [(5, 7, 9), (33, 70, 65), (1, 9, 8)], ids=str)
def test_stacks(sizes, transposed, generator, context):
    for placed in (nd.array, among_nan):
        check(generator, context, sizes, transposed, batch=(3,), placed=placed)
    check(generator, context, sizes, transposed, batch=(2, 3))


def test_a_matrix_that_is_the_same_for_all(generator, context):
    one, others = generator.normal(size=(1, 40, 500)), generator.normal(size=(3, 500, 300))
    lhs = nd.broadcast_to(nd.array(one, ctx=context), shape=(3, 40, 500))
    rhs = nd.array(others, ctx=context)
    for turn in (False, True):
        product = nd.batch_dot(rhs, lhs, transpose_a=True, transpose_b=True).transpose((0, 2, 1)) if turn else nd.batch_dot(lhs, rhs)
        np.testing.assert_allclose(product.asnumpy(), one @ others, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("sizes", [(40, 50, 60), (600, 70, 500)], ids=str)
def test_no_number_shows_where_it_is_not_read(sizes, generator, context):
    m, n, k = sizes
    lhs, rhs = generator.normal(size=(m, k)), generator.normal(size=(k, n))
    lhs[3, 5], rhs[7, 9] = np.inf, np.nan
    with np.errstate(invalid="ignore"):
        wanted = np.isfinite(lhs @ rhs)
    for turned in (False, True):
        b = nd.array(rhs.T if turned else rhs, ctx=context)
        np.testing.assert_array_equal(np.isfinite(nd.dot(nd.array(lhs, ctx=context), b, transpose_b=turned).asnumpy()), wanted)


@pytest.mark.parametrize("sizes", [(300, 200, 100), (5, 300, 5000)], ids=str)
def test_the_same_bits_in_every_run(sizes, generator, context):
    m, n, k = sizes
    lhs, rhs = (nd.array(generator.normal(size=shape), ctx=context) for shape in ((m, k), (k, n)))
    first = nd.dot(lhs, rhs).asnumpy()
    for _ in range(5):
        np.testing.assert_array_equal(nd.dot(lhs, rhs).asnumpy(), first)


@pytest.mark.parametrize("turned", [False, True])
def test_a_small_product_is_one_launch(turned, generator):
    lhs, rhs = (nd.array(generator.normal(size=(64, 64))) for _ in range(2))
    assert launches(lambda: nd.dot(lhs, rhs, transpose_b=turned).wait_to_read()) == 1
