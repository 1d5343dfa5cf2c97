"""The rows of tools/bench.py, and the process that runs them with one library.

    python bench_rows.py clnd|torch|mxnet|numpy|tinygrad

reads a request a line from its standard input (JSON) and answers with a line. It imports NumPy and that library alone.

A row is a piece of work that a user would time. Each library's form of it is a function of the library's arrays, which gives
what it computed; all of that is forced before the clock stops, so that laziness gains nothing by leaving out.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # of NumPy, or of the library under test
MILLION = 1_000_000
LONG = 2  # seconds, after which work is not repeated to be sure of its time


# --- libraries ---


class Library:
    """What the rows need of a library."""

    name = "numpy"
    checking = False  # are results wanted, not times?

    def array(self, data: Array) -> Array:
        return data

    def numpy(self, x: Array) -> Array:
        return np.asarray(x)

    def force(self, results: Sequence[Array]) -> None:
        """Have it all computed."""

    def gradients(self, function: Callable[..., Array], inputs: Sequence[Array], wanted: Sequence[int], head: Array) -> list[Array]:
        """The gradients of `sum(function(*inputs) * head)`."""
        raise NotImplementedError

    def memory(self, given: Sequence[Array], work: Callable[[], Sequence[Array]]) -> dict[str, int]:
        """The most bytes of arrays at one time while `work` works on those that were given."""
        raise NotImplementedError


class Mx(Library):
    """clnd and MXNet, which have one interface."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mx = importlib.import_module(name)
        self.nd, self.autograd = self.mx.nd, self.mx.autograd

    def array(self, data: Array) -> Array:
        return self.nd.array(data, dtype=data.dtype)

    def numpy(self, x: Array) -> Array:
        return x.asnumpy()

    def force(self, results: Sequence[Array]) -> None:
        if self.name == "clnd":
            engine = self.mx.engine
            engine.evaluate(*[x.value for x in results])
            for x in results:
                engine.gathered(x.value)  # a view is given the elements that a reader would get
            results = results[-1:]  # the queue is in order
        for x in results:
            x.wait_to_read()

    def gradients(self, function: Callable[..., Array], inputs: Sequence[Array], wanted: Sequence[int], head: Array) -> list[Array]:
        for i in wanted:
            if inputs[i].grad is None:
                inputs[i].attach_grad()
        with self.autograd.record():
            z = function(*inputs)
        z.backward(head)
        return [inputs[i].grad for i in wanted]

    def memory(self, given: Sequence[Array], work: Callable[[], Sequence[Array]]) -> dict[str, int]:
        if self.name != "clnd":
            return super().memory(given, work)
        device = self.mx.current_context().device
        pool, used, held = device.memory, 0, 0
        allocate = pool.allocate

        def watched(nbytes: int) -> Any:
            nonlocal used, held
            buffer = allocate(nbytes)
            used, held = max(used, pool.used), max(held, pool.held)
            return buffer

        device.finish()
        pool.drop_free()
        pool.allocate = watched
        try:
            for _ in range(6):  # later ones do again what the first ones did
                self.force(work())
        finally:
            del pool.allocate
        return {"peak": max(used, pool.used), "held": max(held, pool.held)}


class Torch(Library):
    name = "torch"

    def __init__(self) -> None:
        self.torch = importlib.import_module("torch")

    def array(self, data: Array) -> Array:
        return self.torch.from_numpy(data.copy())

    def numpy(self, x: Array) -> Array:
        return x.detach().numpy()

    def gradients(self, function: Callable[..., Array], inputs: Sequence[Array], wanted: Sequence[int], head: Array) -> list[Array]:
        for i in wanted:
            inputs[i].requires_grad_(True)
            inputs[i].grad = None
        function(*inputs).backward(head)
        return [inputs[i].grad for i in wanted]

    def memory(self, given: Sequence[Array], work: Callable[[], Sequence[Array]]) -> dict[str, int]:
        """From its profiler's list of what its allocator gives and takes back; what oneDNN takes for itself is not in it."""
        with self.torch.profiler.profile(profile_memory=True) as profile:
            work()
        events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
        now = peak = 0
        for event in sorted(events, key=lambda event: event.start_ns()):
            now += event.nbytes()
            peak = max(peak, now)
        return {"peak": peak + sum(x.nbytes for x in given)}


class Tinygrad(Library):
    name = "tinygrad"

    def __init__(self) -> None:
        self.Tensor = importlib.import_module("tinygrad").Tensor

    def array(self, data: Array) -> Array:
        return self.Tensor(data).realize()

    def numpy(self, x: Array) -> Array:
        return x.numpy()

    def force(self, results: Sequence[Array]) -> None:
        self.Tensor.realize(*results)
        importlib.import_module("tinygrad").Device[results[0].device].synchronize()

    def gradients(self, function: Callable[..., Array], inputs: Sequence[Array], wanted: Sequence[int], head: Array) -> list[Array]:
        return list((function(*inputs) * head).sum().gradient(*[inputs[i] for i in wanted]))


def library(name: str) -> Library:
    if name in ("clnd", "mxnet"):
        return Mx(name)
    return {"torch": Torch, "tinygrad": Tinygrad, "numpy": Library}[name]()


# --- rows ---

Setup = Callable[[Library, Sequence[Array]], Callable[[], Sequence[Array]]]


@dataclass(frozen=True)
class Row:
    """A piece of work.

    Attributes
    ----------
    name : str
    goal : float
        clnd's time over PyTorch's, at most.
    inputs : function
        Gives the arrays (of NumPy) that it works on.
    setups : dict of str to function
        By library: from a library and its arrays to the work, which gives what it computed.
    tolerance : float
        How far results may differ from the peer's, relative to the largest.
    unit : float
        How many units of work it does: the time reported is that of one.
    """

    name: str
    goal: float
    inputs: Callable[[], list[Array]]
    setups: dict[str, Setup]
    tolerance: float = 1e-4
    unit: int = 1


ROWS: list[Row] = []


def drawn(*shapes: tuple[int, ...], low: float = -1, high: float = 1) -> Callable[[], list[Array]]:
    """Float32 arrays of these shapes, uniform between two numbers."""

    def draw() -> list[Array]:
        generator = np.random.default_rng(7)
        return [generator.uniform(low, high, shape).astype("float32") for shape in shapes]

    return draw


def forward(function: Callable[..., Any]) -> Setup:
    """The work of one call."""

    def setup(_: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        return lambda: [function(*inputs)]

    return setup


def backward(function: Callable[..., Any], wanted: Sequence[int]) -> Setup:
    """The work of a recorded call and its gradients; the last input is the head gradient."""

    def setup(lib: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        *given, head = inputs
        return lambda: lib.gradients(function, given, wanted, head)

    return setup


def add(name: str, goal: float, inputs: Callable[[], list[Array]], *, tolerance: float = 1e-4, unit: int = 1, **setups: Setup) -> None:
    """Add a row. What is given as `mx` is clnd's and MXNet's."""
    if "mx" in setups:
        mx = setups.pop("mx")
        setups = {"clnd": mx, "mxnet": mx, **setups}
    ROWS.append(Row(name, goal, inputs, setups, tolerance, unit))


def call(name: str, goal: float, inputs: Callable[[], list[Array]], tolerance: float = 1e-4, **functions: Callable[..., Any]) -> None:
    """Add a row of one call."""
    add(name, goal, inputs, tolerance=tolerance, **{key: forward(function) for key, function in functions.items()})


def call_and_gradients(
    name: str,
    goals: tuple[float, float],
    shapes: Sequence[tuple[int, ...]],
    result: tuple[int, ...],
    *,
    wanted: Sequence[int] | None = None,
    tolerance: float = 1e-4,
    low: float = -1,
    **functions: Callable[..., Any],
) -> None:
    """Add two rows: one call, and the call recorded with its gradients."""
    call(name, goals[0], drawn(*shapes, low=low), tolerance, **functions)
    positions = range(len(shapes)) if wanted is None else wanted
    setups = {key: backward(function, positions) for key, function in functions.items() if key != "numpy"}
    add(f"{name}, with backward", goals[1], drawn(*shapes, result, low=low), tolerance=tolerance, **setups)


@functools.cache
def nd() -> Any:
    """The namespace of clnd or MXNet, whichever this process runs."""
    return importlib.import_module("clnd" if "clnd" in sys.modules else "mxnet").nd


@functools.cache
def torch() -> Any:
    return importlib.import_module("torch")


@functools.cache
def F() -> Any:
    return importlib.import_module("torch.nn.functional")


# Overhead


def chain_of_additions(_: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    x, y = inputs

    def work() -> Sequence[Array]:
        z = x
        for _ in range(1000):
            z = z + y
        return [z]

    return work


add(
    "x + y of 2x2, in a chain of 1,000, the last read",
    2,
    drawn((2, 2), (2, 2)),
    unit=1000,
    mx=chain_of_additions,
    torch=chain_of_additions,
    numpy=chain_of_additions,
)


def tutorial_mx(lib: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    (x,), record = inputs, lib.autograd.record  # type: ignore[attr-defined]
    x.attach_grad()

    def work() -> Sequence[Array]:
        with record():
            y = x * 2
            z = y * x
        z.backward()
        return [x.grad]

    return work


def tutorial_torch(_: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    x = inputs[0].requires_grad_(True)
    ones = torch().ones_like(x)

    def work() -> Sequence[Array]:
        x.grad = None
        y = x * 2
        z = y * x
        z.backward(ones)
        return [x.grad]

    return work


def captured(setup: Setup) -> Setup:
    """The same work, captured (clnd's alone)."""
    return lambda lib, inputs: lib.mx.capture(setup(lib, inputs))  # type: ignore[attr-defined]


add("tutorial's step, 2x2: record, backward, gradient read", 1.5, drawn((2, 2)), mx=tutorial_mx, torch=tutorial_torch)
add("tutorial's step, captured", 0.5, drawn((2, 2)), clnd=captured(tutorial_mx), torch=tutorial_torch)

# Elementwise

LARGE = (4 * MILLION,)


def twenty(lib: Any, x: Array, y: Array) -> Array:
    for _ in range(2):  # ten operations each
        y = lib.tanh(x * y + 0.5) * x - lib.sqrt(y * y + 1.0) * lib.exp(-x)
    return y


call_and_gradients(
    "20 elementwise operations, 4 M floats",
    (0.3, 0.35),
    [LARGE, LARGE],
    LARGE,
    mx=lambda x, y: twenty(nd(), x, y),
    torch=lambda x, y: twenty(torch(), x, y),
    numpy=lambda x, y: twenty(np, x, y),
    tinygrad=lambda x, y: twenty(type(x), x, y),
)
call(
    "row + column, 2048x2048",
    0.5,
    drawn((1, 2048), (2048, 1)),
    mx=lambda x, y: nd().broadcast_add(x, y),
    torch=lambda x, y: x + y,
    numpy=lambda x, y: x + y,
)


def normalized(x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    return centred / ((centred * centred).mean(-1, keepdims=True) + 1e-5) ** 0.5


call(
    "(x - mean) / deviation over the last axis, 2048x1024",
    0.5,
    drawn((2048, 1024)),
    mx=lambda x: _normalized_mx(x),
    torch=normalized,
    numpy=normalized,
)


def _normalized_mx(x: Array) -> Array:
    centred = nd().broadcast_sub(x, x.mean(-1, keepdims=True))
    return nd().broadcast_div(centred, ((centred * centred).mean(-1, keepdims=True) + 1e-5) ** 0.5)


for _name in ("exp", "log", "tanh", "sigmoid", "erf", "sin"):
    call(
        f"{_name} of 4 M floats",
        0.9,
        drawn(LARGE, low=1e-3 if _name == "log" else -1),
        mx=lambda x, _name=_name: getattr(nd(), _name)(x),
        torch=lambda x, _name=_name: getattr(torch(), _name)(x),
    )
call(
    "pow of 4 M floats",
    0.9,
    drawn(LARGE, LARGE, low=1e-3),
    mx=lambda x, y: nd().power(x, y),
    torch=lambda x, y: x**y,
)

# Reductions

for _name in ("sum", "mean", "max", "argmax"):
    for _axis in (None, 0, 1):
        call(
            f"{_name} of 2048x1024, {'all' if _axis is None else f'axis {_axis}'}",
            1,
            drawn((2048, 1024)),
            mx=lambda x, _name=_name, _axis=_axis: getattr(nd(), _name)(x, **({} if _axis is None else {"axis": _axis})),
            torch=lambda x, _name=_name, _axis=_axis: _reduced_torch(x, _name, _axis),
        )
    call(
        f"{_name} of 10 M",
        1,
        drawn((10 * MILLION,)),
        mx=lambda x, _name=_name: getattr(nd(), _name)(x, axis=0),
        torch=lambda x, _name=_name: getattr(torch(), _name)(x),
    )


def _reduced_torch(x: Array, name: str, axis: int | None) -> Array:
    function = getattr(torch(), "amax" if name == "max" else name)
    return function(x) if axis is None else function(x, dim=axis)


# Softmax and normalisation

for _name in ("softmax", "log_softmax"):
    call_and_gradients(
        f"{_name} of 2048x1024",
        (0.8, 0.8),
        [(2048, 1024)],
        (2048, 1024),
        mx=lambda x, _name=_name: getattr(nd(), _name)(x, axis=-1),
        torch=lambda x, _name=_name: getattr(torch(), _name)(x, -1),
    )
call_and_gradients(
    "layer normalisation, 2048x1024",
    (0.8, 0.8),
    [(2048, 1024), (1024,), (1024,)],
    (2048, 1024),
    tolerance=1e-3,
    mx=lambda x, gamma, beta: nd().LayerNorm(x, gamma, beta, axis=-1, eps=1e-5),
    torch=lambda x, gamma, beta: F().layer_norm(x, (1024,), gamma, beta, 1e-5),
)


def batch_norm_mx(x: Array, gamma: Array, beta: Array) -> Array:
    mx = importlib.import_module("clnd" if "clnd" in sys.modules else "mxnet")
    with mx.autograd.train_mode():
        return mx.nd.BatchNorm(x, gamma, beta, mx.nd.zeros(64), mx.nd.ones(64), eps=1e-5, fix_gamma=False)


call_and_gradients(
    "batch normalisation, 32x64x32x32",
    (0.8, 0.8),
    [(32, 64, 32, 32), (64,), (64,)],
    (32, 64, 32, 32),
    tolerance=1e-3,
    mx=batch_norm_mx,
    torch=lambda x, gamma, beta: F().batch_norm(x, None, None, gamma, beta, True, 0.1, 1e-5),
)

# Moving elements


def copied(x: Array, copy: Callable[[Array], Array]) -> Array:
    """Written to, so that it must be a copy."""
    y = copy(x)
    y[0, 0] = 1
    return y


call(
    "transpose of 2048x1024",
    1,
    drawn((2048, 1024)),
    mx=lambda x: nd().transpose(x),
    torch=lambda x: x.T.contiguous(),
    numpy=lambda x: x.T.copy(),
)
call(
    "copy of 2048x1024, written to",
    1,
    drawn((2048, 1024)),
    mx=lambda x: copied(x, lambda x: x.copy()),
    torch=lambda x: copied(x, lambda x: x.clone()),
    numpy=lambda x: copied(x, lambda x: x.copy()),
)
call(
    "64x64x64x64, axes (0, 2, 3, 1)",
    1,
    drawn((64,) * 4),
    mx=lambda x: nd().transpose(x, (0, 2, 3, 1)),
    torch=lambda x: x.permute(0, 2, 3, 1).contiguous(),
)

# Products

for _n in (64, 256, 512, 1000, 1024, 2048):
    call(
        f"product of {_n}x{_n}",
        1,
        drawn((_n, _n), (_n, _n)),
        mx=lambda x, y: nd().dot(x, y),
        torch=lambda x, y: x @ y,
        numpy=lambda x, y: x @ y,
        tinygrad=lambda x, y: x @ y,
    )
for _name, _shapes, _options, _product in (
    ("product, thin: 1024x1024 by 1024x8", ((1024, 1024), (1024, 8)), {}, lambda x, y: x @ y),
    ("product of 1024, left transposed", ((1024, 1024),) * 2, {"transpose_a": True}, lambda x, y: x.T @ y),
    ("product of 1024, right transposed", ((1024, 1024),) * 2, {"transpose_b": True}, lambda x, y: x @ y.T),
):
    call(_name, 1, drawn(*_shapes), mx=lambda x, y, _options=_options: nd().dot(x, y, **_options), torch=_product, numpy=_product)
call(
    "products, 64 of 128x128",
    1,
    drawn((64, 128, 128), (64, 128, 128)),
    mx=lambda x, y: nd().batch_dot(x, y),
    torch=lambda x, y: x @ y,
    numpy=lambda x, y: x @ y,
)

# Convolution


def convolution(name: str, data: tuple[int, ...], weight: tuple[int, ...], stride: int = 1, pad: int = 0, groups: int = 1) -> None:
    size = (data[2] + 2 * pad - weight[2]) // stride + 1
    call_and_gradients(
        name,
        (1, 1),
        [data, weight],
        (data[0], weight[0], size, size),
        tolerance=1e-3,
        mx=lambda x, w: nd().Convolution(
            x, w, kernel=weight[2:], stride=(stride,) * 2, pad=(pad,) * 2, num_filter=weight[0], num_group=groups, no_bias=True
        ),
        torch=lambda x, w: F().conv2d(x, w, None, stride, pad, 1, groups),
    )


convolution("convolution 3x3, N32 C64 32x32 K64", (32, 64, 32, 32), (64, 64, 3, 3), pad=1)
convolution("convolution 1x1, N32 C64 32x32 K64", (32, 64, 32, 32), (64, 64, 1, 1))
convolution("convolution 7x7 stride 2, N8 C3 128x128 K64", (8, 3, 128, 128), (64, 3, 7, 7), stride=2, pad=3)
convolution("convolution depthwise 3x3, N32 C64 32x32", (32, 64, 32, 32), (64, 1, 3, 3), pad=1, groups=64)
call_and_gradients(
    "max pooling 2x2, N32 C64 32x32",
    (1, 1),
    [(32, 64, 32, 32)],
    (32, 64, 16, 16),
    mx=lambda x: nd().Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="max"),
    torch=lambda x: F().max_pool2d(x, 2),
)

# Indexing and sorting


def table_and_indices() -> list[Array]:
    generator = np.random.default_rng(7)
    table = generator.uniform(-1, 1, (50_000, 128)).astype("float32")
    return [table, generator.integers(0, 50_000, 4096).astype("int32"), generator.uniform(-1, 1, (4096, 128)).astype("float32")]


call(
    "embedding of 50,000 x 128, 4,096 indices",
    1,
    lambda: table_and_indices()[:2],
    mx=lambda table, i: nd().Embedding(i, table, input_dim=50_000, output_dim=128),
    torch=lambda table, i: F().embedding(i, table),
)
add(
    "embedding of 50,000 x 128, 4,096 indices, with backward",
    1,
    table_and_indices,
    mx=backward(lambda table, i: nd().Embedding(i, table, input_dim=50_000, output_dim=128), [0]),
    torch=backward(lambda table, i: F().embedding(i, table), [0]),
)
call(
    "take of 4,096 rows of 128",
    1,
    lambda: table_and_indices()[:2],
    mx=lambda table, i: nd().take(table, i),
    torch=lambda table, i: torch().index_select(table, 0, i),
    numpy=lambda table, i: table[i],
)
call(
    "one-hot, 4,096 x 1,000",
    1,
    lambda: [np.random.default_rng(7).integers(0, 1000, 4096).astype("int32")],
    mx=lambda i: nd().one_hot(i, 1000),
    torch=lambda i: F().one_hot(i.long(), 1000).float(),
)
call(
    "top 10 of 1 M",
    1,
    drawn((MILLION,)),
    mx=lambda x: nd().topk(x, k=10, ret_typ="value"),
    torch=lambda x: torch().topk(x, 10).values,
)
call("sort of 1 M", 1, drawn((MILLION,)), mx=lambda x: nd().sort(x), torch=lambda x: torch().sort(x).values, numpy=np.sort)

# Training steps


class Steps:
    """How each library takes a step of gradient descent over a list of parameters."""

    rate = 0.01

    @staticmethod
    def mx(lib: Library, parameters: Sequence[Array], loss: Callable[[], Array]) -> Callable[[], Sequence[Array]]:
        for p in parameters:
            p.attach_grad()
        autograd, namespace = lib.autograd, lib.nd  # type: ignore[attr-defined]

        def work() -> Sequence[Array]:
            with autograd.record():
                value = loss()
            value.backward()
            for p in parameters:
                namespace.sgd_update(p, p.grad, lr=Steps.rate, wd=0.0, out=p)
            return [*parameters, value]

        return work

    @staticmethod
    def torch(_: Library, parameters: Sequence[Array], loss: Callable[[], Array]) -> Callable[[], Sequence[Array]]:
        for p in parameters:
            p.requires_grad_(True)
        optimizer = torch().optim.SGD(parameters, lr=Steps.rate)

        def work() -> Sequence[Array]:
            optimizer.zero_grad()
            value = loss()
            value.backward()
            optimizer.step()
            return [*parameters, value]

        return work


def training(
    name: str, goal: float, inputs: Callable[[], list[Array]], data: int, mx: Callable[..., Any], torch: Callable[..., Any]
) -> None:
    """Add the row of a training step: the first `data` inputs are data, the rest parameters; the functions give the loss."""

    def setup_mx(lib: Library, given: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        return Steps.mx(lib, given[data:], lambda: mx(*given))

    def setup_torch(lib: Library, given: Sequence[Array]) -> Callable[[], Sequence[Array]]:
        return Steps.torch(lib, given[data:], lambda: torch(*given))

    add(name, goal, inputs, tolerance=2e-3, mx=setup_mx, torch=setup_torch)
    add(f"{name}, captured", 0.7, inputs, tolerance=2e-3, clnd=captured(setup_mx), torch=setup_torch)


def classified(data: tuple[int, ...], *parameters: tuple[int, ...]) -> Callable[[], list[Array]]:
    """Data with labels out of ten classes, and parameters scaled by their inputs."""

    def draw() -> list[Array]:
        generator = np.random.default_rng(7)
        labels = generator.integers(0, 10, data[0]).astype("float32")
        scaled = [generator.normal(0, 1 / math.sqrt(max(1, math.prod(s[1:]))), s).astype("float32") for s in parameters]
        return [generator.uniform(0, 1, data).astype("float32"), labels, *scaled]

    return draw


def cross_entropy_mx(z: Array, labels: Array) -> Array:
    return nd().softmax_cross_entropy(z, labels) / len(labels)


def cross_entropy_torch(z: Array, labels: Array) -> Array:
    return F().cross_entropy(z, labels.long())


def perceptron_mx(x: Array, labels: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array) -> Array:
    h = nd().relu(nd().FullyConnected(x, w1, b1, num_hidden=256))
    h = nd().relu(nd().FullyConnected(h, w2, b2, num_hidden=128))
    return cross_entropy_mx(nd().FullyConnected(h, w3, b3, num_hidden=10), labels)


def perceptron_torch(x: Array, labels: Array, w1: Array, b1: Array, w2: Array, b2: Array, w3: Array, b3: Array) -> Array:
    h = F().relu(F().linear(x, w1, b1))
    h = F().relu(F().linear(h, w2, b2))
    return cross_entropy_torch(F().linear(h, w3, b3), labels)


for _n in (64, 512):
    training(
        f"perceptron 784-256-128-10, batch {_n}, a training step",
        1,
        classified((_n, 784), (256, 784), (256,), (128, 256), (128,), (10, 128), (10,)),
        2,
        mx=perceptron_mx,
        torch=perceptron_torch,
    )


def lenet_mx(x: Array, labels: Array, c1: Array, d1: Array, c2: Array, d2: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    def stage(x: Array, w: Array, b: Array, filters: int) -> Array:
        z = nd().tanh(nd().Convolution(x, w, b, kernel=(5, 5), num_filter=filters))
        return nd().Pooling(z, kernel=(2, 2), stride=(2, 2), pool_type="max")

    h = stage(stage(x, c1, d1, 20), c2, d2, 50)
    h = nd().tanh(nd().FullyConnected(h, w1, b1, num_hidden=500))
    return cross_entropy_mx(nd().FullyConnected(h, w2, b2, num_hidden=10), labels)


def lenet_torch(x: Array, labels: Array, c1: Array, d1: Array, c2: Array, d2: Array, w1: Array, b1: Array, w2: Array, b2: Array) -> Array:
    h = F().max_pool2d(torch().tanh(F().conv2d(x, c1, d1)), 2)
    h = F().max_pool2d(torch().tanh(F().conv2d(h, c2, d2)), 2)
    h = torch().tanh(F().linear(h.flatten(1), w1, b1))
    return cross_entropy_torch(F().linear(h, w2, b2), labels)


training(
    "LeNet, batch 64, a training step",
    1,
    classified((64, 1, 28, 28), (20, 1, 5, 5), (20,), (50, 20, 5, 5), (50,), (500, 800), (500,), (10, 500), (10,)),
    2,
    mx=lenet_mx,
    torch=lenet_torch,
)

LAYERS, STEPS, BATCH, WIDE = 2, 35, 32, 200
LSTM = sum(4 * WIDE * (WIDE + WIDE) + 8 * WIDE for _ in range(LAYERS))


def sequences() -> list[Array]:
    generator = np.random.default_rng(7)
    state = np.zeros((LAYERS, BATCH, WIDE), "float32")
    data, target = (generator.uniform(-1, 1, (STEPS, BATCH, WIDE)).astype("float32") for _ in range(2))
    return [data, target, state, state, generator.uniform(-0.07, 0.07, LSTM).astype("float32")]


def lstm_mx(x: Array, target: Array, h: Array, c: Array, parameters: Array) -> Array:
    z = nd().RNN(x, parameters, h, c, mode="lstm", state_size=WIDE, num_layers=LAYERS)
    return ((z - target) ** 2).mean()


def lstm_torch(lib: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    x, target, h, c, flat = inputs
    lstm = torch().nn.LSTM(WIDE, WIDE, LAYERS)
    used = 0
    shapes = [(4 * WIDE, WIDE), (4 * WIDE, WIDE)] * LAYERS + [(4 * WIDE,)] * (2 * LAYERS)  # weights of all layers, then biases
    names = [f"{kind}_{of}_l{layer}" for kind in ("weight", "bias") for layer in range(LAYERS) for of in ("ih", "hh")]
    for name, shape in zip(names, shapes):
        count = math.prod(shape)
        with torch().no_grad():
            getattr(lstm, name).copy_(flat[used : used + count].reshape(shape))
        used += count
    ordered = [getattr(lstm, name) for name in names]
    step = Steps.torch(lib, ordered, lambda: ((lstm(x, (h, c))[0] - target) ** 2).mean())

    def work() -> Sequence[Array]:
        *updated, value = step()
        return [torch().cat([p.detach().reshape(-1) for p in updated]), value] if lib.checking else [*updated, value]

    return work


add(
    "LSTM of 2 layers, 35 steps, 200 wide, batch 32, a training step",
    1,
    sequences,
    tolerance=2e-3,
    mx=lambda lib, inputs: Steps.mx(lib, inputs[4:], lambda: lstm_mx(*inputs)),
    torch=lstm_torch,
)

HEADS, MODEL, LONG, MANY = 8, 512, 128, 8


def block_inputs() -> list[Array]:
    generator = np.random.default_rng(7)
    rows = MANY * LONG
    shapes = [(3 * MODEL, MODEL), (3 * MODEL,), (MODEL, MODEL), (MODEL,), (4 * MODEL, MODEL), (4 * MODEL,), (MODEL, 4 * MODEL), (MODEL,)]
    weights = [generator.normal(0, 0.02, shape).astype("float32") for shape in shapes]
    norms = [np.ones(MODEL, "float32"), np.zeros(MODEL, "float32"), np.ones(MODEL, "float32"), np.zeros(MODEL, "float32")]
    return [generator.uniform(-1, 1, (rows, MODEL)).astype("float32") for _ in range(2)] + weights + norms


def block_mx(x: Array, target: Array, wq: Array, bq: Array, wo: Array, bo: Array, *rest: Array) -> Array:
    n = nd()
    w1, b1, w2, b2, g1, a1, g2, a2 = rest
    h = n.FullyConnected(n.LayerNorm(x, g1, a1), wq, bq, num_hidden=3 * MODEL)
    h = h.reshape((MANY, LONG, 3, HEADS, MODEL // HEADS)).transpose((2, 0, 3, 1, 4)).reshape((3, MANY * HEADS, LONG, MODEL // HEADS))
    weights = n.softmax(n.batch_dot(h[0], h[1], transpose_b=True) / math.sqrt(MODEL // HEADS))
    mixed = n.batch_dot(weights, h[2]).reshape((MANY, HEADS, LONG, MODEL // HEADS)).transpose((0, 2, 1, 3)).reshape((-1, MODEL))
    x = x + n.FullyConnected(mixed, wo, bo, num_hidden=MODEL)
    h = n.LeakyReLU(n.FullyConnected(n.LayerNorm(x, g2, a2), w1, b1, num_hidden=4 * MODEL), act_type="gelu")
    return ((x + n.FullyConnected(h, w2, b2, num_hidden=MODEL) - target) ** 2).mean()


def block_torch(x: Array, target: Array, wq: Array, bq: Array, wo: Array, bo: Array, *rest: Array) -> Array:
    f = F()
    w1, b1, w2, b2, g1, a1, g2, a2 = rest
    h = f.linear(f.layer_norm(x, (MODEL,), g1, a1), wq, bq)
    q, k, v = h.reshape(MANY, LONG, 3, HEADS, MODEL // HEADS).permute(2, 0, 3, 1, 4)
    mixed = f.scaled_dot_product_attention(q, k, v).permute(0, 2, 1, 3).reshape(-1, MODEL)
    x = x + f.linear(mixed, wo, bo)
    h = f.gelu(f.linear(f.layer_norm(x, (MODEL,), g2, a2), w1, b1))
    return ((x + f.linear(h, w2, b2) - target) ** 2).mean()


training("transformer block, 8 heads, 512 wide, 128 long, batch 8, a training step", 1, block_inputs, 2, mx=block_mx, torch=block_torch)


ADAM = [(64 * (1 + i % 7), 16 * (1 + i % 5)) if i % 2 else (100 + 37 * i,) for i in range(50)]


def adam_mx(lib: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    namespace = lib.nd  # type: ignore[attr-defined]
    parameters, gradients = inputs[:50], inputs[50:]
    states = [(namespace.zeros(p.shape), namespace.zeros(p.shape)) for p in parameters]
    count = 0

    def work() -> Sequence[Array]:
        nonlocal count
        count += 1
        rate = 1e-3 * math.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, g, (mean, var) in zip(parameters, gradients, states):
            namespace.adam_update(p, g, mean, var, lr=rate, epsilon=1e-8, out=p)
        return parameters

    return work


def adam_torch(_: Library, inputs: Sequence[Array]) -> Callable[[], Sequence[Array]]:
    parameters, gradients = inputs[:50], inputs[50:]
    for p, g in zip(parameters, gradients):
        p.requires_grad_(True).grad = g
    optimizer = torch().optim.Adam(parameters, lr=1e-3)

    def work() -> Sequence[Array]:
        optimizer.step()
        return parameters

    return work


add("Adam on 50 parameters of different sizes", 0.5, drawn(*ADAM, *ADAM, low=0.01), mx=adam_mx, torch=adam_torch)

# What users call, too

_PLANE, _IMAGES = (2048, 1024), (16, 64, 32, 32)

for _name, _shapes, _mx, _torch in (
    ("norm of 2048x1024", [_PLANE], lambda x: nd().norm(x), lambda x: torch().linalg.norm(x)),
    ("norm of 2048x1024, axis 1", [_PLANE], lambda x: nd().norm(x, axis=1), lambda x: torch().linalg.norm(x, dim=1)),
    ("sum of 64x64", [(64, 64)], lambda x: nd().sum(x), lambda x: x.sum()),
    ("clip of 2048x1024", [_PLANE], lambda x: nd().clip(x, -0.5, 0.5), lambda x: x.clamp(-0.5, 0.5)),
    ("two of 2048x1024, one after the other", [_PLANE] * 2, lambda x, y: nd().concat(x, y, dim=1), lambda x, y: torch().cat((x, y), 1)),
    ("two of 2048x1024, stacked", [_PLANE] * 2, lambda x, y: nd().stack(x, y), lambda x, y: torch().stack((x, y))),
    ("64x64, 16 by 16 times", [(64, 64)], lambda x: nd().tile(x, (16, 16)), lambda x: x.tile(16, 16)),
    ("100,000 numbers, each 4 times", [(100_000,)], lambda x: nd().repeat(x, 4), lambda x: x.repeat_interleave(4)),
    ("2048x1024 mirrored", [_PLANE], lambda x: nd().flip(x, axis=1), lambda x: x.flip(1)),
    ("running sums of 2048x1024", [_PLANE], lambda x: nd().cumsum(x, axis=1), lambda x: x.cumsum(1)),
    (
        "reflecting borders, N16 C64 32x32",
        [_IMAGES],
        lambda x: nd().pad(x, mode="reflect", pad_width=(0, 0, 0, 0, 1, 1, 1, 1)),
        lambda x: F().pad(x, (1, 1, 1, 1), mode="reflect"),
    ),
    (
        "nearest neighbours, twice N16 C64 32x32",
        [_IMAGES],
        lambda x: nd().UpSampling(x, scale=2, sample_type="nearest"),
        lambda x: F().interpolate(x, scale_factor=2),
    ),
    (
        "global average pooling, N16 C64 32x32",
        [_IMAGES],
        lambda x: nd().Pooling(x, kernel=(1, 1), global_pool=True, pool_type="avg"),
        lambda x: F().adaptive_avg_pool2d(x, 1),
    ),
    ("rows of 2048x1024 of length 1", [_PLANE], lambda x: nd().L2Normalization(x), lambda x: F().normalize(x, dim=1, eps=1e-5)),
    (
        "transposed convolution 4x4 stride 2, N16 C64 32x32 K32",
        [_IMAGES, (64, 32, 4, 4)],
        lambda x, w: nd().Deconvolution(x, w, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=32),
        lambda x, w: F().conv_transpose2d(x, w, stride=2, padding=1),
    ),
):
    call(_name, 1, drawn(*_shapes), 1e-3, mx=_mx, torch=_torch)


def written(x: Array, part: Any, value: Any) -> Array:
    """An array that is there already, of which a part is written."""
    x[part] = value
    return x


for _name, _part, _value in (("an element", (3, 5), 0.5), ("a row", 3, 0.5), ("a column", (slice(None), 3), 0.25)):
    _form = functools.partial(written, part=_part, value=_value)
    call(f"writing {_name} of 2048x1024", 1, drawn(_PLANE), mx=_form, torch=_form)


def positive_definite() -> list[Array]:
    x = np.random.default_rng(7).uniform(-1, 1, (256, 256))
    return [(x @ x.T + 256 * np.eye(256)).astype("float32")]


call("Cholesky factor of 256x256", 1, positive_definite, mx=lambda x: nd().linalg.potrf(x), torch=lambda x: torch().linalg.cholesky(x))
call("inverse of 256x256", 1, positive_definite, mx=lambda x: nd().linalg.inverse(x), torch=lambda x: torch().linalg.inv(x))

for _name, _shapes, _result, _mx, _torch in (
    ("GELU of 2048x1024", [_PLANE], _PLANE, lambda x: nd().LeakyReLU(x, act_type="gelu"), lambda x: F().gelu(x)),
    ("largest of each row of 2048x1024", [_PLANE], (2048,), lambda x: nd().max(x, axis=1), lambda x: x.amax(1)),
    ("product of each row of 2048x1024", [_PLANE], (2048,), lambda x: nd().prod(x, axis=1), lambda x: x.prod(1)),
    (
        "average pooling 2x2, N16 C64 32x32",
        [_IMAGES],
        (16, 64, 16, 16),
        lambda x: nd().Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type="avg"),
        lambda x: F().avg_pool2d(x, 2),
    ),
    (
        "instance normalisation, N16 C64 32x32",
        [_IMAGES, (64,), (64,)],
        _IMAGES,
        lambda x, g, b: nd().InstanceNorm(x, g, b, eps=1e-5),
        lambda x, g, b: F().instance_norm(x, weight=g, bias=b, eps=1e-5),
    ),
):
    call_and_gradients(_name, (1, 1), _shapes, _result, tolerance=1e-3, mx=_mx, torch=_torch)


# --- growth: the same work, larger and larger ---


def growth() -> dict[str, tuple[list[int], Callable[[int], Callable[[], Sequence[Array]]]]]:
    """By name: the sizes, and what makes the work of a size (clnd's alone)."""
    mx = importlib.import_module("clnd")
    nd = mx.nd

    def elements(n: int) -> Callable[[], Sequence[Array]]:
        x = nd.random.uniform(shape=(n,))
        return lambda: [nd.tanh(x * 2 + 1)]

    def parameters(n: int) -> Callable[[], Sequence[Array]]:
        weights = [nd.ones((64,)) for _ in range(n)]
        for w in weights:
            w.attach_grad()

        def work() -> Sequence[Array]:
            with mx.autograd.record():
                loss = nd.add_n(*[(w * w).sum() for w in weights])
            loss.backward()
            for w in weights:
                nd.sgd_update(w, w.grad, lr=0.01, out=w)
            return weights

        return work

    def depth(n: int) -> Callable[[], Sequence[Array]]:
        x = nd.ones((8,))
        x.attach_grad()

        def work() -> Sequence[Array]:
            with mx.autograd.record():
                z = x
                for _ in range(n):
                    z = z * 0.999 + 0.001
            z.backward()
            return [x.grad]

        return work

    return {
        "elements of tanh(2 x + 1)": ([10**k for k in range(9)], elements),
        "parameters: gradient and update": ([10, 100, 1000, 10_000], parameters),
        "depth of a chain, with backward": ([10, 100, 1000, 10_000, 100_000], depth),
    }


# --- the process ---


class Runner:
    """Answers requests with one library."""

    def __init__(self, name: str) -> None:
        self.library = library(name)
        self.ready: tuple[str, Callable[[], Sequence[Array]]] | None = None

    def results(self, row: Row) -> list[Array]:
        """What the row computes first, as arrays of NumPy."""
        self.library.checking = True
        given = [self.library.array(x) for x in row.inputs()]
        found = row.setups[self.library.name](self.library, given)()
        self.library.force(found)
        self.library.checking = False
        return [np.array(self.library.numpy(x)) for x in found]

    def prepare(self, name: str, make: Callable[[], Callable[[], Sequence[Array]]]) -> Callable[[], Sequence[Array]]:
        if self.ready is None or self.ready[0] != name:
            self.ready = None  # the arrays of the row before go first
            self.ready = name, make()
            begin = time.perf_counter()
            for _ in range(2):
                if time.perf_counter() - begin < LONG:
                    self.library.force(self.ready[1]())
        return self.ready[1]

    def times(self, work: Callable[[], Sequence[Array]], least: float) -> list[float]:
        """Seconds of each of several calls, of at least `least` seconds together; of one where that takes long."""
        found: list[float] = []
        while sum(found) < least or (len(found) < 3 and sum(found) < LONG):
            begin = time.perf_counter()
            self.library.force(work())
            found.append(time.perf_counter() - begin)
        return found

    def answer(self, request: dict[str, Any]) -> Any:
        if request["do"] == "sizes":
            return {what: sizes for what, (sizes, _) in growth().items()}
        if request["do"] == "grow":
            _, make = growth()[request["what"]]
            work = self.prepare(f"{request['what']} {request['size']}", lambda: make(request["size"]))
            return min(self.times(work, request["least"]))
        row = next(row for row in ROWS if row.name == request["row"])
        if request["do"] == "check":
            np.savez(request["file"], *self.results(row))
            return None
        setup = row.setups[self.library.name]
        if request["do"] == "memory":
            self.ready = None
            given = [self.library.array(x) for x in row.inputs()]
            return self.library.memory(given, self.prepare(row.name, lambda: setup(self.library, given)))
        work = self.prepare(row.name, lambda: setup(self.library, [self.library.array(x) for x in row.inputs()]))
        return statistics.median(self.times(work, request["least"])) / row.unit


def main() -> None:
    runner = Runner(sys.argv[1])
    answers = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what a library prints is no answer
        for line in sys.stdin:
            try:
                answer = {"answer": runner.answer(json.loads(line))}
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
