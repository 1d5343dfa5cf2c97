"""Random numbers: the published bits, the same ones on every device, and the distributions that they are said to follow."""

import hashlib
import math
import subprocess
import sys
import threading

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.opencl import counters
from clnd.ops import random as ops

LOW, HIGH = 0xFFFFFFFF, 32
SEED = 0x0123456789ABCDEF
OFFSET = 2**32 - 32  # the block number's upper half changes within the first tiles

# Counter, key and result of philox4x32 with 10 rounds: Random123's file kat_vectors.
KNOWN_ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((LOW, LOW, LOW, LOW), (LOW, LOW), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
]


def device():
    return mx.current_context().device


def float_dtypes():
    return ["float16", "float32", *(["float64"] if device().traits.fp64 else [])]


# Philox in Python, from the paper: what the device's integers are compared with.


def philox(counter, key):
    """Ten rounds over arrays of 32-bit numbers (as uint64)."""
    c, (key0, key1) = [np.asarray(word, np.uint64) for word in counter], key
    for _ in range(10):
        first, second = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [
            (second >> np.uint64(HIGH)) ^ c[1] ^ np.uint64(key0),
            second & np.uint64(LOW),
            (first >> np.uint64(HIGH)) ^ c[3] ^ np.uint64(key1),
            first & np.uint64(LOW),
        ]
        key0, key1 = (key0 + 0x9E3779B9) & LOW, (key1 + 0xBB67AE85) & LOW
    return c


def words(size, per_block, seed, offset):
    """The words of the blocks that `size` outputs take, `per_block` from each."""
    tiles = -(-size // (16 * per_block))
    block = np.uint64(offset) + np.arange(16 * tiles, dtype=np.uint64)
    zero = np.zeros_like(block)
    return philox((block & np.uint64(LOW), block >> np.uint64(HIGH), zero, zero), (seed & LOW, seed >> HIGH))


def tiled(outputs, size):
    """In the order of memory: by tiles of sixteen blocks, the first outputs of all of them, the second outputs, ..."""
    return np.stack([output.reshape(-1, 16) for output in outputs], axis=1).reshape(-1)[:size]


def joined(w):
    return [w[1] << np.uint64(HIGH) | w[0], w[3] << np.uint64(HIGH) | w[2]]


def bits(size, dtype, seed=SEED, offset=OFFSET):
    """The bits that a uint32, or uint64, gets at each position."""
    if dtype == "uint32":
        return tiled(words(size, 4, seed, offset), size).astype(np.uint32)
    return tiled(joined(words(size, 2, seed, offset)), size)


def generator(seed=SEED, offset=OFFSET):
    made = ops.Generator(seed)
    made.take(offset)
    return made


def drawn(draw, size, **attributes):
    """What an operator of `clnd.ops` draws, from (SEED, OFFSET)."""
    return engine.to_numpy(draw(shape=(size,), device=device(), generator=generator(), **attributes))


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_oracle_gives_the_published_answers(counter, key, answer):
    assert tuple(int(word) for word in philox(counter, key)) == answer


@pytest.mark.portability
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN_ANSWERS)
def test_the_device_gives_the_published_answers(counter, key, answer, schedule):
    lanes = 1 if schedule == "gpu" else device().traits.lanes
    kernel = device().kernel(
        "random",
        "known_answers",
        arguments=("buffer", "long", "ulong", "ulong"),
        storage="uint",
        compute="uint",
        distribution="bits",
        counter_high=counter[3] << HIGH | counter[2],
        schedule=schedule,
        lanes=lanes,
    )
    tile, lane = divmod(counter[1] << HIGH | counter[0], 16)
    out, result = device().allocate(256), np.empty(64, np.uint32)
    kernel((4,), (1,), out, 64, key[1] << HIGH | key[0], 16 * tile)
    device().read(out, 0, result)
    assert tuple(int(word) for word in result[lane::16]) == answer


SIZES = [1, 15, 16, 17, 63, 64, 65, 1000, 12345]


@pytest.mark.portability
@pytest.mark.parametrize("size", SIZES)
def test_integers_and_uniform_numbers_are_the_oracles_bits(size):
    for dtype in ("uint32", "uint64"):
        np.testing.assert_array_equal(drawn(ops.random_bits, size, dtype=dtype), bits(size, dtype))

    fraction = (bits(size, "uint32") >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)
    np.testing.assert_array_equal(drawn(ops.random_uniform, size, low=0, high=1, dtype="float32"), fraction)
    wide = np.float32(-3.7) + (np.float32(1000.1) - np.float32(-3.7)) * fraction
    np.testing.assert_array_equal(drawn(ops.random_uniform, size, low=-3.7, high=1000.1, dtype="float32"), wide)
    exact = np.float32(-2) + np.float32(3) * fraction
    half = exact.astype(np.float16)
    down = np.where(half > exact, np.nextafter(half, np.float16(-np.inf)), half)
    np.testing.assert_array_equal(drawn(ops.random_uniform, size, low=-2, high=1, dtype="float16"), down)

    small = [(int(word) * 2**32 >> 64) - 7 for word in bits(size, "uint64")]
    np.testing.assert_array_equal(drawn(ops.random_randint, size, low=-7, high=2**32 - 7, dtype="int64"), small)
    large = joined(words(size, 1, SEED, OFFSET))[1][:size]  # the upper half of 128 bits: the range is 2**64
    np.testing.assert_array_equal(drawn(ops.random_randint, size, low=0, high=2**64, dtype="uint64"), large)


@pytest.mark.portability
def test_double_numbers_are_the_oracles_bits():
    if not device().traits.fp64:
        with pytest.raises(mx.MXNetError, match="no float64"):
            drawn(ops.random_uniform, 3, low=0, high=1, dtype="float64")
        return
    fraction = (bits(1000, "uint64") >> np.uint64(11)).astype(np.float64) * 2.0**-53
    np.testing.assert_array_equal(drawn(ops.random_uniform, 1000, low=0, high=1, dtype="float64"), fraction)


@pytest.mark.portability
@pytest.mark.parametrize("span", [3, 2**31, 2**32, 2**32 + 1, 3 * 2**61 + 7, 2**64 - 1])
def test_integers_in_a_range_are_the_upper_bits_of_a_product(span):
    low = -(span // 2) if span <= 2**63 else -(2**63)
    if span <= 2**32:
        expected = [low + (int(word) * span >> 64) for word in bits(500, "uint64")]
    else:
        lower, upper = joined(words(500, 1, SEED, OFFSET))
        expected = [low + ((int(b) << 64 | int(a)) * span >> 128) for a, b in zip(lower, upper, strict=True)][:500]
    np.testing.assert_array_equal(drawn(ops.random_randint, 500, low=low, high=low + span, dtype="int64"), expected)


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_are_box_and_mullers(dtype):
    if dtype not in float_dtypes():
        return
    size, width, real = (4000, 64, np.float64) if dtype == "float64" else (4000, 32, np.float32)
    w = words(size, 2 if width == 64 else 4, SEED, OFFSET)
    pairs = [joined(w)] if width == 64 else [(w[0], w[1]), (w[2], w[3])]
    top, expected = 2 ** (width - 1), []
    for distance, direction in pairs:
        numbers = [(int(word) >> 1) + 1 for word in distance]
        logarithms = [math.log(n / top) if 2 * n <= top else math.log1p((n - top) / top) for n in numbers]
        radius = np.sqrt(-2 * np.array(logarithms))
        turns = [((int(word) << 2) + top) % (2 * top) - top for word in direction]
        angle = math.pi / 4 * np.array([turn / top for turn in turns])
        sine, cosine = np.sin(angle), np.cos(angle)
        swap, negative = (direction >> np.uint64(width - 2)) & np.uint64(1) == 1, direction >> np.uint64(width - 1) == 1
        radius = np.where(negative, -radius, radius)
        expected += [radius * np.where(swap, sine, cosine), radius * np.where(swap, cosine, sine)]
    expected = tiled(expected, size)
    result = drawn(ops.random_normal, size, loc=0, scale=1, dtype=dtype)
    units = np.abs(result - expected) / np.spacing(np.abs(expected).astype(real))
    assert units.max() < (5 if width == 32 else 8), units.max()  # doubles are compared with doubles, which are rounded, too


# Bits are compared across devices: each device is compared with these, drawn from (SEED, OFFSET), 5000 each.
GOLDEN = [
    ("random_bits", {"dtype": "uint32"}, "973819902bd15a98"),
    ("random_bits", {"dtype": "uint64"}, "8bd0bc90ff4d6d47"),
    ("random_uniform", {"dtype": "float16", "low": -1, "high": 1}, "71c4ff84098be2cc"),
    ("random_uniform", {"dtype": "float32", "low": -0.1, "high": 7.3}, "dd63fed5b1730633"),
    ("random_uniform", {"dtype": "float64", "low": -0.1, "high": 7.3}, "a774a99cdcafa80e"),
    ("random_normal", {"dtype": "float16", "loc": 0, "scale": 1}, "a41f09b620d5e758"),
    ("random_normal", {"dtype": "float32", "loc": 0, "scale": 1}, "db9e48bd16f660b7"),
    ("random_normal", {"dtype": "float32", "loc": 1.7, "scale": 0.3}, "946e5ced91499b4b"),
    ("random_normal", {"dtype": "float64", "loc": 1.7, "scale": 0.3}, "3688714bb74062b1"),
    ("random_randint", {"dtype": "uint8", "low": 0, "high": 256}, "fa58db785444b759"),
    ("random_randint", {"dtype": "int8", "low": -128, "high": 128}, "131a2d66bfc56e79"),
    ("random_randint", {"dtype": "int32", "low": -5, "high": 1000}, "1a03c149de73acc6"),
    ("random_randint", {"dtype": "int64", "low": -(2**63), "high": 2**62}, "b272a0b77b605041"),
]


@pytest.mark.portability
@pytest.mark.parametrize(("operator", "attributes", "digest"), GOLDEN)
def test_every_device_gives_these_bits(operator, attributes, digest):
    if attributes["dtype"] == "float64" and not device().traits.fp64:
        return
    result = drawn(ops.registry[operator], 5000, **attributes)
    assert hashlib.sha256(result.tobytes()).hexdigest()[:16] == digest


@pytest.mark.portability
@pytest.mark.parametrize("draw", [nd.random.uniform, nd.random.normal, nd.random.randint])
def test_all_contexts_give_the_same_bits(draw):
    arguments = (-7, 12345) if draw is nd.random.randint else (-1.5, 2.5)
    results = []
    for context in [mx.cpu(0), mx.cpu(1), mx.cpu(2), *(mx.gpu(i) for i in range(mx.num_gpus()))]:
        mx.random.seed(5)
        results.append(draw(*arguments, shape=10001, ctx=context).asnumpy())
    for result in results:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.portability
@pytest.mark.parametrize("schedule", ["cpu", "gpu"])
@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
@pytest.mark.parametrize(("storage", "distribution"), [("float", "normal"), ("half", "uniform")])
def test_the_bits_depend_neither_on_schedule_nor_on_lanes(schedule, lanes, storage, distribution):
    size, dtype = 777, np.float16 if storage == "half" else np.float32
    kernel = device().kernel(
        "random",
        f"random_{schedule}_{lanes}",
        arguments=("buffer", "long", "ulong", "ulong", "float", "float"),
        storage=storage,
        compute="float",
        distribution=distribution,
        schedule=schedule,
        lanes=lanes,
    )
    draw, names = (ops.random_normal, ("loc", "scale")) if distribution == "normal" else (ops.random_uniform, ("low", "high"))
    expected = drawn(draw, size, dtype=dtype, **dict(zip(names, (0, 1), strict=True)))
    out, result = device().allocate(expected.nbytes), np.empty_like(expected)
    kernel((3,), (1,), out, size, SEED, OFFSET, 0.0, 1.0)
    device().read(out, 0, result)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.portability
def test_a_large_array_is_filled_to_its_end():
    size = 12_000_001
    end = drawn(ops.random_uniform, size, low=0, high=1, dtype="float32")[-1000:]
    first = (size - 1000) // 64 * 64
    tail = bits(size - first, "uint32", SEED, OFFSET + first // 4)
    np.testing.assert_array_equal(end, ((tail >> np.uint32(8)).astype(np.float32) * np.float32(2**-24))[-1000:])


# Seeds and generators.


def test_a_seed_starts_the_numbers_again():
    mx.random.seed(3)
    first, second = nd.random.uniform(shape=5).asnumpy(), nd.random.uniform(shape=5).asnumpy()
    assert (first != second).all()
    mx.random.seed(3)
    np.testing.assert_array_equal(nd.random.uniform(shape=5).asnumpy(), first)
    mx.random.seed(4)
    assert (nd.random.uniform(shape=5).asnumpy() != first).all()


@pytest.mark.parametrize("seed", [-1, 2**40, 2**64 + 5, np.int64(3), True])
def test_any_integer_is_a_seed(seed):
    mx.random.seed(seed)
    first = nd.random.uniform(shape=5).asnumpy()
    mx.random.seed(int(seed) % 2**64)
    np.testing.assert_array_equal(nd.random.uniform(shape=5).asnumpy(), first)


def test_both_halves_of_a_seed_count():
    mx.random.seed(1)
    first = nd.random.uniform(shape=5).asnumpy()
    mx.random.seed(1 + 2**32)
    assert (nd.random.uniform(shape=5).asnumpy() != first).all()


@pytest.mark.parametrize("seed", [1.5, "a", None, [1]])
def test_a_seed_must_be_an_integer(seed):
    with pytest.raises(ValueError, match="seed_state must be an int"):
        mx.random.seed(seed)


def test_each_context_has_its_own_numbers():
    a, b = mx.cpu(0), mx.cpu(1)
    mx.random.seed(1)
    first, second = (nd.random.uniform(shape=5, ctx=a).asnumpy() for _ in range(2))
    np.testing.assert_array_equal(nd.random.uniform(shape=5, ctx=b).asnumpy(), first)  # a has drawn, b has not
    mx.random.seed(1, ctx=a)
    np.testing.assert_array_equal(nd.random.uniform(shape=5, ctx=a).asnumpy(), first)
    np.testing.assert_array_equal(nd.random.uniform(shape=5, ctx=b).asnumpy(), second)  # b goes on
    mx.random.seed(2)
    other = nd.random.uniform(shape=5, ctx=mx.cpu(7)).asnumpy()  # a context that was never used
    mx.random.seed(2, "cpu")
    np.testing.assert_array_equal(nd.random.uniform(shape=5).asnumpy(), other)
    with mx.cpu(1):
        mx.random.seed(1)
        assert nd.random.uniform(shape=5).context == b


def test_a_process_begins_with_seed_0():
    code = "from clnd import nd; print(nd.random.uniform(shape=4).asnumpy().tobytes().hex())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    mx.random.seed(0)
    assert run.stdout.split()[-1] == nd.random.uniform(shape=4).asnumpy().tobytes().hex()


def test_a_generator_hands_out_whole_tiles():
    source = ops.Generator(-1)
    assert [source.take(blocks) for blocks in (1, 16, 17, 0)] == [(2**64 - 1, offset) for offset in (0, 16, 32, 64)]
    source.take(2**64 - 80)
    assert source.take(32) == (2**64 - 1, 2**64 - 16)
    assert source.take(16) == (2**64 - 1, 16)


def test_threads_never_get_the_same_numbers():
    mx.random.seed(11)
    expected = np.sort(np.stack([nd.random.uniform(shape=64).asnumpy() for _ in range(80)]), axis=0)
    mx.random.seed(11)
    found = []

    def draw():
        found.extend([nd.random.uniform(shape=64).asnumpy() for _ in range(20)])

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(np.sort(np.stack(found), axis=0), expected)


def test_the_first_numbers_do_not_depend_on_how_many_are_drawn():
    results = []
    for shape in (1000, (10, 7), 3):
        mx.random.seed(9)
        results.append(nd.random.normal(shape=shape).asnumpy().reshape(-1))
    for result in results:
        np.testing.assert_array_equal(result, results[0][: result.size])


def test_another_shape_or_parameter_compiles_nothing():
    nd.random.uniform(0, 1, shape=10).wait_to_read()
    before = counters.compilations, counters.loaded
    for shape in (1, 100, (3, 4, 5), 100_000):
        nd.random.uniform(-1, 2, shape=shape).wait_to_read()
    assert (counters.compilations, counters.loaded) == before


# What is drawn: shapes, dtypes, contexts, out.


@pytest.mark.portability
@pytest.mark.parametrize(
    ("shape", "expected"), [(None, (1,)), (3, (3,)), ((), ()), ((2, 3), (2, 3)), ([2, 3], (2, 3)), (0, (0,)), ((0, 3), (0, 3))]
)
@pytest.mark.parametrize("draw", [nd.random.uniform, nd.random.normal, nd.random_uniform, nd.random_normal, nd.uniform, nd.normal])
def test_shapes(draw, shape, expected):
    x = draw(shape=shape)
    assert (x.shape, x.dtype, x.asnumpy().shape) == (expected, np.float32, expected)


def test_shapes_of_the_others():
    assert nd.random.randint(0, 5).shape == (1,)
    assert nd.random.randint(0, 5, shape=(2, 3)).shape == (2, 3)
    assert nd.random.randn(2, 3).shape == (2, 3)
    assert nd.random.randn(4, loc=5, scale=0.1, dtype="float16").dtype == np.float16
    assert nd.random.uniform_like(nd.zeros((2, 3)), 3, 4).shape == (2, 3)
    assert nd.random.normal_like(nd.zeros((2, 3), dtype="float16")).dtype == np.float16
    assert mx.random.randn(0, 3).shape == (0, 3)


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("draw", [nd.random.uniform, nd.random.normal])
def test_float_dtypes(draw, dtype):
    if dtype not in float_dtypes():
        with pytest.raises(mx.MXNetError, match="no float64"):
            draw(shape=3, dtype=dtype)
        return
    x = draw(shape=3, dtype=dtype)
    assert x.dtype == np.dtype(dtype).type
    assert draw(shape=3, dtype=np.dtype(dtype).type).asnumpy().dtype == dtype


def test_older_names_take_the_context_before_the_dtype():
    for old, new, arguments in [
        (nd.random_uniform, nd.random.uniform, (2, 3)),
        (nd.random_normal, nd.random.normal, (2, 3)),
        (nd.random_randint, nd.random.randint, (2, 300)),
    ]:
        mx.random.seed(1)
        first = old(*arguments, (5,), mx.cpu(1))
        mx.random.seed(1)
        second = new(*arguments, (5,), None, mx.cpu(1))
        assert first.context == second.context == mx.cpu(1)
        np.testing.assert_array_equal(first.asnumpy(), second.asnumpy())


def test_mx_random_is_the_same():
    for name in ("uniform", "normal", "randn", "randint", "shuffle"):
        assert getattr(mx.random, name) is getattr(nd.random, name)
    assert nd.shuffle is nd.random.shuffle


def test_out_is_written_and_returned():
    out = nd.zeros((2, 3))
    mx.random.seed(1)
    assert nd.random.uniform(2, 3, out=out) is out
    mx.random.seed(1)
    np.testing.assert_array_equal(out.asnumpy(), nd.random.uniform(2, 3, shape=(2, 3)).asnumpy())
    whole = nd.zeros((3, 4))
    nd.random.normal(5, 0.1, out=whole[1])
    assert (whole.asnumpy()[1] > 3).all()
    assert not whole.asnumpy()[[0, 2]].any()
    numbers = nd.zeros(3, dtype="int64")
    assert nd.random.randint(1, 5, out=numbers).asnumpy().dtype == np.int64


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nd.random.uniform(shape=2, out=nd.zeros(3)), ValueError, r"out has shape \(3,\)"),
        (lambda: nd.random.uniform(shape=3, dtype="float16", out=nd.zeros(3)), TypeError, "out has float32"),
        (lambda: nd.random.uniform(ctx=mx.cpu(1), out=nd.zeros(3)), mx.MXNetError, r"cpu\(1\), but out is on cpu\(0\)"),
        (lambda: nd.random.uniform(2, 1), mx.MXNetError, "low must be less than or equal to high"),
        (lambda: nd.random.uniform(math.nan, 1), mx.MXNetError, "finite"),
        (lambda: nd.random.uniform(0, math.inf), mx.MXNetError, "finite"),
        (lambda: nd.random.uniform(0, 1e5, dtype="float16"), mx.MXNetError, "finite number of float16"),
        (lambda: nd.random.uniform(-3e38, 3e38), mx.MXNetError, "too long"),
        (lambda: nd.random.uniform("a"), TypeError, "low must be a number, not 'a'"),
        (lambda: nd.random.uniform(None), TypeError, "low must be a number"),
        (lambda: nd.random.uniform(0, 1, dtype="int32"), TypeError, "dtype int32 is not supported"),
        (lambda: nd.random.uniform(0, 1, dtype="foo"), TypeError, "foo"),
        (lambda: nd.random.uniform(0, 1, shape=(-1, 2)), ValueError, "negative size"),
        (lambda: nd.random.uniform(0, 1, shape="a"), TypeError, "shape"),
        (lambda: nd.random.normal(0, -1), mx.MXNetError, "scale must not be negative"),
        (lambda: nd.random.normal(math.inf, 1), mx.MXNetError, "finite"),
        (lambda: nd.random.normal(0, 1, dtype="uint8"), TypeError, "dtype uint8 is not supported"),
        (lambda: nd.random.randn((2, 3)), TypeError, "shape"),
        (lambda: nd.random.randint(5, 5), mx.MXNetError, "low must be less than high"),
        (lambda: nd.random.randint(6, 5), mx.MXNetError, "low must be less than high"),
        (lambda: nd.random.randint(0.5, 10), TypeError, "must be integers"),
        (lambda: nd.random.randint(0, 10, dtype="float32"), TypeError, "dtype float32 is not supported"),
        (lambda: nd.random.randint(0, 10, dtype="bool"), TypeError, "dtype bool is not supported"),
        (lambda: nd.random.randint(0, 257, dtype="uint8"), mx.MXNetError, "uint8 holds numbers from 0 to 255, not all from 0 to 256"),
        (lambda: nd.random.randint(-(2**40), 2**40), mx.MXNetError, "int32 holds"),
        (lambda: nd.random.randint(-1, 5, dtype="uint8"), mx.MXNetError, "uint8 holds"),
        (lambda: nd.random.uniform(nd.array([1]), 2), TypeError, "two numbers or two arrays"),
        (lambda: nd.random.normal(2, nd.array([1])), TypeError, "two numbers or two arrays"),
        (lambda: nd.random.uniform(nd.array([1, 2]), nd.array([1, 2, 3])), ValueError, r"\[2\] \[3\]"),
        (lambda: nd.sample_uniform(0, 1), TypeError, "takes an NDArray"),
        (lambda: nd.random.uniform_like(nd.zeros(3, dtype="int32")), TypeError, "dtype int32 is not supported"),
        (lambda: nd.random.uniform_like([1, 2]), TypeError, "takes an NDArray"),
        (lambda: nd.random.shuffle([1, 2]), TypeError, "must be an NDArray"),
        (lambda: nd.random.shuffle(nd.array(3)), ValueError, "no rows"),
    ],
)
def test_bad_input_is_refused_at_the_call(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call()
    assert isinstance(caught.value, mx.MXNetError)


# Distributions. The seeds are fixed: these tests give the same answer every time.


def kolmogorov(sample, distribution):
    """The largest distance between the sample's distribution and another, times the root of the size: 1.95 is exceeded once in 1000."""
    x = np.sort(np.asarray(sample, np.float64))
    expected, steps = distribution(x), np.arange(len(x) + 1) / len(x)
    return max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()) * len(x) ** 0.5


def normal_distribution(x):
    return np.array([math.erfc(-number / 2**0.5) / 2 for number in x])


def chi_square(counts):
    """The deviation of counts from equal ones, in standard deviations."""
    expected, free = counts.sum() / len(counts), len(counts) - 1
    return (((counts - expected) ** 2 / expected).sum() - free) / (2 * free) ** 0.5


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform_numbers_are_uniform(dtype):
    if dtype not in float_dtypes():
        return
    size = 1_000_000
    mx.random.seed(1)
    x = nd.random.uniform(shape=size, dtype=dtype).asnumpy().astype(np.float64)
    assert 0 <= x.min() < 1e-5
    assert 0.999 < x.max() < 1
    rounding = 2**-12 if dtype == "float16" else 0  # halves are rounded down
    assert abs(x.mean() + rounding / 2 - 0.5) < 4 * (12 * size) ** -0.5
    assert abs(x.var() - 1 / 12) < 4 * (180 * size) ** -0.5 + rounding
    assert abs(chi_square(np.bincount((x * 1024).astype(int), minlength=1024))) < 4
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < 4 * size**-0.5
    assert abs(np.corrcoef(x[16:], x[:-16])[0, 1]) < 4 * size**-0.5
    if dtype != "float16":
        assert kolmogorov(x[:50_000], lambda x: x) < 1.95


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal_numbers_are_normal(dtype):
    if dtype not in float_dtypes():
        return
    size = 1_000_000
    mx.random.seed(1)
    x = nd.random.normal(shape=size, dtype=dtype).asnumpy().astype(np.float64)
    assert abs(x.mean()) < 4 * size**-0.5
    assert abs(x.var() - 1) < 4 * (2 / size) ** 0.5
    assert abs((x**3).mean()) < 4 * (15 / size) ** 0.5
    assert abs((x**4).mean() - 3) < 4 * (96 / size) ** 0.5
    for limit in (1, 2, 3, 4):
        expected = size * math.erfc(limit / 2**0.5)
        assert abs((np.abs(x) >= limit).sum() - expected) < 4 * expected**0.5 + (size * 2e-4 if dtype == "float16" else 0)
    for lag in (1, 16, 32):
        assert abs(np.corrcoef(x[lag:], x[:-lag])[0, 1]) < 4 * size**-0.5
        assert abs(np.corrcoef(x[lag:] ** 2, x[:-lag] ** 2)[0, 1]) < 4 * size**-0.5
    if dtype != "float16":
        assert kolmogorov(x[:50_000], normal_distribution) < 1.95


def test_location_and_scale():
    mx.random.seed(1)
    x = nd.random.normal(-3, 0.25, shape=100_000).asnumpy()
    assert abs(x.mean() + 3) < 0.25 * 4 / 100_000**0.5
    assert abs(x.std() - 0.25) < 0.25 * 4 / 200_000**0.5
    np.testing.assert_array_equal(nd.random.normal(7, 0, shape=3).asnumpy(), [7, 7, 7])


@pytest.mark.portability
@pytest.mark.parametrize(("low", "high"), [(1, 2), (-1, 0), (0, 0), (3, 3), (-2, -1), (0.999, 1), (1, 1.002), (-5, 5)])
def test_uniform_numbers_stay_in_their_interval(low, high):
    for dtype in float_dtypes():
        x = nd.random.uniform(low, high, shape=100_000, dtype=dtype).asnumpy()
        first, last = np.dtype(dtype).type(low), np.dtype(dtype).type(high)
        assert (x >= first).all()
        assert (x < last).all() or (first == last and (x == first).all())


@pytest.mark.portability
def test_a_sum_that_rounds_up_to_the_bound_is_not_drawn():
    for dtype in float_dtypes():
        one = np.dtype(dtype).type(1)
        above = np.nextafter(one, np.dtype(dtype).type(2))
        assert set(nd.random.uniform(one, above, shape=1000, dtype=dtype).asnumpy()) == {one}
        assert set(nd.random.uniform(-above, -one, shape=1000, dtype=dtype).asnumpy()) == {-above}
        tiny = np.finfo(dtype).tiny
        x = nd.random.uniform(-tiny, 0, shape=1000, dtype=dtype).asnumpy()
        assert ((x >= -tiny) & (x < 0)).all()


@pytest.mark.portability
@pytest.mark.parametrize(
    ("low", "high", "dtype"),
    [
        (0, 1, "int32"),
        (-10, -5, "int32"),
        (0, 256, "uint8"),
        (-128, 128, "int8"),
        (-(2**31), 2**31, "int32"),
        (-(2**63), 2**63, "int64"),
        (2**40, 2**40 + 3, "int64"),
        (-(2**62), 2**62 + 5, "int64"),
    ],
)
def test_integers_reach_their_bounds_evenly(low, high, dtype):
    mx.random.seed(1)
    x = nd.random.randint(low, high, shape=100_000, dtype=dtype).asnumpy()
    assert x.dtype == dtype
    parts = min(high - low, 256)
    counts = np.bincount([(int(number) - low) * parts // (high - low) for number in x], minlength=parts)
    assert len(counts) == parts
    assert parts == 1 or abs(chi_square(counts)) < 4
    if high - low <= 256:
        assert (x.min(), x.max()) == (low, high - 1)


# Arrays as parameters.


@pytest.mark.portability
def test_arrays_as_parameters_give_a_row_for_each_entry():
    low, high = nd.array([[0, 10], [-5, 3]]), nd.array([[1, 20], [5, 3]])
    mx.random.seed(1)
    x = nd.random.uniform(low, high, shape=(3, 50))
    assert x.shape == (2, 2, 3, 50)
    mx.random.seed(1)
    assert nd.sample_uniform(low, high, (3, 50)).asnumpy().tobytes() == x.asnumpy().tobytes()
    rows = x.asnumpy().reshape(4, 150)
    for row, (first, last) in zip(rows, [(0, 1), (10, 20), (-5, 5), (3, 3)], strict=True):
        assert ((row >= first) & ((row < last) | (first == last))).all()
    mx.random.seed(1)
    alike = nd.random.uniform(-5, 5, shape=600).asnumpy()[300:450]
    np.testing.assert_array_equal(rows[2], alike)

    mu, sigma = nd.array([0, 100]), nd.array([1, 0.5])
    assert nd.random.normal(mu, sigma).shape == (2,)
    mx.random.seed(1)
    y = nd.sample_normal(mu, sigma, shape=20_000).asnumpy()
    assert np.abs(y.mean(axis=1) - [0, 100]).max() < 0.03
    assert np.abs(y.std(axis=1) - [1, 0.5]).max() < 0.02
    assert nd.random.normal(mu, sigma, shape=(0,)).shape == (2, 0)


@pytest.mark.portability
def test_parameters_may_be_views_and_of_other_dtypes():
    whole = nd.array(np.arange(12).reshape(3, 4))
    mx.random.seed(1)
    x = nd.random.uniform(whole[1:].T, whole[1:].T + 1, shape=10).asnumpy()
    assert x.shape == (4, 2, 10)
    np.testing.assert_array_equal(np.floor(x[..., 0]), np.arange(12).reshape(3, 4)[1:].T)
    mx.random.seed(1)
    again = nd.random.uniform(nd.array(whole[1:].T, dtype="int32"), nd.array(whole[1:].T + 1, dtype="int32"), shape=10)
    np.testing.assert_array_equal(again.asnumpy(), x)
    half = nd.random.uniform(whole, whole + 1, shape=10, dtype="float16")
    assert half.dtype == np.float16
    assert (half.asnumpy() < np.arange(1, 13).reshape(3, 4, 1)).all()


# Shuffling.


@pytest.mark.portability
@pytest.mark.parametrize("size", [0, 1, 2, 31, 32, 33, 64, 65, 1000, 4097])
def test_a_permutation_sorts_its_keys(size):
    order = engine.to_numpy(ops.permutation(count=size, device=device(), generator=generator()))
    keys = bits(max(size, 1), "uint64")[:size]
    assert order.dtype == np.int64
    np.testing.assert_array_equal(order, np.argsort(keys, kind="stable"))


@pytest.mark.portability
def test_a_large_permutation_is_one():
    order = engine.to_numpy(ops.permutation(count=300_000, device=device(), generator=generator()))
    np.testing.assert_array_equal(np.sort(order), np.arange(300_000))


def test_every_order_is_as_likely():
    mx.random.seed(1)
    orders = {(0, 1, 2): 0, (0, 2, 1): 1, (1, 0, 2): 2, (1, 2, 0): 3, (2, 0, 1): 4, (2, 1, 0): 5}
    found = [orders[tuple(nd.random.shuffle(nd.arange(3)).asnumpy().astype(int))] for _ in range(1200)]
    assert abs(chi_square(np.bincount(found, minlength=6))) < 4


@pytest.mark.portability
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8"])
def test_rows_are_shuffled_whole(dtype):
    x = nd.array(np.arange(120).reshape(40, 3), dtype=dtype)
    mx.random.seed(1)
    y = nd.random.shuffle(x)
    assert y.dtype == x.dtype
    rows = y.asnumpy()
    assert (rows != x.asnumpy()).any()
    np.testing.assert_array_equal(rows[np.argsort(rows[:, 0])], x.asnumpy())
    np.testing.assert_array_equal(x.asnumpy(), np.arange(120).reshape(40, 3))
    mx.random.seed(1)
    out = nd.zeros((40, 3), dtype=dtype)
    assert nd.shuffle(x, out=out) is out
    np.testing.assert_array_equal(out.asnumpy(), rows)
    assert nd.random.shuffle(nd.zeros((0, 3))).shape == (0, 3)


# Gradients.


def test_the_gradient_of_shuffle_goes_back_to_each_row():
    x, weight = nd.arange(6), nd.array([1, 10, 100, 1000, 10000, 100000])
    x.attach_grad()
    with autograd.record():
        y = nd.random.shuffle(x)
        z = (y * y * weight).sum()
    z.backward()
    place = np.argsort(y.asnumpy())
    np.testing.assert_array_equal(x.grad.asnumpy(), 2 * np.arange(6) * weight.asnumpy()[place])


def test_random_numbers_are_constants():
    a, b = nd.array([1, 2]), nd.array([3, 4])
    a.attach_grad()
    with autograd.record():
        y = nd.random.normal(a, b, shape=3)
        z = (y * a.reshape((2, 1))).sum()
    z.backward()
    np.testing.assert_allclose(a.grad.asnumpy(), y.asnumpy().sum(axis=1), rtol=1e-6)
    with autograd.record():
        z = nd.random.uniform_like(a)
    with pytest.raises(mx.MXNetError, match="not in a computational graph"):
        z.backward()
