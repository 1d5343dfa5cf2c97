"""The code that expressions become: names and types spelled out, and conversions between all dtypes, defined for every value."""

import re

import numpy as np
import pytest

import measures
from clnd import engine, nd
from clnd.engine import code, dtypes
from clnd.engine.dtypes import INFO

DTYPES = ["bool", "int8", "uint8", "int32", "int64", "float16", "float32", "float64", "uint32", "uint64"]
FLOATS = [
    *(0.0, -0.0, 0.4, -0.4, 0.5, -0.5, 0.99, -0.99, 1.0, -1.0, 1.5, 2.5, -2.5, 7.9, -7.9, 100.25, -100.25),
    *(127.0, 127.9, 128.0, -128.0, -128.9, -129.0, 255.0, 255.9, 256.0, 300.0, -300.0, 32767.0, 65504.0, 65519.0, 65520.0, -65520.0),
    *(
        2.0**24,
        2.0**24 + 1,
        2.0**31 - 129,
        2.0**31 - 1,
        2.0**31,
        2.0**31 + 1,
        -(2.0**31),
        -(2.0**31) - 1,
        2.0**32 - 1,
        2.0**32,
        2.0**32 + 512,
    ),
    *(2.0**53 + 2, 2.0**63 - 1024, 2.0**63, -(2.0**63), -(2.0**63) - 2048, 2.0**64 - 2048, 2.0**64, -(2.0**64), 1e30, -1e30, 3.4e38, 1e300),
    *(
        np.inf,
        -np.inf,
        np.nan,
        1e-45,
        6e-8,
        5.9e-8,
        3e-8,
        2.9e-8,
        -6e-8,
        1.1754942e-38,
        1e-310,
        2049.0,
        2051.0,
        1 + 2.0**-11,
        1 + 2.0**-11 + 2.0**-40,
    ),
]
INTEGERS = [0, 1, -1, 2, 7, 127, 128, -128, -129, 255, 256, 2047, 2049, 2051, 65504, 65519, 65520, 2**24 + 1, 2**31 - 1, 2**31, -(2**31)]
INTEGERS += [2**32 - 1, 2**32, 2**53 + 1, 2**62 + 1, 2**63 - 1, -(2**63), 2**63, 2**64 - 1]


def values_of(dtype: np.dtype) -> np.ndarray:
    """What is worth converting from a dtype."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.kind == "f":
            return np.array(FLOATS).astype(dtype)
        if dtype.kind == "b":
            return np.array([True, False, True, True, False])
    info = np.iinfo(dtype)
    return np.array([x for x in INTEGERS if info.min <= x <= info.max], dtype)


def converted(x: np.ndarray, target: np.dtype) -> np.ndarray:
    """The conversion, written down apart from the code: Python's integers, and one rounding between floats."""
    with np.errstate(over="ignore", invalid="ignore"):
        if target.kind == "b":
            return x != 0
        if target.kind == "f":
            # An integer on its way to half goes through float; NumPy's own conversion does, too.
            return x.astype(np.float32).astype(target) if x.dtype.kind in "iu" and target == np.float16 else x.astype(target)
    if x.dtype.kind == "f":
        bits, signed = {8: (32, True), 32: (64 if target.kind == "u" else 32, True), 64: (64, target.kind == "i")}[target.itemsize * 8]
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        whole = [int(v) if np.isfinite(v) and low <= int(v) < high else 2 ** (bits - 1) for v in x]
    else:
        whole = [int(v) for v in x]
    size = 8 * target.itemsize
    wrapped = [n & (2**size - 1) for n in whole]
    return np.array([n - 2**size if target.kind == "i" and n >> (size - 1) else n for n in wrapped], dtype=target)


@pytest.mark.portability
@pytest.mark.parametrize("source", DTYPES)
def test_conversions_are_defined_for_every_value(source, device):
    names = [name for name in DTYPES if name != source and (device.traits.fp64 or name != "float64")]
    if source == "float64" and not device.traits.fp64:
        pytest.skip("the device has no float64")
    for copies in (1, 3):  # in a tail, and in whole vectors
        given = np.tile(values_of(np.dtype(source)), copies)
        x = nd.array(given, dtype=source)
        same = nd.maximum(x, x)  # so that all conversions come out of one kernel
        results = [same.astype(name) for name in names]
        with measures.counted() as counts:
            engine.evaluate(*(result.value for result in results))
        assert counts.launches == 1
        for name, result in zip(names, results):
            got, expected = result.asnumpy(), converted(given, np.dtype(name))
            assert got.dtype == name
            np.testing.assert_array_equal(got, expected, name)
            np.testing.assert_array_equal(np.signbit(got[got == 0]), np.signbit(expected[got == 0]), name)


@pytest.mark.portability
@pytest.mark.parametrize("target", ["int8", "uint8", "int32", "int64"])
def test_conversions_give_the_same_on_every_lane(target):
    for value in values_of(np.dtype("float32")):
        x = np.full(37, value)
        got = nd.array(x).astype(target).asnumpy()
        assert (got == got[0]).all(), value


@pytest.mark.portability
def test_integers_made_wider_keep_their_sign():
    x = np.tile(np.array([-(2**31), -1, 0, 1, 2**31 - 1], np.int32), 5)
    wide = nd.array(x, dtype="int32").astype("int64")
    np.testing.assert_array_equal(nd.sign(wide).asnumpy(), np.sign(x.astype(np.int64)))
    np.testing.assert_array_equal(nd.abs(wide).asnumpy(), np.abs(x.astype(np.int64)))


def test_a_conversion_within_a_kernel_is_the_one_on_its_own():
    x = nd.array(values_of(np.dtype("float32")))
    for target in ("int8", "int32", "float16", "bool"):
        fused = (x * 1).astype(target).astype("float32") * 1
        alone = (x * 1).astype(target)
        alone.wait_to_read()
        np.testing.assert_array_equal(fused.asnumpy(), alone.asnumpy().astype(np.float32))


@pytest.mark.parametrize(("lanes", "n"), [(1, ""), (4, "4"), (16, "16")])
def test_names_and_types_are_spelled_out(lanes, n):
    x, y = "a0", "t1"
    text = code.spell(
        "convert_T(as_U(lhs) + as_U(rhs)) * (T)(1) - (S)(0) * lhsrhs * f_T(lhs)", {"lhs": x, "rhs": y}, np.dtype("int8"), lanes
    )
    assert text == f"convert_char{n}(as_uchar{n}(a0) + as_uchar{n}(t1)) * (char{n})(1) - (char{n})(0) * lhsrhs * f_char{n}(a0)"


def test_types_follow_the_dtype():
    def types(dtype):
        return code.spell("T U S", {}, np.dtype(dtype), 1)

    assert types("float16") == types("float32") == "float uint int"
    assert types("float64") == "double ulong long"
    assert types("uint8") == "uchar uchar char"
    assert types("bool") == "uchar uchar char"


def test_a_result_is_rounded_to_half_and_a_truth_value_is_0_or_1():
    def written(dtype, result, lanes):
        dtype, result = np.dtype(dtype), np.dtype(result)
        return code.write(engine.Expression("f", "x < y", ("x", "y"), (dtype, dtype), dtype, result), ["a", "b"], lanes)

    assert written("float32", "float32", 8) == "a < b"
    assert re.fullmatch(r"round_half\w*\(a < b\)", written("float16", "float16", 8))
    assert written("float32", "bool", 8) == "(convert_uchar8(a < b) & (uchar8)(1))"
    assert written("float32", "bool", 1) == "(convert_uchar(a < b) & (uchar)(1))"


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_dtypes_are_joined_as_numpy_does_but_a_float_beside_an_integer_stays(first, second):
    a, b = np.dtype(first), np.dtype(second)
    floats = [x for x in (a, b) if x.kind == "f"]
    expected = floats[0] if len(floats) == 1 else np.promote_types(a, b)
    if expected == np.int16:  # there is none
        expected = np.dtype("int32")
    assert dtypes.promote(a, b) == dtypes.promote(b, a) == expected


@pytest.mark.parametrize(
    ("dtype", "kind", "expected"),
    [
        *((dtype, bool, dtype) for dtype in DTYPES),
        *((dtype, int, dtype) for dtype in DTYPES if dtype != "bool"),
        *((dtype, float, dtype if dtype.startswith("float") else "float32") for dtype in DTYPES),
        ("bool", int, "int64"),
    ],
)
def test_a_number_beside_an_array_widens_nothing(dtype, kind, expected):
    assert dtypes.promote_scalar(np.dtype(dtype), kind) == expected


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.9, "int32", 1),
        (-1.9, "int32", -1),
        (300, "uint8", 44),
        (-1, "uint8", 255),
        (200, "int8", -56),
        (2**63, "int64", -(2**63)),
        (0.1, "float16", 0.0999755859375),
        (0.1, "float32", 0.10000000149011612),
        (1e6, "float16", np.inf),
        (np.nan, "float32", np.nan),
        (np.float64(2.5), "float32", 2.5),
        (np.int8(-3), "int64", -3),
        (2, "bool", True),
        (0.0, "bool", False),
        (True, "float32", 1.0),
    ],
)
def test_numbers_become_numbers_of_a_dtype(value, dtype, expected):
    np.testing.assert_equal(dtypes.to_scalar(value, np.dtype(dtype)), expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_without_integer_value_is_an_error(value):
    with pytest.raises(TypeError, match="has no int32 value"):
        dtypes.to_scalar(value, np.dtype("int32"))


def test_a_dtype_that_no_kernel_handles_is_an_error_that_lists_those_there_are():
    for wrong in ("foo", "complex64", "S3", object):
        with pytest.raises(TypeError, match="not supported; the dtypes are float16, float32"):
            dtypes.as_dtype(wrong)


def test_the_table_of_dtypes_tells_the_truth():
    sizes = {"half": 2, "float": 4, "double": 8, "char": 1, "uchar": 1, "int": 4, "uint": 4, "long": 8, "ulong": 8}
    for dtype, info in INFO.items():
        assert sizes[info.storage] == dtype.itemsize
        assert sizes[info.mask] == sizes[info.compute]
        assert info.category == {"f": "float", "i": "int", "u": "uint", "b": "bool"}[dtype.kind]
