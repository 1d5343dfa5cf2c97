"""Convolutions with windows of 3 by 3 in Winograd's form: wherever tiles end, their derivatives, their errors, and where the form pays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import clnd as mx
from clnd import autograd, engine, nd
from clnd.engine import Value
from clnd.ops import direct, registry, winograd
from clnd.ops.seen import Job, Seen, Target, Weights
from clnd.ops.windows import geometry
from measures import counted, fill_with_nan
from ops.cases_networks import convolution
from ops.checks import on
from ops.test_schedules import forced

portability = pytest.mark.portability
on_processors = pytest.mark.skipif(mx.cpu().device.traits.schedule == "gpu", reason="the gpu schedule has no such form")
TILE = (4, 3)  # one for all sizes, so that few kernels are compiled


@pytest.fixture
def generator(seeded: int) -> np.random.Generator:
    return np.random.default_rng(seeded)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the form wherever it can be."""
    monkeypatch.setattr(direct, "_straight", lambda *given: math.inf)
    monkeypatch.setattr(winograd, "tile_of", lambda *given: TILE)
    monkeypatch.setattr(winograd.Turning, "of", staticmethod(winograd.Turning.of.__wrapped__))  # what is known has other tiles


def gradients(images: Any, weights: Any, head: Any, pad: tuple[int, int], groups: int) -> tuple[Any, Any]:
    """Of the sum of `head` times a convolution, by NumPy: each element of a weight sees a window of places."""
    (rows, columns), channels, filters = head.shape[2:], weights.shape[1], weights.shape[0] // groups
    padded = np.pad(images, ((0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    by_images, by_weights = np.zeros_like(padded), np.zeros_like(weights)
    for filter_, y, x in np.ndindex(len(weights), 3, 3):
        group = slice(filter_ // filters * channels, (filter_ // filters + 1) * channels)
        window = (slice(None), group, slice(y, y + rows), slice(x, x + columns))
        by_images[window] += head[:, filter_, None] * weights[filter_, :, y, x][:, None, None]
        by_weights[filter_, :, y, x] = (padded[window] * head[:, filter_, None]).sum((0, 2, 3))
    return by_images[:, :, pad[0] : padded.shape[2] - pad[0], pad[1] : padded.shape[3] - pad[1]], by_weights


@portability
@on_processors
@pytest.mark.usefixtures("always")
@pytest.mark.parametrize(
    ("images", "filters", "pad", "groups"),
    [
        ((2, 3, 9, 37), 11, (1, 1), 1),  # neither rows, columns, channels nor filters are full
        ((1, 5, 6, 60), 4, (1, 1), 1),  # vectors that end with their rows
        ((7, 4, 5, 7), 6, (0, 2), 2),  # vectors across rows, tiles across images
        ((1, 2, 3, 3), 3, (0, 0), 1),  # one place
        ((3, 1, 1, 2), 1, (2, 2), 1),  # windows that see nothing
        ((1, 9, 4, 4), 8, (1, 3), 1),  # the gradient of images leaves out what only the padding saw
    ],
    ids=str,
)
def test_whole_numbers_are_exact(
    images: Any, filters: int, pad: Any, groups: int, generator: np.random.Generator, monkeypatch: Any
) -> None:
    fill_with_nan(monkeypatch)  # what was not written counts for nothing
    taken: list[str] = []
    run = winograd.run
    monkeypatch.setattr(winograd, "run", lambda *given, **variant: (taken.append(given[2]), run(*given, **variant)))
    weights = (filters, images[1] // groups, 3, 3)
    x, w = (generator.integers(-9, 10, shape).astype(np.float64) for shape in (images, weights))
    expected = convolution(x, w, kernel=(3, 3), num_filter=filters, num_group=groups, pad=pad)
    head = generator.integers(-9, 10, expected.shape).astype(np.float64)
    data, weight = nd.array(x), nd.array(w)
    data.attach_grad()
    weight.attach_grad()
    with autograd.record():
        result = nd.Convolution(data, weight, kernel=(3, 3), num_filter=filters, num_group=groups, pad=pad, no_bias=True)
    result.backward(nd.array(head))
    for got, exact in zip((result, data.grad, weight.grad), (expected, *gradients(x, w, head, pad, groups)), strict=True):
        np.testing.assert_array_equal(got.asnumpy(), exact)
    assert taken.count("weights") == 2  # forward, and for the gradient of images


@on_processors
@pytest.mark.usefixtures("always")
def test_parts_of_a_batch_and_of_the_filters(generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    data, weight, bias = (nd.array(generator.integers(-9, 10, shape)) for shape in ((5, 3, 6, 7), (9, 3, 3, 3), (9,)))

    def results() -> list[Any]:
        launches = []
        for each in (data, data.astype("float16")):
            given = [x.astype(each.dtype) for x in (weight, bias)]
            with counted() as counts:
                launches.append(nd.Convolution(each, *given, kernel=(3, 3), num_filter=9).asnumpy())
        return [*launches, counts.launches]

    *whole, before = results()
    expected = convolution(data.asnumpy(), weight.asnumpy(), bias.asnumpy(), kernel=(3, 3), num_filter=9)
    for got in whole:
        np.testing.assert_array_equal(got, expected.astype(got.dtype))
    monkeypatch.setattr(winograd, "PART", 2 * 3 * 4 * 12 * 4)  # two images
    monkeypatch.setattr(winograd, "_NEAR", 1)  # a block of filters
    monkeypatch.setattr(winograd, "_SCRATCH", 1)
    monkeypatch.setattr(winograd, "ROUNDS", 400)  # a unit for a work-item
    *parts, after = results()
    for got, same in zip(parts, whole, strict=True):
        np.testing.assert_array_equal(got, same)
    assert after > before


@on_processors
@pytest.mark.usefixtures("always")
def test_errors_are_those_of_float32(generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    x, w = generator.normal(size=(2, 24, 9, 37)), generator.normal(size=(11, 24, 3, 3))
    exact = convolution(*(a.astype(np.float32).astype(np.float64) for a in (x, w)), kernel=(3, 3), num_filter=11, pad=(1, 1))

    def error() -> Any:
        result = nd.Convolution(nd.array(x), nd.array(w), kernel=(3, 3), num_filter=11, pad=(1, 1), no_bias=True)
        return np.sqrt(np.mean((result.asnumpy() - exact) ** 2)) / np.sqrt(np.mean(exact**2))

    turned = error()
    monkeypatch.setattr(direct, "_straight", lambda *given: 0)
    assert 0 < turned < 2 * error() < 1e-6


@on_processors
@pytest.mark.usefixtures("always")
def test_second_derivatives(generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    arrays = [nd.array(generator.integers(-2, 3, shape)) for shape in ((2, 3, 5, 6), (3, 3, 3, 3))]

    def second() -> list[Any]:
        for array in arrays:
            array.attach_grad()
        with autograd.record():
            result = nd.Convolution(*arrays, kernel=(3, 3), num_filter=3, pad=(1, 1), no_bias=True)
            first = autograd.grad(result * result, arrays, create_graph=True, retain_graph=True)
            total = (first[0] * first[0]).sum() + first[1].sum()
        total.backward()
        return [array.grad.asnumpy() for array in arrays]

    turned = second()
    monkeypatch.setattr(direct, "fits", lambda *given: False)
    for got, expected in zip(turned, second(), strict=True):
        np.testing.assert_array_equal(got, expected)


@on_processors
def test_the_same_bits_however_it_is_called(generator: np.random.Generator) -> None:
    """The form follows from shapes, dtype and device: not from what was fused, nor from how images lie."""
    x, w = generator.normal(size=(8, 33, 16, 16)), nd.array(generator.normal(size=(40, 33, 3, 3)))
    straight, turned = nd.array(x), nd.transpose(nd.array(np.transpose(x, (3, 1, 0, 2))), axes=(2, 1, 3, 0))

    def result(images: Any) -> Any:
        return nd.Convolution(images, w, kernel=(3, 3), num_filter=40, pad=(1, 1), no_bias=True).asnumpy()

    expected = result(straight)
    np.testing.assert_array_equal(result(turned), expected)
    np.testing.assert_array_equal(result(turned * 1), expected)
    with engine.eager():
        np.testing.assert_array_equal(result(straight * 1), expected)


@pytest.mark.parametrize("lanes", [4, 16])
@pytest.mark.usefixtures("always")
def test_vectors_of_other_widths(lanes: int, generator: np.random.Generator) -> None:
    device = forced("cpu", lanes)
    x, w = (generator.integers(-9, 10, shape).astype(np.float32) for shape in ((3, 2, 7, 37), (5, 2, 3, 3)))
    shape = geometry("Convolution", (7, 37), (3, 3), (), (), (1, 1))
    result = registry["convolve"](on(device, x), on(device, w), shape=shape, groups=1)
    expected = convolution(x, w, kernel=(3, 3), num_filter=5, pad=(1, 1))
    np.testing.assert_array_equal(engine.to_numpy(result), expected)


@on_processors
@pytest.mark.usefixtures("always")
def test_new_sizes_compile_nothing() -> None:
    def convolve(*shapes: tuple[int, ...]) -> None:
        data, weight = (nd.ones(shape) for shape in shapes)
        nd.Convolution(data, weight, kernel=(3, 3), num_filter=len(weight), pad=(1, 1), no_bias=True).wait_to_read()

    convolve((1, 5, 6, 64), (4, 5, 3, 3))
    with counted() as counts:
        convolve((3, 8, 12, 12), (7, 8, 3, 3))
        convolve((2, 2, 41, 90), (12, 2, 3, 3))
    assert counts.kernels == counts.compilations == 0


@pytest.mark.parametrize("lanes", [8, 16])
def test_where_it_pays(lanes: int) -> None:
    device = forced("cpu", lanes)

    def pays(images: tuple[int, ...], filters: int) -> bool:
        data, weight = (Value(shape, np.dtype(np.float32), device) for shape in (images, (filters, images[1], 3, 3)))
        shape = geometry("Convolution", images[2:], (3, 3), (), (), (1, 1))
        job = Job(Weights(weight, 0, 0, 0, 0, (0, 0, 0)), Seen.by(shape), Target(data, 0, 0, 0, (0, images[3], 1)))
        return direct._turned(data, 1, filters, [job]) is not None

    assert pays((32, 64, 32, 32), 64)
    assert not pays((32, 4, 32, 32), 4)  # much is turned for few products
    assert not pays((1, 256, 2, 2), 256)  # weights are turned for one place
