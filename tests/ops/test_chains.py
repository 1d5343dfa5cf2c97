"""Random chains of all operators of the table: each step against NumPy, and the whole lazily and at once, with the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clnd as mx
from clnd import engine
from ops.case import Case
from ops.cases import CASES
from ops.checks import draw, judge_case, on, read
from ops.table import Array

FLOAT32 = np.dtype("float32")
SMALL = [case for case in CASES if "float32" in case.dtypes and 0 < sum(int(np.prod(shape)) for shape in case.shapes) < 1000]
LENGTH = 6


def fits(case: Case, position: int, array: Array) -> bool:
    """May the array be this operand of a call, so that the result is well defined?"""
    low, high = case.interval
    if position in case.draw or array.shape != case.shapes[position] or array.dtype != FLOAT32:
        return False
    underflows = case.rounded is not None and bool((abs(array) < 1e-3).any())
    return not underflows and bool(((array > low) & (array < high)).all())


def apply(case: Case, operands: list[Any]) -> Any:
    """Call the operator."""
    return case.op(*operands, **case.attributes)


@pytest.mark.portability
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_chains_of_operators(data):
    device = mx.cpu().device
    generator = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    known: list[Array] = []  # what the program has so far
    computed: list[Any] = []  # the same on the device: views stay views, since a product's sums go as its factors lie
    inputs: dict[int, Array] = {}
    steps: list[tuple[Case, list[int]]] = []
    for _ in range(LENGTH):
        usable = [case for case in SMALL if any(fits(case, i, array) for i in range(len(case.shapes)) for array in known)]
        case = data.draw(st.sampled_from(usable if usable and data.draw(st.booleans(), "go on") else SMALL), "operator")
        fresh, operands = draw(case, FLOAT32, generator), []
        for position, array in enumerate(fresh):
            found = [i for i, array in enumerate(known) if fits(case, position, array)]
            if found and data.draw(st.booleans(), "use a result"):
                operands.append(data.draw(st.sampled_from(found), "which"))
            else:
                inputs[len(known)] = array
                operands.append(len(known))
                known.append(array)
                computed.append(on(device, array))
        with engine.eager():
            computed.append(apply(case, [computed[i] for i in operands]))
        got = read(computed[-1])
        arrays = [known[i] for i in operands]
        assert (wrong := judge_case(case, FLOAT32, arrays, got)) == "", f"{case}: {wrong}"
        steps.append((case, operands))
        known.append(got)

    with engine.eager(False):
        values: list[Any] = []
        for case, operands in steps:
            while len(values) in inputs:
                values.append(on(device, inputs[len(values)]))
            values.append(apply(case, [values[i] for i in operands]))
        engine.evaluate(*values[-1:])
        for value, expected in zip(values, known, strict=True):
            assert read(value).tobytes() == expected.tobytes()
