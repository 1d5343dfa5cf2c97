"""Every template as a GPU would run it, and those of vectors for few lanes and for many: values and first derivatives, on any device."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import pytest
from scipy import special

import clnd as mx
from clnd import engine, nd
from clnd.ndarray import NDArray
from clnd.opencl import Device, kernel
from clnd.opencl.source import template_folder
from clnd.ops import registry
from clnd.ops.normalization import Way
from clnd.ops.random import Generator
from ops.case import Case, magnitudes
from ops.cases import CASES
from ops.checks import check_case, on, read
from ops.gradients import check_case_gradients, check_gradients
from ops.test_derivatives import ROWS, Row

# An operator or two for each template, so that its kernels run forward and, where there is a way, backward.
VECTORS = (
    *("sum", "max", "softmax", "log_softmax", "cumsum", "dot", "batch_dot", "take", "add_at", "concat", "im2col", "col2im", "Pooling"),
    *("LayerNorm", "Convolution", "Deconvolution", "sort", "topk", "tile", "repeat", "pad", "AdaptiveAvgPooling2D", "BilinearResize2D"),
    "BilinearSampler",
)
OTHERS = (
    *("prod", "argmax", "counts", "pick", "put", "take_places", "put_places", "arange_like", "boolean_mask"),
    *("Correlation", "ROIPooling", "ROIAlign", "box_nms", "nms_order"),
    *("fourier", "fft", "ctc_paths", "ctc_flow", "CTCLoss"),
)
ELSEWHERE = {"recurrent", "winograd"}  # test_recurrent.py, test_winograd.py
PARTS = {"common", "functions", "keys", "philox", "rows"}  # of others
FOR_PROCESSORS = {"convolution", "matmul", "panels", "radix", "unpooling"}  # which the gpu schedule does without
FACTORIZATIONS = [row for row in ROWS if row.name.startswith("linalg_")]


def transposed_dot(x: Any, y: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    return (x.T if transpose_a else x) @ (y.T if transpose_b else y)


LARGER = (  # whose kernels are for more than a few elements
    Case("dot", ((70, 90), (70, 80)), {"transpose_a": True}, transposed_dot, ("float32",), rounded=16, terms=magnitudes(transposed_dot)),
    Case("dot", ((200, 99), (220, 99)), {"transpose_b": True}, transposed_dot, ("float32",), rounded=16, terms=magnitudes(transposed_dot)),
    Case("sort", ((3, 700),), {}, lambda x: np.sort(x, kind="stable"), ("float32",)),
    Case("topk", ((3, 700),), {"k": 3, "ret_typ": "value"}, lambda x, k, ret_typ: -np.sort(-x, kind="stable")[:, :k], ("float32",)),
)
EACH = 2  # cases of an operator at most


def chosen(operator: str) -> list[Case]:
    """Cases that are neither large nor empty."""
    small = [case for case in CASES if case.operator == operator and "float32" in case.dtypes]
    sizes = [[int(np.prod(shape)) for shape in case.shapes] for case in small]
    return [case for case, some in zip(small, sizes, strict=True) if min(some) and sum(some) < 3000][:EACH]


def forced(schedule: Literal["cpu", "gpu"], lanes: int) -> Device:
    """The device that there is, to be used like this."""
    given = mx.cpu().device
    device = Device(given.cl, given.name, schedule, 0)
    device.traits = dataclasses.replace(device.traits, lanes=lanes)
    device._given["lanes"] = lanes
    return device


def check_operators(operators: Sequence[str], device: Device, generator: np.random.Generator) -> None:
    for case in (case for operator in operators for case in chosen(operator)):
        check_case(case, np.dtype(np.float32), device, generator)
        if case.moved:
            check_case_gradients(case, mx.cpu(), device, generator, order=1)

    for case in LARGER:
        check_case(case, np.dtype(np.float32), device, generator)
    for found, expected in zip(normalised_channels(device), normalised_channels(mx.cpu().device), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def normalised_channels(device: Device) -> list[Any]:
    """Images normalised as a batch, and what flows back."""
    generator = np.random.default_rng(1)
    data, head, gamma, beta = (
        on(device, generator.normal(size=shape).astype(np.float32)) for shape in ((4, 3, 7, 9), (4, 3, 7, 9), (3,), (3,))
    )
    way = Way(1, False, 0.01)
    return [read(registry["normalized"](data, gamma, beta, way=way)), read(registry["normalized_back"](head, data, gamma, way=way))]


def check_row(row: Row, device: Device, generator: np.random.Generator) -> None:
    arrays = [each(generator) if callable(each) else generator.uniform(-1, 1, each) for each in row.drawn]

    def results(on_device: Device) -> list[Any]:
        found = row.function(*(NDArray(engine.from_numpy(array.astype(np.float32), on_device), mx.cpu()) for array in arrays))
        return [x.asnumpy() for x in (found if isinstance(found, list) else [found])]

    for got, expected in zip(results(device), results(mx.cpu().device), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)

    def function(arguments: Any) -> list[NDArray]:
        found = row.function(*arguments)
        return found if isinstance(found, list) else [found]

    check_gradients(function, arrays, mx.cpu(), device, 1, generator)


def check_step_over_several(device: Device, generator: np.random.Generator) -> None:
    drawn = [generator.uniform(-1, 1, n).astype(np.float32) for n in (3, 3, 700, 700, 65, 65)]
    arrays = [NDArray(engine.from_numpy(x, device), mx.cpu()) for x in drawn]
    with engine.eager(False):
        nd.multi_sgd_update(*arrays, lrs=(0.5, 0.25, 0.125), wds=(0, 0, 0), out=arrays[::2], num_weights=3)
    for weight, before, gradient, rate in zip(arrays[::2], drawn[::2], drawn[1::2], (0.5, 0.25, 0.125), strict=True):
        np.testing.assert_allclose(weight.asnumpy(), before - rate * gradient, rtol=1e-6)


@pytest.mark.portability
def test_every_template_as_a_gpu_runs_it(seeded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    device, generator = forced("gpu", 1), np.random.default_rng(seeded)
    used = templates_of(device, monkeypatch)
    with engine.eager(True):  # an operator, a kernel: so that they are few
        check_operators([*VECTORS, *OTHERS], device, generator)
        for row in FACTORIZATIONS:
            check_row(row, device, generator)
    for name in ("random_normal", "sample_gamma"):
        np.testing.assert_allclose(numbers(name, device), numbers(name, mx.cpu().device), rtol=1e-5)
    check_step_over_several(device, generator)
    assert {file.name.split(".")[0] for file in template_folder().glob("*.mako")} - used == PARTS | FOR_PROCESSORS | ELSEWHERE


@pytest.mark.parametrize("lanes", [4, 16])
def test_vectors_of_other_widths(lanes: int, seeded: int, monkeypatch: pytest.MonkeyPatch) -> None:
    device, generator = forced("cpu", lanes), np.random.default_rng(seeded)
    used = templates_of(device, monkeypatch)
    with engine.eager(True):
        check_operators(VECTORS, device, generator)
    assert used >= FOR_PROCESSORS


def test_groups_are_those_that_a_kernel_leaves_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    x, matrices = generator.normal(size=(3, 700)).astype(np.float32), generator.normal(size=(2, 5, 5)).astype(np.float32)

    def results(device: Device) -> dict[str, Any]:
        wide, square = on(device, x), on(device, matrices)
        normalized = registry["normalized"](wide, on(device, x[0]), on(device, x[1]), way=Way(1, True, 0.01))
        with engine.eager(True):
            found = {
                "elementwise": wide + wide,
                "sum": registry["sum"](wide, axis=1),
                "softmax": registry["softmax"](wide, axis=1),
                "normalized": normalized,
                "product": registry["matmul"](on(device, x[None]), on(device, x.T[None])),
                "inverse": registry["matrix_inverse"](square),
            }
        return {name: read(value) for name, value in found.items()}

    expected = results(forced("gpu", 1))
    listener = Mock()
    monkeypatch.setattr(kernel, "largest_group", lambda *about: 23)
    monkeypatch.setattr(Device, "listeners", (listener,))
    device = forced("gpu", 1)
    for name, found in results(device).items():
        np.testing.assert_allclose(found, expected[name], rtol=1e-3, atol=1e-5, err_msg=name)
        if name in ("elementwise", "sum", "product"):  # whatever is fused with them, so whatever limit there is
            np.testing.assert_array_equal(found, expected[name], err_msg=name)
    assert {int(np.prod(call.args[2])) for call in listener.launched.call_args_list} == {16}


@pytest.mark.parametrize(
    ("schedule", "traits", "operators"),
    [
        ("cpu", "fp64=0,fp16=0,lanes=1", ("sum", "Convolution")),
        ("gpu", "fp64=0,fp16=0,max_group=1,local_memory=1024,max_allocation=65536", ("softmax", "dot")),
    ],
    ids=["no vectors", "no groups"],
)
def test_devices_that_can_do_little(
    schedule: Literal["cpu", "gpu"], traits: str, operators: tuple[str, ...], seeded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A few kernels; `tools/portability.py --traits` runs the operators' whole table on such devices."""
    monkeypatch.setenv("CLND_TRAITS", traits)
    device = Device(mx.cpu().device.cl, "small", schedule, 0)
    for operator in operators:
        with engine.eager(True):
            check_case(chosen(operator)[0], np.dtype(np.float32), device, np.random.default_rng(seeded))
    x = np.linspace(0.1, 9, 37, dtype=np.float32)
    np.testing.assert_allclose(read(registry["gammaln"](on(device, x))), special.gammaln(x), rtol=1e-5, atol=1e-6)


def templates_of(device: Device, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The templates whose kernels the device is asked for; the set grows."""
    used: set[str] = set()
    plain = device.kernel

    def kernel(template: str, *args: Any, **more: Any) -> Any:
        used.add(template)
        return plain(template, *args, **more)

    monkeypatch.setattr(device, "kernel", kernel)
    return used


def numbers(name: str, device: Device) -> Any:
    """A few thousand random numbers."""
    if name == "random_normal":
        drawn = registry[name](loc=0, scale=1, shape=(3000,), dtype=np.dtype(np.float32), device=device, generator=Generator(5))
    else:
        parameters = [on(device, np.full((2,), 1.5, np.float32)) for _ in range(2)]
        drawn = registry[name](*parameters, shape=(1500,), generator=Generator(5))
    return read(drawn)
