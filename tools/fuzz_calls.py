"""Call every operator with what nobody should give it: each call must answer, or be refused with an error that names the operator.

    CLND_TRAITS=max_allocation=67108864 python tools/fuzz_calls.py [--only PART] [--count N] [--two] [--known] [--seed N] [--dry]

The calls are those of compare_mxnet.py and some more, with one argument replaced: attributes by numbers that are negative, huge, not finite
or of the wrong type, by shapes whose products overflow, by what is no number at all; arrays by others of odd shapes and dtypes. `--two`
replaces two arguments at once, in so many calls, drawn by the seed; `--known` makes each call as it stands first, with the same arrays, so
that it is one that is done again. A small `max_allocation` makes whatever is too large an error. `--dry` stops each call at its first
kernel. What goes wrong is printed by kind; a call that ends the process is kept in `--log FILE`.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(HERE), str(HERE / "tools")]

from compare_mxnet import Call, calls, draw, numbers  # noqa: E402

import clnd as mx  # noqa: E402
from clnd import nd  # noqa: E402
from clnd.opencl.program import Programs  # noqa: E402
from clnd.ops import registry  # noqa: E402

NUMBERS = [-1, 0, 1, 2, -2, 3, 7, -100, 127, 128, 32768, 1000003]
NUMBERS += [sign * (1 << bits) + more for bits in (31, 32, 53, 63, 64, 100) for sign in (1, -1) for more in (-1, 0, 1)]
FLOATS = [float("nan"), float("inf"), float("-inf"), 1e308, -1e308, 1e-320, 0.5, -0.5, 2.0, 1e20, 10**400]
OTHERS = [None, True, "", "x", "float32", "int32\n", "{0} evil", "${evil}", "evil;\n", b"x", 1j]
OTHERS += [[], (), {}, {"a": 1}, object(), slice(1), ..., int, len]
SEVERAL = [(0,), (1,), (-1,), (0, 0), (0, 1), (1, 0), (2, 3), (-1, -1), (-2, 7), (1, 1, 1), (0, 1, 2), (1,) * 7, (1,) * 100, (2,) * 70]
SEVERAL += [(1 << 31,), (1 << 63,), (1 << 31, 1 << 31), (1 << 40,) * 5, (-(1 << 63), 1), (1 << 62, 0), (0, 1 << 62), (0,) * 40]
SEVERAL += [(float("nan"),), (float("inf"), 1), (1.5, 2), (True, False), (None,), (1, None), (None, None), ("a",), ("x", "y")]
SEVERAL += [((1, 2), (3, 4)), [[1], [2, 3]], [1] * 100_000, range(3)]
ARRAYS = [np.float64("nan"), np.int64(5), np.int8(-3), np.array(3), np.array([1, 2]), np.array([], "int64"), np.array(["a"])]
ARRAYS += [np.zeros((2, 2, 2))]
VALUES = [*NUMBERS, *FLOATS, *OTHERS, *SEVERAL, *ARRAYS]
SHAPES = [(), (0,), (1,), (3,), (0, 0), (1, 1), (3, 4), (2, 3, 4), (4, 3, 2), (0, 3, 0), (1, 2, 3, 4), (1,) * 9, (2,) * 9]
DTYPES = ["bool", "int8", "uint8", "int32", "int64", "uint64", "float16", "float64"]

# What must not come through: the words of the driver, of its binding, of templates.
RAW = re.compile(r"pyopencl|\bcl[A-Z]\w+|\bCL_|INVALID_[A-Z]|the driver (cannot|refuses)|rendering \w+\.cl")


Change = tuple[str, Any]  # an attribute's name or an array's number, and what to put there


KNOWN = 4  # calls after which a call is done again
MOST = 1 << 20  # KiB that a call may add to what the process took at most: an array is refused that takes a sixteenth of it


PARTS = {*registry, *dir(nd), *dir(nd.random), "Context"}


class Reached(BaseException):
    """A kernel was about to be made: all checks are behind."""


class Hangs(BaseException):
    """A call took too long."""


def more_calls() -> Iterator[Call]:
    """What the table of calls lacks: arrays that are made, random numbers, methods."""
    x = draw(2, 3, 4)
    yield Call("nd.zeros", shape=(2, 3), ctx=None, dtype="float32")
    yield Call("nd.ones", shape=(2, 3), ctx=None, dtype="float32")
    yield Call("nd.empty", shape=(2, 3), ctx=None, dtype="float32")
    yield Call("nd.full", shape=(2, 3), val=1, ctx=None, dtype="float32")
    yield Call("nd.array", source_array=[1, 2], ctx=None, dtype="float32")
    yield Call("nd.arange", start=0, stop=5, step=1, repeat=1, dtype="float32")
    yield Call("nd.linspace", start=0, stop=5, num=3, endpoint=True, dtype="float32")
    yield Call("nd.eye", N=3, M=4, k=1, dtype="float32")
    yield Call("nd.concatenate", axis=0, arrays=[1])
    yield Call("nd.from_numpy", ndarray=x)
    yield Call("nd.from_dlpack", dlpack=x)
    yield Call("nd.load_frombuffer", buf=b"x")
    yield Call("random.seed", seed_state=1, ctx="all")
    for name, given in {
        "uniform": {"low": 0, "high": 1},
        "normal": {"loc": 0, "scale": 1},
        "exponential": {"scale": 1},
        "gamma": {"alpha": 1, "beta": 1},
        "poisson": {"lam": 1},
        "negative_binomial": {"k": 1, "p": 0.5},
        "generalized_negative_binomial": {"mu": 1, "alpha": 1},
        "randint": {"low": 0, "high": 5},
    }.items():
        dtype = "int32" if name == "randint" else "float32"
        yield Call(f"nd.random.{name}", shape=(2,), dtype=dtype, ctx=None, out=None, **given)
    yield Call("nd.random.multinomial", draw(3, low=0.1, high=0.9), shape=2, get_prob=False, dtype="int32")
    yield Call("nd.random.shuffle", x)
    yield Call("nd.normal", shape=(2,))
    yield Call("nd.sample_normal", numbers(0, 1), numbers(1, 2), shape=(2,), dtype="float32")
    for name, given in {
        "reshape": {"shape": (6, 4)},
        "astype": {"dtype": "int32"},
        "copyto": {"other": None},
        "as_in_context": {"context": None},
        "attach_grad": {"grad_req": "write"},
        "slice": {"begin": (0,), "end": (1,)},
        "expand_dims": {"axis": 0},
        "broadcast_to": {"shape": (2, 3, 4)},
        "tile": {"reps": 2},
        "repeat": {"repeats": 2, "axis": 0},
        "transpose": {"axes": (0, 1, 2)},
        "__getitem__": {"key": 0},
        "__setitem__": {"key": 0, "value": 1},
        **{f"__{name}__": {"other": 2} for name in ("add", "rsub", "mul", "truediv", "mod", "pow", "rpow", "eq", "lt", "iadd")},
        "tostype": {"stype": "default"},
    }.items():
        yield Call(f"nd.NDArray.{name}", x, **given)


def table() -> list[Call]:
    """The calls, one for each operator and set of attributes; longer names of the same come once."""
    found: dict[Any, Call] = {}
    for call in (*calls(), *more_calls()):
        found.setdefault((call.name, tuple(sorted(call.attributes)), len(call.arrays)), call)
    return list(found.values())


def function_of(call: Call) -> Callable[..., Any]:
    """What a call calls."""
    found: Any = mx
    for part in call.name.split("."):
        found = getattr(found, part)
    return found


def changes(call: Call) -> Iterator[Change]:
    """All single replacements: of an attribute, by its name, or of an array, by its number."""
    import inspect

    names = dict.fromkeys(call.attributes)
    try:
        parameters = inspect.signature(function_of(call)).parameters.values()
    except (TypeError, ValueError):
        parameters = ()
    first = len(call.arrays)
    names.update(dict.fromkeys(p.name for p in list(parameters)[first:] if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)))
    for name in names:
        yield from ((name, value) for value in VALUES)
    for i in range(first):
        yield from ((str(i), ("shape", shape)) for shape in SHAPES)
        yield from ((str(i), ("dtype", dtype)) for dtype in DTYPES)
        if "NDArray." not in call.name:
            yield from ((str(i), ("value", value)) for value in (*NUMBERS[:3], *FLOATS[:2], *OTHERS, *ARRAYS))


def doubled(count: int, only: str, generator: random.Random) -> Iterator[tuple[Call, list[Change]]]:
    """So many calls with two arguments replaced."""
    options = []
    for call in table():
        of_each: dict[str, list[Change]] = defaultdict(list)
        for change in changes(call) if only in call.name else ():
            of_each[change[0]].append(change)
        if len(of_each) > 1:
            options.append((call, of_each))
    for _ in range(count):
        call, of_each = generator.choice(options)
        yield call, [generator.choice(of_each[name]) for name in generator.sample(list(of_each), 2)]


def describe(call: Call, made: Sequence[Change]) -> str:
    """A call and the replacements, in a line."""
    texts = [f"{'array ' if name.isdigit() else ''}{name}={textwrap.shorten(repr(value), 80)}" for name, value in made]
    return f"{call} with {' and '.join(texts)}"


def attempt(call: Call, made: Sequence[Change], finish: bool = True, before: int = 0) -> str | None:
    """Make a call with something replaced, after so many as it stands; say what is wrong with the answer, if anything is."""
    arrays: list[Any] = [nd.array(a, dtype=a.dtype) for a in call.arrays]
    attributes = dict(call.attributes)
    if call.name == "nd.concatenate":
        attributes["arrays"] = [nd.ones((2, 3)), nd.ones((2, 3))]
    if before and call.name.endswith("_update"):
        attributes["out"] = arrays[0]  # as steps are taken
    for _ in range(before):
        with suppress(TypeError):  # a few are none as they stand
            function_of(call)(*arrays, **attributes)
    for name, value in made:
        if not name.isdigit():
            attributes[name] = value
        else:
            what, given = value
            i = int(name)
            if what == "shape":
                arrays[i] = nd.array(np.ones(given, "float32"))
            elif what == "dtype":
                arrays[i] = nd.array(call.arrays[i], dtype=given)
            else:
                arrays[i] = given
    taken = peak()
    recording = mx.autograd.is_recording()
    try:
        results = function_of(call)(*arrays, **attributes)
        if finish:
            for x in results if isinstance(results, (list, tuple)) else [results]:
                if isinstance(x, nd.NDArray):
                    x.wait_to_read()
                    if min(x.shape, default=0) < 0:
                        return f"the shape {x.shape}"
            nd.waitall()
    except Reached:
        pass
    except Hangs:
        return "hangs"
    except (mx.MXNetError, TypeError, ValueError, NotImplementedError) as error:
        text = str(error)
        short = call.name.rsplit(".", 1)[-1]
        if RAW.search(text):
            return f"{type(error).__name__} with the driver's words: {text[:150]}"
        names = [short.strip("_")]
        if isinstance(error, mx.MXNetError):  # may name the argument, or a part that the operator is made of
            names += [name.rsplit("_", 1)[-1] for name, _ in made if not name.isdigit()]
            names += ["x[", "index", "indices", "square brackets"] if "item" in short else []
        if not any(name.casefold() in text.casefold() for name in names) and text.split(":")[0].split()[0].strip(",") not in PARTS:
            return f"{type(error).__name__} that does not name it: {text[:100]}"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        return f"{type(error).__name__}: {str(error)[:100]}"
    if mx.autograd.is_recording() != recording:
        return "recording is no longer as it was"
    if peak() > taken + MOST:
        return f"takes {peak() - taken} KiB"
    return None


def peak() -> int:
    """KiB of memory that the process has had at most; nothing where no /proc tells."""
    try:
        return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
    except OSError:
        return 0


@contextmanager
def no_kernels() -> Iterator[None]:
    """Whatever asks for a kernel gets `Reached` instead."""
    plain = Programs.kernel

    def refuse(*about: Any) -> Any:
        raise Reached if "evil" not in repr(about) else AssertionError("a text given reaches a kernel's source")

    Programs.kernel = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        Programs.kernel = plain  # type: ignore[method-assign]


def main() -> int:
    """Call, print what went wrong, by kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names of operators")
    parser.add_argument("--count", type=int, help="so many of the replacements, drawn by the seed; by default all")
    parser.add_argument("--two", action="store_true", help="replace two arguments, in --count calls")
    parser.add_argument("--log", type=Path, help="file to keep the present call in, for one that ends the process")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry", action="store_true", help="stop at the first kernel")
    parser.add_argument("--known", action="store_true", help="make each call as it stands first, until it is one that is done again")
    parser.add_argument("--patience", type=int, default=60, help="seconds for a call")
    given = parser.parse_args()
    generator = random.Random(given.seed)
    if given.two:
        todo = list(doubled(given.count or 10_000, given.only, generator))
    else:
        todo = [(call, [change]) for call in table() if given.only in call.name for change in changes(call)]
        if given.count is not None:
            todo = generator.sample(todo, min(given.count, len(todo)))

    def hang(*about: Any) -> None:
        raise Hangs

    if hasattr(signal, "SIGALRM"):
        signal.signal(signal.SIGALRM, hang)
    wrong: Counter[tuple[str, str]] = Counter()
    for number, (call, made) in enumerate(todo):
        if given.log:
            given.log.write_text(describe(call, made), encoding="utf-8")
        if hasattr(signal, "alarm"):
            signal.alarm(given.patience)
        if given.dry:
            with no_kernels():
                problem = attempt(call, made, finish=False)
        else:
            problem = attempt(call, made, before=KNOWN * given.known)
        if problem is not None:
            kind = call.name, re.sub(r"\d+", "N", problem)[:60]
            wrong[kind] += 1
            if wrong[kind] == 1:
                print(f"{describe(call, made)}: {problem}", flush=True)
        if number % 20000 == 19999:
            print(f"{number + 1} of {len(todo)}", file=sys.stderr, flush=True)
    if hasattr(signal, "alarm"):
        signal.alarm(0)
    print(f"{wrong.total()} of {len(todo)} calls answered wrongly, in {len(wrong)} kinds")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
