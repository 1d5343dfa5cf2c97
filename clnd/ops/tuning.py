"""Which form of a product is computed: by the rules, or by what was measured on the device.

Products are measured by class, which sizes share that are alike. What is fastest is kept on disk and counts before the rules, unless
CLND_TUNE is 0. With CLND_TUNE=1 a class that is met for the first time is measured there and then.
"""

from __future__ import annotations

import functools
import time
from typing import Any, NamedTuple

from clnd import engine
from clnd.errors import MXNetError
from clnd.opencl import Device
from clnd.opencl.measured import keep_measured, read_measured
from clnd.opencl.settings import switch

from .declare import registry
from .product_plans import Choice, Lines, Plan, Problem, choices, plan

MODE = switch("CLND_TUNE")
SUBJECT = "products"
PLAUSIBLE = 1.6  # times the least estimate: what is thought to cost more is not measured
MOST = 8  # candidates
HOPELESS = 1.5  # times the least time at first sight: what takes longer is not measured again
ROUNDS = 3  # of all candidates, one after another, so that a disturbance hits several
LEAST = 1e-3  # seconds that a candidate runs in a round
GAIN = 0.97  # of the rule's time: what is hardly faster is not worth other bits


class Tuned(NamedTuple):
    """What measuring a product gave: the rule's form and the chosen one, with their seconds."""

    rule: Choice
    chosen: Choice
    before: float
    after: float


def choose(problem: Problem) -> Choice:
    """The form to compute a product in."""
    offered = candidates(problem)
    if MODE == "0":
        return offered[0]
    found = _kept(problem.device).get(class_of(problem))
    for choice in offered:
        if found == _written(choice):
            return choice
    # Whoever listens to the device must not hear of what is launched to measure.
    if MODE == "1" and not Device.listeners:
        return tune(problem).chosen
    return offered[0]


def tune(problem: Problem) -> Tuned:
    """Measure a product and keep what is fastest for its class."""
    seconds = measure(problem, candidates(problem))
    rule, before = next(iter(seconds.items()))
    chosen = min(seconds, key=lambda choice: seconds[choice])
    if seconds[chosen] > GAIN * before:
        chosen = rule
    name = class_of(problem)
    _kept(problem.device)[name] = _written(chosen)
    keep_measured(problem.device, SUBJECT, **{name: _written(chosen)})
    return Tuned(rule, chosen, before, seconds[chosen])


def candidates(problem: Problem) -> list[Choice]:
    """The forms that are worth measuring, that of the rules first."""
    offered = sorted(choices(problem))
    return [choice for cost, choice in offered[:MOST] if cost <= PLAUSIBLE * offered[0][0]]


def measure(problem: Problem, offered: list[Choice]) -> dict[Choice, float]:
    """Seconds that each form takes, at best; without those that the device cannot build. The first one is the rule's.

    Raises
    ------
    MXNetError
        When the device has no memory for the factors.
    """
    device = problem.device
    factors = [_some(device, problem.dtype, x) for x in (problem.lhs, problem.rhs)]
    plans: dict[Choice, Plan] = {}
    for choice in offered:
        try:
            plans[choice] = plan(problem, choice)
        except MXNetError:
            if choice == offered[0]:
                raise
    batch, m, n, _ = problem.sizes
    out = device.allocate(max(each.parts for each in plans.values()) * batch * m * n * problem.dtype.itemsize)

    def run(choice: Choice, times: int) -> float:
        begin = time.perf_counter()
        for _ in range(times):
            plans[choice].launch(device, out, *factors)
        device.finish()
        return (time.perf_counter() - begin) / times

    with device.lock:
        for choice in plans:
            run(choice, 1)  # some drivers compile at the first launch
        seconds = {choice: min(run(choice, 1), run(choice, 1)) for choice in plans}
        bound = HOPELESS * min(seconds.values())
        promising = {choice: max(1, int(LEAST / each)) for choice, each in seconds.items() if each < bound or choice == offered[0]}
        for _ in range(ROUNDS):
            for choice, times in promising.items():
                seconds[choice] = min(seconds[choice], run(choice, times))
    return seconds


def class_of(problem: Problem) -> str:
    """The name of the products that are computed alike: their sizes differ by less than a half, and their factors lie in the same way."""
    batch, *sizes = map(_about, problem.sizes)
    lie = ("along" if x.strides[2] == 1 else "across" if x.strides[1] == 1 else "apart" for x in (problem.lhs, problem.rhs))
    return " ".join((problem.dtype.name, str(batch), "x".join(map(str, sizes)), *lie))


def _about(size: int) -> int:
    """A size's two leading binary digits."""
    shift = max(0, size.bit_length() - 2)
    return size >> shift << shift


def _written(choice: Choice) -> list[Any]:
    """A choice as JSON gives it back."""
    return [choice.form, choice.rows, choice.columns, list(choice.packed), choice.exchanged]


@functools.cache
def _kept(device: Device) -> dict[str, Any]:
    return read_measured(device, SUBJECT)


def _some(device: Device, dtype: Any, x: Lines) -> Any:
    """A buffer of ones that a factor could lie in."""
    last = x.offset + sum(max(0, stride * (size - 1)) for size, stride in zip(x.shape, x.strides, strict=True))
    return engine.ready(registry["full"](shape=(last + 1,), value=1, dtype=dtype, device=device)).buffer
