"""Print how far off the results of the elementwise operators are: the largest errors in units in the last place of float32.

    CLND_DEVICES=intel python tools/ulp.py [--size 2000000] [operator ...]

The arguments are random bit patterns, so that every exponent comes as often, besides numbers of the sizes that functions are used at, the
ends of the domains, infinities, NaN and denormals. They are compared with NumPy's and SciPy's answers in float64.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "tests")]

import clnd as mx  # noqa: E402
from clnd import engine  # noqa: E402
from clnd.ops import registry  # noqa: E402
from measures import keeps_denormals  # noqa: E402
from ops import test_mathematics as known  # noqa: E402
from ops.table import ATTRIBUTES, elementwise, oracle  # noqa: E402

Array = Any


def exact(name: str) -> Callable[..., Array]:
    """What answers in float64."""
    functions = {**known.FUNCTIONS, "smooth_l1": known.smooth, "polygamma": lambda data, order: known.special.polygamma(order, data)}
    return functions.get(name, oracle(registry[name]))


def arguments(op: Any, size: int, generator: np.random.Generator) -> list[Array]:
    """Of a function of one array random bit patterns; of two also pairs of which the second is near the first, or small."""
    first = known.patterns(generator, np.float32, size)
    if len(op.names) == 1:
        return [first]
    others = [generator.permutation(first) for _ in op.names[1:]]
    with np.errstate(over="ignore"):
        near = (first * generator.uniform(0.5, 2, first.size)).astype(np.float32)
    usual = [generator.uniform(-10, 10, first.size).astype(np.float32) for _ in op.names]
    return [np.concatenate(some) for some in zip([first, *others], [first, *[near] * len(others)], usual, strict=True)]


def error(name: str, device: Any, size: int, generator: np.random.Generator) -> tuple[float, list[Any]]:
    """The largest error, and where."""
    op, attributes = registry[name], ATTRIBUTES.get(name, {})
    arrays = arguments(op, size, generator)
    if op.conditions:
        arrays[0] = arrays[0] > 0
    with np.errstate(all="ignore"):
        wanted = np.asarray(exact(name)(*(x if x.dtype == bool else x.astype(np.float64) for x in arrays), **attributes))
    keep = np.ones(wanted.shape, bool)
    if name in (*known.GAMMA, "polygamma"):  # where SciPy has its digits; at the poles there are tests by hand
        keep = ~known.poles(arrays[0]) & ((name != "polygamma") | (arrays[0] > -30))
    if name == "erfinv":
        wanted = np.copysign(wanted, arrays[0])
    if name == "rsqrt":
        wanted = np.where(arrays[0] == 0, np.copysign(np.inf, arrays[0]), wanted)
    if not keeps_denormals(device):
        small = [(abs(x) < 1.2e-38) & (x != 0) for x in (*arrays, wanted) if x.dtype != bool]
        keep &= ~np.logical_or.reduce(small)
    arrays, wanted = [x[keep] for x in arrays], wanted[keep]
    got = engine.to_numpy(op(*(engine.from_numpy(x, device) for x in arrays), **attributes))
    if got.dtype == bool:
        return float("inf") if np.any(got != wanted) else 0.0, []
    off = known.off_by(got, wanted)
    worst = int(np.argmax(off))
    return float(off[worst]), [*(x[worst] for x in arrays), got[worst], wanted[worst]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("operators", nargs="*", help="all by default")
    parser.add_argument("--size", type=int, default=2_000_000)
    given = parser.parse_args()
    device = mx.cpu().device
    print(device)
    for op in elementwise():
        # A quotient is cut off after it was rounded, which the last bit decides: nothing to compare, nor has `mx.nd` it for floats.
        if op.name in (given.operators or registry) and "float" in op.code and op.name != "truncated_divide":
            largest, where = error(op.name, device, given.size, np.random.default_rng(1))
            print(f"{op.name:18} {largest:8.2f}   {' '.join(map(repr, where)) if largest > 0.5 else ''}", flush=True)


if __name__ == "__main__":
    main()
