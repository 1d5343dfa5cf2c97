"""Feed damaged files to what `nd.load` reads them with: each must be refused with an error that says where, or be read.

    python tools/fuzz_load.py [--count 1000000] [--seed N] [--only N] [--guided]

Files of MXNet's and of safetensors are mutated: bits, bytes, numbers that say how much there is, words of the header, parts put
elsewhere. A file is a function of seed and number, so that `--seed S --only N` makes one again; one that fails is written to the current
folder, as fuzzed-S-N.bin. No device is asked. `--guided` lets Atheris choose, if it is installed (`pip install atheris`), by what its files
reach in the code.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import struct
import sys
import tracemalloc
from collections import Counter
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(HERE))

from clnd.errors import MXNetError  # noqa: E402
from clnd.nd.saving import parsed  # noqa: E402

# Sizes and counts that are wrong in all the ways there are.
NUMBERS = [0, 1, 2, 3, 5, 7, 8, 31, 32, 33, 64, 100, 255, 256, 65535, 1 << 24, 1 << 30]
NUMBERS += [(1 << bits) + i for bits in (31, 32, 62, 63, 64) for i in (-1, 0, 1)]
NUMBERS += [0x112, 0xF993FAC8, 0xF993FAC9, 0xF993FACA]
WORDS = ["0", "-1", "1e400", "1.5", "null", "true", "[]", "{}", "[[[[]]]]", '"F32"', '"BF16"', '"F8"', '"\\ud800"', "9" * 50, "[" * 2000]
WORDS += [str(number) for number in NUMBERS]
WHERE = re.compile(r"load: the buffer (is damaged at byte [\d,]+: .|is not a file of saved arrays|holds (a sparse|the) array)", re.DOTALL)
SAMPLED = 50  # files of which one is read with all memory counted
FACTOR, BESIDES = 8, 200_000  # what may be taken of memory: times the file's length, and bytes besides


def safetensors() -> bytes:
    """A file of three arrays."""
    about = {
        "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BOOL", "shape": [4], "data_offsets": [24, 28]},
        "c": {"dtype": "BF16", "shape": [], "data_offsets": [28, 30]},
        "__metadata__": {"format": "pt"},
    }
    text = json.dumps(about).encode()
    return struct.pack("<Q", len(text)) + text + bytes(range(30))


def corpus() -> list[bytes]:
    """Sound files."""
    files = [path.read_bytes() for path in sorted((HERE / "tests" / "mxnet_files").iterdir())]
    return [*files, safetensors(), safetensors()]


def mutated(sound: list[bytes], draw: random.Random) -> bytes:
    """One of the files, with some things wrong."""
    data = bytearray(draw.choice(sound))
    for _ in range(1 + min(8, int(draw.expovariate(0.7)))):
        at = draw.randrange(len(data) + 1)
        kind = draw.randrange(8)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            form = draw.choice("BHIQ")
            size = struct.calcsize(f"<{form}")
            at -= at % draw.choice((1, size))
            data[at : at + size] = struct.pack(f"<{form}", draw.choice(NUMBERS) % (1 << 8 * size))
        elif kind == 3:
            del data[at : at + draw.choice((1, 4, 8, 50))]
        elif kind == 4:
            data[at:at] = bytes(draw.choice((1, 4, 8, 50)))
        elif kind == 5:
            other = draw.choice(sound)
            begin = draw.randrange(len(other))
            data[at:at] = other[begin : begin + draw.choice((4, 8, 50, 1000))]
        elif kind == 6 and data[8:9] == b"{":
            data = reworded(data, draw)
        elif at < len(data):
            data[at] = draw.randrange(256)
    return bytes(data)


def reworded(data: bytearray, draw: random.Random) -> bytearray:
    """A file of safetensors with another word in its header, and mostly the right length of it."""
    length = int.from_bytes(data[:8], "little")
    text = data[8 : 8 + length].decode("latin-1")
    places = [found.span() for found in re.finditer(r'-?\d+|"\w*"|\[[^\[\]]*\]|\w+', text)] or [(0, 0)]
    first, last = draw.choice(places)
    text = text[:first] + draw.choice(WORDS) + text[last:]
    told = len(text) if draw.random() < 0.9 else length
    return bytearray(struct.pack("<Q", told % (1 << 64)) + text.encode("latin-1") + data[8 + length :])


def check(data: bytes, counted: bool = False) -> str:
    """Read a file; say how it went. AssertionError where it went as it must not."""
    if counted:
        tracemalloc.start()
    try:
        found = parsed(data, "the buffer")
        how, arrays = "read", list(found.values()) if isinstance(found, dict) else found
        assert sum(array.nbytes for array in arrays) <= 2 * len(data), "there are more elements than bytes"
    except MXNetError as error:
        how = str(error)
        assert WHERE.match(how), f"an error that does not say where: {how}"
        assert len(how) < 2000, "an error as long as a file"
        how = re.sub(r"\([\d, -]*\)|-?\d[\d,]*|['\"].*", "...", how, flags=re.DOTALL)
    finally:
        if counted:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert not counted or peak <= FACTOR * len(data) + BESIDES, f"{peak:,} bytes for a file of {len(data):,}"
    return how


def run(seed: int, numbers: range, keep: Path | None = None) -> Counter[str]:
    """Check files; count how it went."""
    sound, seen = corpus(), Counter[str]()
    for number in numbers:
        data = mutated(sound, random.Random(f"{seed} {number}"))
        try:
            seen[check(data, number % SAMPLED == 0)] += 1
        except BaseException:
            print(f"failed: --seed {seed} --only {number}", file=sys.stderr)
            if keep is not None:
                (keep / f"fuzzed-{seed}-{number}.bin").write_bytes(data)
            raise
    return seen


def guided(count: int) -> None:
    """Let Atheris choose the files."""
    import tempfile

    import atheris

    for name in ("_read_mxnet", "_read_safe", "_Reader", "_are_sizes", "_short"):
        from clnd.nd import saving

        if name != "_Reader":
            setattr(saving, name, atheris.instrument_func(getattr(saving, name)))
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(corpus()):
            Path(folder, str(number)).write_bytes(data)
        atheris.Setup([sys.argv[0], f"-runs={count}", "-max_len=4096", "-print_final_stats=1", folder], lambda data: check(data) and None)
        atheris.Fuzz()


def main() -> None:
    """Read the command line, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--guided", action="store_true")
    given = parser.parse_args()
    if given.guided:
        guided(given.count)
        return
    numbers = range(given.count) if given.only is None else range(given.only, given.only + 1)
    seen = run(given.seed, numbers, Path.cwd())
    for how, count in seen.most_common(40):
        print(f"{count:9} {how}")
    print(f"{sum(seen.values()):9} files, seed {given.seed}")


if __name__ == "__main__":
    main()
