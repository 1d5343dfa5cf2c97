"""Between host and device, and writes: each array keeps its elements whatever is written elsewhere, and a write costs what it writes."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import Slot, compact, held_alone, plan
from measures import allocated, counted, launches, waits

DTYPES = ["float16", "float32", "float64", "int8", "uint8", "int32", "int64", "bool"]
SIZE = 1 << 16


def large() -> nd.NDArray:
    """An array of 256 KiB that nobody else refers to."""
    x = nd.array(np.arange(SIZE, dtype=np.float32))
    x.wait_to_read()
    return x


def buffer(x) -> int:
    """Which buffer an array lies in."""
    return id(x.value.buffer.cl)


@contextmanager
def made_plans():
    """How many plans have been made since."""
    before = set(plan._plans)
    yield lambda: len(set(plan._plans) - before)


# There and back.


@pytest.mark.portability
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (5,), (3, 4, 5), (300, 70), (1, 70000)], ids=str)
def test_elements_come_back_as_they_went(shape, dtype, device):
    if dtype == "float64" and not device.traits.fp64:
        return
    bits = np.random.default_rng(0).integers(0, 256, (*shape, np.dtype(dtype).itemsize), dtype=np.uint8)
    x = (bits[..., 0] > 127) if dtype == "bool" else bits.view(dtype)[..., 0]
    got = nd.array(x, dtype=dtype).asnumpy()
    assert (got.shape, got.dtype) == (x.shape, x.dtype)
    assert got.tobytes() == np.ascontiguousarray(x).tobytes()


@pytest.mark.parametrize("rows", [3, 3000])
def test_the_host_may_change_its_array_at_once(rows):
    x = np.ones((rows, 50), np.float32)
    y = nd.array(x)
    x[:] = 7
    assert (y.asnumpy() == 1).all()
    got = y.asnumpy()
    got[:] = 7
    assert (y.asnumpy() == 1).all()


def test_arrays_that_numpy_sees_through_strides():
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    for view in (x.T, x[:, ::2], x[::-1], x[:, 1, 1:3], np.broadcast_to(x[0], (5, 3, 4)), np.asfortranarray(x)):
        np.testing.assert_array_equal(nd.array(view).asnumpy(), view)


def test_reading_a_part_that_lies_together_copies_nothing_on_the_device():
    x = large()
    assert launches(lambda: (x[10:20].asnumpy(), x[5].asnumpy(), x.reshape((256, 256))[3:5].asnumpy())) == 0
    np.testing.assert_array_equal(x.reshape((256, 256))[3:5].asnumpy(), np.arange(768, 1280).reshape(2, 256))
    assert launches(lambda: x[::2].asnumpy()) == 1


# Who else refers to a value?


def test_held_alone():
    class Handle:
        pass

    def alone():  # by itself: pytest's assert refers to what it compares
        return held_alone(Slot(handle.own))

    handle = Handle()
    handle.own = nd.array([1.0, 2.0]).value
    assert alone()
    other = handle.own
    assert not alone()
    del other
    twin = handle.own.twin()
    assert not alone()
    del twin
    assert alone()
    waiting = handle.own + 1
    assert not alone()
    engine.evaluate(waiting)
    assert alone()
    handle.own = engine.Value((0,), np.dtype("float32"), mx.current_context().device)
    assert not alone()


def test_reads():
    x, y = nd.array([1.0, 2.0]).value, nd.array([3.0, 4.0]).value
    z = (x * 2 + 1) * x
    assert engine.reads(z, x.buffer)
    assert not engine.reads(z, y.buffer)
    engine.evaluate(z)
    assert not engine.reads(z, x.buffer)
    assert engine.reads(x, x.buffer)


# A write costs what it writes.


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(lambda x: x.__setitem__(5, 1), lambda a: a.__setitem__(5, 1), id="an element"),
        pytest.param(lambda x: x.__setitem__(slice(5, 9), 1), lambda a: a.__setitem__(slice(5, 9), 1), id="a slice"),
        pytest.param(lambda x: x.__setitem__(slice(100, 5, -3), 1), lambda a: a.__setitem__(slice(100, 5, -3), 1), id="backwards"),
        pytest.param(lambda x: x[5:9].__setitem__(slice(None), 1), lambda a: a.__setitem__(slice(5, 9), 1), id="through a view"),
        pytest.param(lambda x: x[5:9][1:3].__setitem__(0, 1), lambda a: a.__setitem__(6, 1), id="through a view of a view"),
        pytest.param(
            lambda x: x.reshape((-1, 16))[2].reshape((4, 4)).__setitem__((slice(None), 1), 1),
            lambda a: a.__setitem__(slice(33, 48, 4), 1),
            id="through views and reshapes",
        ),
        pytest.param(lambda x: x[5:9].__iadd__(1), lambda a: a[5:9].__iadd__(1), id="a view in place"),
        pytest.param(lambda x: nd.add(x[0:3], 1, out=x[5:8]), lambda a: a.__setitem__(slice(5, 8), a[:3] + 1), id="out="),
        pytest.param(lambda x: x.__setitem__(slice(5, 8), np.ones(3)), lambda a: a.__setitem__(slice(5, 8), 1), id="from NumPy"),
        pytest.param(lambda x: x.__setitem__(slice(5, 8), x[10:13]), lambda a: a.__setitem__(slice(5, 8), a[10:13]), id="from itself"),
        pytest.param(
            lambda x: x.__setitem__(slice(5, 50), x[4:49] * 2), lambda a: a.__setitem__(slice(5, 50), a[4:49] * 2), id="from work on itself"
        ),
        pytest.param(lambda x: x.__setitem__(slice(1, 5), x[0:4]), lambda a: a.__setitem__(slice(1, 5), a[:4].copy()), id="overlapping"),
        pytest.param(
            lambda x: x.__setitem__(slice(4, 0, -1), x[0:4]), lambda a: a.__setitem__(slice(4, 0, -1), a[:4].copy()), id="reversed"
        ),
        pytest.param(lambda x: x.__setitem__(slice(3, 5), 2.5 * nd.ones((1,))), lambda a: a.__setitem__(slice(3, 5), 2.5), id="broadcast"),
        pytest.param(
            lambda x: x.__setitem__(slice(3, 5), nd.array([2, 3], dtype="int32")), lambda a: a.__setitem__(slice(3, 5), [2, 3]), id="cast"
        ),
    ],
)
def test_a_write_to_a_part_of_a_large_array_costs_the_part(write, expected):
    x, device = large(), mx.current_context().device
    where = buffer(x)
    before = x.asnumpy()
    for _ in range(3):
        with allocated(device) as sizes, counted() as counts:
            write(x)
            expected(before)
        assert sum(sizes) <= 1024
        assert counts.launches <= 3
        assert buffer(x) == where
    np.testing.assert_array_equal(x.asnumpy(), before)


def test_a_loop_that_writes_what_it_wrote_costs_its_elements():
    x = large()
    where = buffer(x)
    x[0] = 1
    with allocated(x.context.device) as sizes:
        for i in range(1, 60):
            x[i] = x[i - 1] * 1.5
            x[i] += 0.25
    assert max(sizes) <= 16
    assert buffer(x) == where
    expected = [1.0]
    for _ in range(59):
        expected.append(expected[-1] * 1.5 + 0.25)
    np.testing.assert_allclose(x[:60].asnumpy(), expected, rtol=1e-5)


def test_writes_are_planned_once():
    """Wherever they begin, of whatever number; so are copies. Another stride is another plan."""
    x, y = large(), nd.array(np.arange(100, dtype=np.float32))
    mirror, given = x.asnumpy(), y.asnumpy()

    def write(first):
        for target, source in ((x, y), (mirror, given)):
            target[first] = float(first)
            target[first + 1 : first + 11] = source[first : first + 10]
            target[first + 20 : first + 40 : 2] = source[:10] + first
        copy = engine.copied(x[first : first + 40].value)
        np.testing.assert_array_equal(engine.to_numpy(copy), mirror[first : first + 40])

    write(0)
    with made_plans() as made:
        for first in range(2, 60, 7):
            write(first)
        assert made() == 0
        x[:30:3] = 1.0
        assert made() == 1


def test_a_write_that_reads_what_is_written_elsewhere_computes_it_first():
    x = large()
    x[1:5] = x[:4] + x[2:6]
    np.testing.assert_array_equal(x[:6].asnumpy(), [0, 2, 4, 6, 8, 5])
    slot = Slot(x._own)
    moved = engine.Value((4,), x.value.dtype, x.value.device).place(x.value.buffer, engine.Layout((4,), (1,), 2))
    engine.write_region(slot, engine.Layout((4,), (1,), 3), moved)
    np.testing.assert_array_equal(x[:8].asnumpy(), [0, 2, 4, 4, 6, 8, 5, 7])


def test_an_element_in_place_is_written_once():
    x = large()
    assert launches(lambda: x.__setitem__(7, x[7] * 2)) == 2
    with counted() as counts:
        x[7] += 1
    assert counts.launches == 2  # the sum, and the write
    assert x[7].asscalar() == 15


def test_a_write_of_everything_copies_nothing():
    x, y = large(), large()
    with counted() as counts:
        x[:] = y
        x[...] = y
        x[:] = 3
    assert counts.launches == 0
    assert (x.asnumpy() == 3).all()
    x[:] = y
    x[0] = -1
    assert y[0].asscalar() == 0


def test_what_somebody_holds_is_copied_once():
    x = large()
    kept = x.copy()
    with allocated(x.context.device) as sizes:
        x[0] = 5
        x[1] = 6
        x[2] = 7
    assert [n for n in sizes if n > 1024] == [4 * SIZE]
    np.testing.assert_array_equal(kept[:3].asnumpy(), [0, 1, 2])
    np.testing.assert_array_equal(x[:4].asnumpy(), [5, 6, 7, 3])


def test_an_array_that_never_was_computed_can_be_written():
    x = nd.zeros((4, 4)) + 1
    assert waits(x)
    x[1] = x[0] * 2
    x[:, 3] = 9
    np.testing.assert_array_equal(x.asnumpy(), [[1, 1, 1, 9], [2, 2, 2, 9], [1, 1, 1, 9], [1, 1, 1, 9]])


@pytest.mark.parametrize("computed", [False, True])
@pytest.mark.parametrize("dropped", [False, True])
def test_a_broadcast_array_is_written_where_it_was_asked(computed, dropped):
    x = nd.array([[1.0, 2.0, 3.0]])
    y = nd.broadcast_to(x, shape=(4, 3))
    if computed:
        y.wait_to_read()
    if dropped:
        del x
    y[0] = 5
    y[:, 2] += 1
    np.testing.assert_array_equal(y.asnumpy(), [[5, 5, 6], [1, 2, 4], [1, 2, 4], [1, 2, 4]])
    if not dropped:
        np.testing.assert_array_equal(x.asnumpy(), [[1, 2, 3]])


# Everybody else keeps what they had.


@pytest.mark.parametrize("launched", [False, True], ids=["waiting", "launched"])
@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda x: x.__setitem__(slice(None), 100), id="everything"),
        pytest.param(lambda x: x.__setitem__(1, 100), id="a part"),
        pytest.param(lambda x: x.__iadd__(100), id="in place"),
        pytest.param(lambda x: x[1:].__setitem__(slice(None), 100), id="through a view"),
        pytest.param(lambda x: x.reshape((-1,)).__imul__(100), id="through a reshape in place"),
        pytest.param(lambda x: x.__setitem__(slice(None), x + 100), id="from itself"),
        pytest.param(lambda x: x.__setitem__(slice(1, 3), x[0:2]), id="from a part of itself"),
    ],
)
@pytest.mark.parametrize("recorded", [False, True], ids=["", "recorded"])
def test_work_that_waits_or_was_recorded_has_the_old_value(write, launched, recorded):
    values = np.linspace(0.5, 1.5, 12).reshape(3, 4)
    x = nd.array(values)
    if recorded:
        x.attach_grad()
    results = {}
    with autograd.record() if recorded else autograd.pause():
        results["product"] = x * x
        results["tanh"] = nd.tanh(x)
        results["view"] = x.T * 1
        results["sum"] = nd.sum(x * 3, axis=0)
        results["dot"] = nd.dot(x, x.T)
        results["copy"] = x.copy()
        head = nd.sum(results["product"] * results["tanh"]) + nd.sum(results["sum"] * results["sum"])
    if launched:
        engine.evaluate(*(array.value for array in results.values()))
    write(x)
    x32 = values.astype(np.float32)
    expected = {"product": x32 * x32, "tanh": np.tanh(x32), "view": x32.T, "sum": (x32 * 3).sum(0), "dot": x32 @ x32.T, "copy": x32}
    for name, array in results.items():
        np.testing.assert_allclose(array.asnumpy(), expected[name], rtol=1e-5, err_msg=name)
    if recorded:
        head.backward()
        slope = 2 * x32 * np.tanh(x32) + x32**2 * (1 - np.tanh(x32) ** 2) + 18 * x32.sum(0)
        np.testing.assert_allclose(x.grad.asnumpy(), slope, rtol=1e-5)


def test_a_view_sees_what_is_written_to_its_base_and_the_other_way_round():
    x = nd.array(np.zeros((4, 6)))
    row, block, flat = x[1], x[2:4], x.reshape((24,))
    half = flat[12:].reshape((2, 6))[1]
    row[:] = 1
    block[0, 3:] = 2
    flat[0] = 3
    half += 4
    x[1, 5] = 5
    expected = np.zeros((4, 6))
    expected[1], expected[2, 3:], expected[0, 0] = 1, 2, 3
    expected[3] += 4
    expected[1, 5] = 5
    np.testing.assert_array_equal(x.asnumpy(), expected)
    np.testing.assert_array_equal(row.asnumpy(), expected[1])
    np.testing.assert_array_equal(block.asnumpy(), expected[2:])
    np.testing.assert_array_equal(flat.asnumpy(), expected.ravel())
    np.testing.assert_array_equal(half.asnumpy(), expected[3])


def test_views_of_what_was_read_before_see_later_writes():
    x = nd.array(np.zeros(5))
    view = x[1:3]
    view.asnumpy()
    x[2] = 7
    x += 1
    x[:] = x * 2
    np.testing.assert_array_equal(view.asnumpy(), [2, 16])


def test_writes_of_values_that_others_hold_store_them_on_the_way():
    x, y = nd.zeros((10,)), nd.array(np.arange(10.0))
    x.wait_to_read()
    z = nd.tanh(y)
    w = z + 1
    with counted() as counts:
        x[0:10:2] = w[0:10:2]
        x[1:3] = 1
    assert counts.launches <= 3
    np.testing.assert_allclose(w.asnumpy(), np.tanh(np.arange(10)) + 1, rtol=1e-6)
    np.testing.assert_allclose(x.asnumpy()[4::2], (np.tanh(np.arange(10)) + 1)[4::2], rtol=1e-6)


@pytest.mark.parametrize("join", [nd.concat, nd.stack], ids=["concat", "stack"])
def test_parts_that_are_put_together_are_computed_in_place_once(join):
    x = nd.array(np.ones((100, 10)))
    x.attach_grad()
    with autograd.record(), allocated(x.context.device) as sizes, counted() as counts:
        y = join(nd.tanh(x), x * 2)
    assert counts.launches == 2
    assert sorted(sizes)[-2:] == [4000, 8000]  # the whole, and what tanh's rule reads
    assert launches(y.backward) == 1
    np.testing.assert_allclose(x.grad.asnumpy(), np.full((100, 10), 3 - np.tanh(1) ** 2), rtol=1e-6)


# Random writes.


@st.composite
def selections(draw, shape):
    """A key for an array of this shape."""
    key = []
    for n in shape[: draw(st.integers(0, len(shape)))]:
        key.append(draw(st.integers(-n, n - 1)) if draw(st.booleans()) else draw(st.slices(n)))
    return tuple(key) or Ellipsis


@settings(max_examples=150)
@given(st.data())
def test_random_writes_and_views_are_those_of_numpy(data):
    shape = data.draw(st.sampled_from([(6,), (3, 4), (2, 3, 2)]))
    expected = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    array = nd.array(expected)
    expected = expected.copy()
    handles = [(array, expected)]
    for _ in range(data.draw(st.integers(1, 6))):
        handle, mirror = data.draw(st.sampled_from(handles))
        what = data.draw(st.sampled_from(["number", "self", "inplace", "view", "reshape", "read", "other"]))
        if what == "view":
            begin = data.draw(st.integers(0, len(mirror) - 1))
            key = slice(begin, data.draw(st.integers(begin + 1, len(mirror))))
            handles.append((handle[key], mirror[key]))
        elif what == "reshape":
            handles.append((handle.reshape((-1,)), mirror.reshape(-1)))
            assert np.shares_memory(mirror, handles[-1][1])
        elif what == "read":
            handle.wait_to_read()
        elif what == "inplace":
            handle += 1
            mirror += 1
        else:
            key = data.draw(selections(mirror.shape))
            selected = mirror[key]
            if what == "number" or selected.size == 0:
                handle[key], mirror[key] = 7, 7
            elif what == "self":
                flipped = selected[::-1].copy() if selected.ndim else selected
                handle[key] = nd.array(flipped) if selected.ndim == 0 else nd.flip(handle[key].reshape(selected.shape), axis=0)
                mirror[key] = flipped
            else:
                other, values = data.draw(st.sampled_from(handles))
                handle[key] = nd.sum(other * 2)
                mirror[key] = np.sum(values * 2)
        for seen, values in handles:
            if data.draw(st.booleans()):
                np.testing.assert_array_equal(seen.asnumpy(), values)
    for seen, values in handles:
        np.testing.assert_array_equal(seen.asnumpy(), values)


def test_writing_across_devices_is_an_error_that_names_both():
    x = nd.zeros((3,))
    other = nd.zeros((3,), ctx=mx.gpu(0) if x.context.device_type == "cpu" else mx.cpu(0)) if mx.num_gpus() else None
    if other is None:
        assert x.as_in_context(x.context) is x
        return
    with pytest.raises(mx.MXNetError, match=r"cpu\(0\).*gpu\(0\)|gpu\(0\).*cpu\(0\)"):
        x[:] = other
    x[:] = other.as_in_context(x.context) + 2
    np.testing.assert_array_equal(x.asnumpy(), [2, 2, 2])


def test_a_layout_of_no_elements_is_never_written():
    x = nd.zeros((3, 0))
    x[:] = 1
    x[1] = 2
    y = nd.zeros((4,))
    y[2:2] = nd.zeros((0,))
    assert launches(lambda: y[4:].__setitem__(slice(None), 1)) == 0
    assert compact((3, 0)).strides == (0, 1)
    np.testing.assert_array_equal(y.asnumpy(), np.zeros(4))
