"""Run random programs against NumPy, as `tests/test_programs.py` does, as many as there is time for.

    CLND_DEVICES=intel python tools/random_programs.py --alone 20000 --fused 2000 [--seed 0]

`--alone` runs every operator at once and compares values; `--fused` compares values of programs whose operators wait for each other,
recorded and not, and the bits of results and gradients with those of operators run at once. Programs are drawn a hundred at a time, each
hundred from a seed that is printed: `--first N` begins with hundred N. A wrong program is made smaller, printed, and ends the run.
They are drawn from the dtypes that the device has. With CLND_TEST_ZONES=1 a write beyond a buffer is wrong too.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "tests")]

import clnd as mx  # noqa: E402
import programs  # noqa: E402
import test_programs as checks  # noqa: E402
from clnd import engine  # noqa: E402
from measures import zones_untouched  # noqa: E402

HUNDRED = 100


def checked(test: Any) -> Callable[[programs.Program], None]:
    """A test of one program, without Hypothesis around it."""
    check: Callable[[programs.Program], None] = test.hypothesis.inner_test
    return check


def alone(program: programs.Program) -> None:
    """Values, one operator at a time."""
    with engine.eager():
        checked(checks.test_programs_compute_what_numpy_computes)(program)


KINDS: dict[str, list[tuple[Callable[[programs.Program], None], dict[str, Any]]]] = {
    "alone": [(alone, {})],
    "fused": [
        (checked(checks.test_programs_compute_what_numpy_computes), {}),
        (checked(checks.test_recorded_programs_compute_what_numpy_computes), {}),
        (checked(checks.test_lazy_and_eager_and_recorded_programs_give_the_same_bits), {"wild": True}),
        (
            checked(checks.test_lazy_and_eager_programs_have_gradients_of_the_same_bits),
            {"dtypes": programs.FLOATS, "leaves": True, "wild": True},
        ),
        (
            checked(checks.test_repeated_passes_have_gradients_of_the_same_bits),
            {"dtypes": programs.FLOATS, "leaves": True, "wild": True},
        ),
    ],
}


def hundred(check: Callable[[programs.Program], None], drawn: dict[str, Any], number: int) -> int:
    """Check a hundred programs; how many it came to."""
    done = 0
    how = settings(
        max_examples=HUNDRED,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )

    @seed(number)
    @how
    @given(programs.programs(**drawn))
    def run(program: programs.Program) -> None:
        nonlocal done
        done += 1
        with zones_untouched() if os.environ.get("CLND_TEST_ZONES") == "1" else nullcontext():
            check(program)

    run()
    return done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--alone", type=int, default=0, help="how many programs to run one operator at a time")
    parser.add_argument("--fused", type=int, default=0, help="how many to run as they are")
    parser.add_argument("--seed", type=int, default=0, help="of all hundreds")
    parser.add_argument("--first", type=int, default=0, help="the hundred to begin with")
    given_ = parser.parse_args()
    print(f"{mx.cpu().device}", flush=True)
    for kind, wanted in (("alone", given_.alone), ("fused", given_.fused)):
        done, number, began = 0, given_.first, time.monotonic()
        while done < wanted:
            check, drawn = KINDS[kind][number % len(KINDS[kind])]
            print(f"{kind}: {done} programs in {time.monotonic() - began:.0f} s; hundred {number}, seed {given_.seed + number}", flush=True)
            done += hundred(check, drawn, given_.seed + number)
            number += 1
        if wanted:
            print(f"{kind}: {done} programs, nothing wrong", flush=True)


if __name__ == "__main__":
    main()
