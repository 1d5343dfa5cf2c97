"""Random numbers of further distributions, by Kolmogorov's and Pearson's tests. The seeds are fixed: the answer is always the same."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import clnd as mx
from clnd import nd

SIZE = 200_000
UNLIKELY = 1e-3  # a right sample is refused for one seed in a thousand


def sampled(name, *parameters, shape=SIZE, seed=1, **options):
    mx.random.seed(seed)
    return getattr(nd.random, name)(*parameters, shape=shape, **options)


CONTINUOUS = [
    ("exponential", (2.5,), stats.expon(scale=2.5)),
    *[("gamma", (alpha, beta), stats.gamma(alpha, scale=beta)) for alpha, beta in ((0.1, 1), (0.7, 2), (1, 1), (3.3, 0.5), (5000, 3))],
]


@pytest.mark.parametrize(("name", "parameters", "distribution"), CONTINUOUS)
def test_continuous_numbers_follow_their_distribution(name, parameters, distribution):
    x = sampled(name, *parameters).asnumpy().astype(float)
    assert x.min() >= 0
    assert stats.kstest(x, distribution.cdf).pvalue > UNLIKELY
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 * SIZE**-0.5


def generalized(mu, alpha):
    return stats.nbinom(1 / alpha, 1 / (1 + mu * alpha))


COUNTS = [
    *[("poisson", (lam,), stats.poisson(lam)) for lam in (0.2, 4, 9.9, 10, 37.5, 1234.5, 3e5)],
    *[("negative_binomial", (k, p), stats.nbinom(k, p)) for k, p in ((1, 0.5), (3, 0.2), (40, 0.9), (0.5, 0.01))],
    *[("generalized_negative_binomial", given, generalized(*given)) for given in ((2, 0.3), (100, 1.5), (30, 1e-3))],
    ("generalized_negative_binomial", (7, 0), stats.poisson(7)),
]


@pytest.mark.parametrize(("name", "parameters", "distribution"), COUNTS)
def test_counts_follow_their_distribution(name, parameters, distribution):
    x = sampled(name, *parameters).asnumpy().astype(float)
    assert (x == np.floor(x)).all()
    # Cells of about the same probability: each holds the counts above the last bound, up to its own.
    bounds = np.unique(distribution.ppf(np.linspace(0, 1, 200)[1:-1]))
    expected = np.diff(np.concatenate([[0], distribution.cdf(bounds), [1]])) * SIZE
    found = np.bincount(np.searchsorted(bounds, x), minlength=len(expected))
    kept = expected > 5
    assert stats.chisquare(found[kept], expected[kept] * found[kept].sum() / expected[kept].sum()).pvalue > UNLIKELY
    assert abs(found[~kept].sum() - expected[~kept].sum()) < 20
    assert abs(x.mean() - distribution.mean()) < 4 * distribution.std() * SIZE**-0.5


ROWS = [
    ("exponential", ([0.5, 4],), [2, 0.25], [4, 1 / 16]),
    ("gamma", ([0.5, 9], [2, 0.5]), [1, 4.5], [2, 2.25]),
    ("poisson", ([0.5, 50],), [0.5, 50], [0.5, 50]),
    ("negative_binomial", ([2, 20], [0.5, 0.25]), [2, 60], [4, 240]),
    ("generalized_negative_binomial", ([2, 20], [0.5, 0.25]), [2, 20], [4, 120]),
]


@pytest.mark.portability
@pytest.mark.parametrize(("name", "parameters", "mean", "variance"), ROWS)
def test_arrays_as_parameters_give_a_row_for_each_entry(name, parameters, mean, variance):
    arrays = [nd.array(parameter) for parameter in parameters]
    mx.random.seed(1)
    x = getattr(nd, f"sample_{name}")(*arrays, shape=(100, 200)).asnumpy()
    assert x.shape == (2, 100, 200)
    np.testing.assert_allclose(x.mean(axis=(1, 2)), mean, rtol=0.06)
    np.testing.assert_allclose(x.var(axis=(1, 2)), variance, rtol=0.15)
    assert getattr(nd, f"sample_{name}")(*arrays).shape == (2,)
    assert getattr(nd, f"sample_{name}")(*arrays, shape=(0, 3)).shape == (2, 0, 3)
    given = [1 / arrays[0]] if name == "exponential" else arrays
    np.testing.assert_array_equal(sampled(name, *given, shape=(100, 200)).asnumpy(), x)

    numbers = [parameter[1] for parameter in parameters]
    mx.random.seed(1)
    alike = getattr(nd, f"random_{name}")(*numbers, shape=(2, 100, 200)).asnumpy()
    np.testing.assert_array_equal(alike[1], x[1])
    mx.random.seed(1)
    like = getattr(nd.random, f"{name}_like")(nd.zeros((2, 100, 200)), *numbers).asnumpy()
    np.testing.assert_array_equal(like, alike)


@pytest.mark.portability
@pytest.mark.parametrize("name", [name for name, *_ in ROWS])
def test_dtypes_shapes_and_seeds(name):
    fp64 = mx.current_context().device.traits.fp64
    single = sampled(name, shape=(3, 50))
    assert single.dtype == np.float32
    for dtype in ("float16", *(["float64"] if fp64 else [])):
        other = sampled(name, shape=(3, 50), dtype=dtype)
        assert other.dtype == np.dtype(dtype)
        np.testing.assert_array_equal(other.asnumpy(), single.asnumpy().astype(dtype))
    assert getattr(nd.random, name)().shape == (1,)
    assert getattr(nd.random, name)(shape=(0, 2)).shape == (0, 2)
    out = nd.zeros((3, 50))
    assert sampled(name, shape=None, out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), single.asnumpy())
    if name != "negative_binomial":  # whose default is always 0
        again = getattr(nd.random, name)(shape=(3, 50)).asnumpy()
        assert (again != single.asnumpy()).any(), "the second call repeats the first one"
    longer = sampled(name, shape=1000).asnumpy()
    np.testing.assert_array_equal(longer[:150], single.asnumpy().ravel())


@pytest.mark.portability
def test_extreme_parameters_give_numbers_and_bad_ones_nan():
    tiny, huge = 1e-37, 3e38
    assert (nd.sample_gamma(nd.array([tiny, huge]), nd.array([1, 1]), shape=9).asnumpy() >= 0).all()
    assert not np.isnan(nd.sample_poisson(nd.array([0, tiny, 1e9, 1e20, huge]), shape=9).asnumpy()).any()
    assert (sampled("poisson", 0, shape=9).asnumpy() == 0).all()
    assert (sampled("negative_binomial", 5, 1, shape=9).asnumpy() == 0).all()
    assert (sampled("generalized_negative_binomial", 0, 2, shape=9).asnumpy() == 0).all()
    np.testing.assert_allclose(nd.sample_poisson(nd.array([1e9, 1e20]), shape=9).asnumpy(), [[1e9] * 9, [1e20] * 9], rtol=1e-3)
    for bad in (
        nd.sample_exponential(nd.array([0, -1, np.nan, np.inf])),
        nd.sample_gamma(nd.array([0, -1, np.nan, 1]), nd.array([1, 1, 1, 0])),
        nd.sample_poisson(nd.array([-1, np.nan, np.inf])),
        nd.sample_negative_binomial(nd.array([0, 1, 1, np.nan]), nd.array([0.5, 0, 1.5, 0.5])),
        nd.sample_generalized_negative_binomial(nd.array([-1, 1, np.nan]), nd.array([1, -1, 1])),
    ):
        assert np.isnan(bad.asnumpy()).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nd.random.exponential(0), "scale must be finite and greater than 0, but is 0"),
        (lambda: nd.random_exponential(-1), "lam must be finite and greater than 0"),
        (lambda: nd.random.gamma(0, 1), "alpha must be finite and greater than 0"),
        (lambda: nd.random.gamma(1, float("nan")), "beta must be finite"),
        (lambda: nd.random.gamma("a", 1), "alpha must be a number"),
        (lambda: nd.random.gamma(nd.array([1]), 1), "two numbers or two arrays"),
        (lambda: nd.random.poisson(-2), "lam must be finite and not negative"),
        (lambda: nd.random.poisson(float("inf")), "lam must be finite"),
        (lambda: nd.random.negative_binomial(1, 0), "p must be finite and above 0"),
        (lambda: nd.random.negative_binomial(0, 0.5), "k must be finite"),
        (lambda: nd.random.generalized_negative_binomial(1, -1), "alpha must be finite and not negative"),
        (lambda: nd.random.poisson(1, dtype="int32"), "dtype int32 is not supported"),
        (lambda: nd.random.poisson_like([1, 2]), "takes an NDArray"),
        (lambda: nd.sample_gamma(nd.array([1, 2]), nd.array([1, 2, 3])), r"\[2\] \[3\]"),
        (lambda: nd.sample_poisson(nd.array([1, 2]), shape=-1), "negative size"),
        (lambda: nd.sample_poisson(nd.array([1, 2]), shape=0.5), "must be an int"),
    ],
)
def test_bad_parameters_are_refused_at_the_call(call, message):
    with pytest.raises(mx.MXNetError, match=message):
        call()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_positions_follow_their_probabilities(dtype):
    if dtype == "float64" and not mx.current_context().device.traits.fp64:
        return
    p = np.array([[1, 0, 2, 4, 0, 1], [0, 0, 0, 0.25, 0.75, 0]])
    x = sampled("multinomial", nd.array(p, dtype=dtype), shape=(2, SIZE // 2))
    assert (x.shape, x.dtype) == ((2, 2, SIZE // 2), np.int32)
    for line, drawn in zip(p, x.asnumpy(), strict=True):
        found, expected = np.bincount(drawn.ravel(), minlength=6), line / line.sum() * SIZE
        assert (found[line == 0] == 0).all()
        assert stats.chisquare(found[line > 0], expected[line > 0]).pvalue > UNLIKELY
    many = np.arange(2000.0) % 3
    assert (sampled("multinomial", nd.array(many, dtype=dtype), shape=3000).asnumpy() % 3 > 0).all()


@pytest.mark.portability
def test_shapes_and_dtypes_of_positions():
    line, lines = nd.array([0.2, 0.8]), nd.array([[0.2, 0.8]] * 3)
    for data, shape, expected in (
        (line, None, (1,)),
        (line, 1, (1,)),
        (line, (2, 3), (2, 3)),
        (lines, None, (3,)),
        (lines, 1, (3, 1)),
        (lines, (2, 4), (3, 2, 4)),
        (lines, 0, (3, 0)),
        (nd.zeros((0, 2)), 5, (0, 5)),
    ):
        assert nd.random.multinomial(data, shape).shape == expected
        assert [x.shape for x in nd.random.multinomial(data, shape, get_prob=True)] == [expected, expected]
    for dtype in ("float32", "uint8", "int64"):
        assert nd.sample_multinomial(lines, shape=2, dtype=dtype).dtype == np.dtype(dtype)
    mx.random.seed(1)
    expected = nd.sample_multinomial(lines, shape=9).asnumpy()
    out = nd.zeros((3, 9), dtype="int32")
    assert sampled("multinomial", lines, shape=9, out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), expected)
    np.testing.assert_array_equal(nd.random.multinomial(nd.array([[0, 0], [np.nan, 1]]), 9).asnumpy(), [[1] * 9, [0] * 9])
    for bad in (nd.array(1.0).reshape(()), nd.zeros((3, 0))):
        with pytest.raises(mx.MXNetError, match="holds no probabilities"):
            nd.random.multinomial(bad)
    with pytest.raises(mx.MXNetError, match="negative size"):
        nd.sample_multinomial(line, shape=-1)
    with pytest.raises(mx.MXNetError, match="must be an NDArray"):
        nd.random.multinomial([0.5, 0.5])


def test_the_gradient_of_a_logarithm_of_a_probability_is_its_inverse():
    p = nd.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    p.attach_grad()
    mx.random.seed(1)
    with mx.autograd.record():
        x, logarithm = nd.random.multinomial(p, 40, get_prob=True)
    logarithm.backward()
    counts = np.stack([np.bincount(line, minlength=3) for line in x.asnumpy()])
    np.testing.assert_allclose(logarithm.asnumpy(), np.log(np.take_along_axis(p.asnumpy(), x.asnumpy().astype(int), 1)), rtol=1e-6)
    np.testing.assert_allclose(p.grad.asnumpy(), counts / p.asnumpy(), rtol=1e-5)


def test_random_numbers_are_constants():
    lam = nd.array([1, 2])
    lam.attach_grad()
    with mx.autograd.record():
        y = nd.random.poisson(lam, shape=3)
        z = (y * lam.reshape((2, 1))).sum()
    z.backward()
    np.testing.assert_allclose(lam.grad.asnumpy(), y.asnumpy().sum(axis=1), rtol=1e-6)
