"""The sources that the templates make, for reviewers to read and for a refactoring to leave as they are.

They depend on no device: traits are given here, and nothing is built or launched. CLND_UPDATE_GOLDEN=1 writes the files anew.
"""

import dataclasses
import inspect
import os
from pathlib import Path

import pytest

import clnd as mx
from clnd import engine, nd
from clnd.opencl import source
from clnd.ops import products
from measures import forget_kernels

GOLDEN = Path(__file__).parent / "golden"
SCHEDULES = {"cpu": 8, "gpu": 1}


def elementwise():
    (nd.tanh(a("x", 3, 4) * a("y", 3, 4) + 1)).wait_to_read()


def broadcast():
    (a("x", 3, 4) * a("row", 4) + a("column", 3, 1)).wait_to_read()


def strided():
    (a("x", 5, 6)[:, ::2].T - 1).wait_to_read()


def transposed():
    (a("x", 50, 60).T + a("column", 60, 1)).wait_to_read()


def half_and_bool():
    x = a("x", 7, dtype="float16")
    nd.where(x > 0, x * 2, -x).wait_to_read()


def integers():
    x, y = a("x", 7, dtype="int32"), a("y", 7, dtype="int32")
    ((x % y) ** 5 / y).wait_to_read()


def sum_of_a_row():
    nd.sum(nd.exp(a("x", 5, 70) * a("row", 70)), axis=1).wait_to_read()


def maximum_of_a_column():
    x = nd.abs(a("x", 5, 6))
    nd.max(x, axis=0).wait_to_read()  # x is stored on the way
    x.wait_to_read()


def product():
    nd.dot(a("x", 5, 6), a("y", 6, 7)).wait_to_read()
    nd.dot(a("x", 3, 6), a("y", 4, 6), transpose_b=True).wait_to_read()
    nd.dot(a("x", 500, 100), a("y", 2000, 100), transpose_b=True).wait_to_read()


def gather_and_scatter():
    x = a("x", 5, 6)
    x.attach_grad()
    with mx.autograd.record():
        y = nd.take(x, a("rows", 3, dtype="int64"))
    y.backward()


def normal_numbers():
    nd.random.normal(shape=(100,)).wait_to_read()


CASES = [
    elementwise,
    broadcast,
    strided,
    transposed,
    half_and_bool,
    integers,
    sum_of_a_row,
    maximum_of_a_column,
    product,
    gather_and_scatter,
    normal_numbers,
]


def a(name, *shape, dtype="float32"):
    """An array that lies on the device; its elements do not matter."""
    device = mx.cpu().device
    value = engine.Value(shape, mx.nd.zeros((), dtype=dtype).value.dtype, device)
    buffer = device.allocate(value.size * value.dtype.itemsize)
    return nd.NDArray(value.place(buffer, engine.compact(shape)), mx.cpu())


class Launched:
    """A kernel that does nothing."""

    group = 64

    def __call__(self, *arguments):
        pass


@pytest.fixture
def written(monkeypatch):
    """Give, for a piece of work and a schedule, the sources of its kernels in the order in which they are asked for."""

    def sources(work, schedule):
        device = mx.cpu().device
        lanes = SCHEDULES[schedule]
        given = {"lanes": lanes, "schedule": schedule, "fp64": True, "fp16": False}
        found = {}

        def kernel(template, name, *, arguments=None, **parameters):
            found[f"{template}: {name}"] = source.render(template, name, {**given, **parameters})
            return Launched()

        changes = {"compute_units": 4, "group": Launched.group, "fp64": True, "fp16": False, "lanes": lanes, "schedule": schedule}
        traits = dataclasses.replace(device.traits, **changes)
        monkeypatch.setattr(device, "traits", traits)
        monkeypatch.setattr(device, "kernel", kernel)
        forget_kernels(monkeypatch)
        monkeypatch.setattr(products, "_plan", inspect.unwrap(products._plan))
        with engine.eager(False):
            work()
        return "\n".join(found.values())

    return sources


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("work", CASES, ids=lambda work: work.__name__)
def test_sources_are_those_of_the_golden_files(work, schedule, written):
    text = written(work, schedule)
    file = GOLDEN / f"{work.__name__}.{schedule}.cl"
    if os.environ.get("CLND_UPDATE_GOLDEN"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), (
        f"{file.name} differs; if that is meant, CLND_UPDATE_GOLDEN=1 pytest {__name__} writes it anew"
    )


def test_a_source_is_the_same_whenever_it_is_rendered(written):
    assert written(broadcast, "cpu") == written(broadcast, "cpu")


def test_a_new_shape_makes_the_same_source(written):
    def other_shape():
        (a("x", 30, 7) * a("row", 7) + a("column", 30, 1)).wait_to_read()

    assert written(other_shape, "cpu") == written(broadcast, "cpu")
    assert written(broadcast, "gpu") != written(broadcast, "cpu")
