"""Time pieces of work that users would time, on clnd and beside it on other libraries.

    python tools/bench.py --peer torch=/path/to/python --peer mxnet=/path/to/python [--device intel] [--rows 'conv|LeNet'] [--rounds 3]
                          [--json now.json] [--compare before.json] [--plot ratios.png] [--growth | --memory]

A peer is a library (torch, mxnet, numpy, tinygrad) and a Python that imports it. Each row's results are compared with each peer's before
anything is timed. Then clnd and the peers take turns: a round times every one of them, a row's figure is the median of its rounds,
and a ratio is clnd's figure over the peer's, round by round, of which again the median is shown. On a machine that others use
only ratios say something. `tools/bench_rows.py` holds the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from bench_rows import ROWS, Row
from rich.table import Table

from clnd.console import console

HERE = Path(__file__).resolve().parent
LEAST = 0.1  # seconds that a row runs in a round, for each library


class Failure(Exception):
    """A library could not do a row, or computed something else."""


class Peer:
    """A library in a process of its own."""

    def __init__(self, name: str, python: str, **environment: str) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [python, str(HERE / "bench_rows.py"), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def ask(self, **request: Any) -> Any:
        """The process's answer; Failure where it has none."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise Failure(f"{self.name}, {request}: {answer['error']}")
        return answer["answer"]

    def close(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


def check(row: Row, clnd: Peer, peers: list[Peer]) -> None:
    """Raise Failure where a peer computes something else than clnd."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for peer in (clnd, *peers):
            file = f"{folder}/{peer.name}.npz"
            peer.ask(do="check", row=row.name, file=file)
            with np.load(file) as results:
                found[peer.name] = [results[key] for key in results.files]
    ours = found.pop("clnd")
    for name, theirs in found.items():
        if len(ours) != len(theirs):
            raise Failure(f"{row.name}: clnd gives {len(ours)} results, {name} {len(theirs)}")
        for i, (a, b) in enumerate(zip(ours, theirs)):
            a, b = a.reshape(-1).astype("float64"), b.reshape(-1).astype("float64")  # a scalar may have one axis in MXNet
            worst = np.max(np.abs(a - b)) if a.shape == b.shape else np.inf
            if not worst <= row.tolerance * max(1e-3, np.max(np.abs(b))):
                raise Failure(f"{row.name}: result {i} differs from {name}'s by {worst}")


def measure(rows: list[Row], clnd: Peer, peers: list[Peer], rounds: int, least: float) -> dict[str, dict[str, Any]]:
    """For each row its goal, seconds by library, and ratios by peer; or its error."""
    report: dict[str, dict[str, Any]] = {}
    table = Table("", "clnd", *(column for peer in peers for column in (peer.name, "ratio")), "goal")
    for row in rows:
        present = [peer for peer in peers if peer.name in row.setups]
        times: dict[str, list[float]] = {peer.name: [] for peer in (clnd, *present)}
        try:
            check(row, clnd, present)
            for _ in range(rounds):
                for peer in (clnd, *present):
                    times[peer.name].append(peer.ask(do="time", row=row.name, least=least))
        except Failure as failure:
            report[row.name] = {"error": str(failure)}
            table.add_row(row.name, "failed")
            print(failure, file=sys.stderr)
            continue
        ratios = {peer.name: statistics.median(a / b for a, b in zip(times["clnd"], times[peer.name])) for peer in present}
        medians = {name: statistics.median(found) for name, found in times.items()}
        report[row.name] = {"goal": row.goal, "seconds": medians, "ratios": ratios}
        cells = [shown(medians["clnd"])]
        for peer in peers:
            cells += [shown(medians[peer.name]), f"{ratios[peer.name]:.2f}"] if peer in present else ["", ""]
        missed = " missed" if ratios.get("torch", 0) > row.goal else ""
        table.add_row(row.name, *cells, f"<= {row.goal}{missed}")
        print(f"{row.name}: {cells[0]}" + "".join(f", {name} {ratio:.2f}" for name, ratio in ratios.items()), file=sys.stderr)
    show(table)
    return report


def show(table: Table) -> None:
    console().print(table)


def shown(seconds: float) -> str:
    """Seconds in the unit that reads best."""
    unit, factor = next(((u, f) for u, f in (("s", 1), ("ms", 1e3)) if seconds * f >= 1), ("us", 1e6))
    return f"{seconds * factor:.3g} {unit}"


def grow(clnd: Peer, least: float) -> dict[str, dict[str, float]]:
    """Time each unit of work that grows; nothing may cost more a unit when there is more of it."""
    report: dict[str, dict[str, float]] = {}
    table = Table("what grows", "how many", "time", "time a unit")
    for what, sizes in clnd.ask(do="sizes").items():
        report[what] = {}
        for size in sizes:
            seconds = clnd.ask(do="grow", what=what, size=size, least=least)
            report[what][str(size)] = seconds
            table.add_row(what, f"{size:,}", shown(seconds), f"{seconds / size * 1e9:.4g} ns")
    show(table)
    return report


def remember(rows: list[Row], clnd: Peer, peers: list[Peer]) -> dict[str, dict[str, Any]]:
    """For each row the most memory that its arrays take at one time while it is worked, in bytes.

    What is there before, data and parameters, counts; clnd's has old gradients among it, which PyTorch's optimizer gives back first.
    clnd's is what its pool has given out, in blocks, and beside it what the pool holds, with blocks that are free. PyTorch's is the arrays
    of the row, and what its profiler sees its allocator give and take back.
    """
    torch = next((peer for peer in peers if peer.name == "torch"), None)
    table = Table("", "clnd", "with free blocks", "torch", "ratio")
    report: dict[str, dict[str, Any]] = {}
    for row in rows:
        ours, cells = clnd.ask(do="memory", row=row.name), ["", ""]
        report[row.name] = {"clnd": ours}
        if torch is not None:
            theirs = report[row.name]["torch"] = torch.ask(do="memory", row=row.name)
            report[row.name]["ratio"] = ours["peak"] / theirs["peak"]
            cells = [f"{theirs['peak'] / 1e6:,.2f} MB", f"{ours['peak'] / theirs['peak']:.2f}"]
        table.add_row(row.name, f"{ours['peak'] / 1e6:,.2f} MB", f"{ours['held'] / 1e6:,.2f} MB", *cells)
    show(table)
    return report


def compare(now: dict[str, Any], before: dict[str, Any]) -> None:
    """How each row's ratios have changed since an earlier run."""
    table = Table("", "library", "ratio before", "ratio now", "change")
    for name, row in now.items():
        for peer, ratio in row.get("ratios", {}).items():
            old = before.get(name, {}).get("ratios", {}).get(peer)
            if old is not None:
                table.add_row(name, peer, f"{old:.2f}", f"{ratio:.2f}", f"{(ratio / old - 1) * 100:+.0f} %")
    show(table)


def plot(report: dict[str, dict[str, Any]], file: str) -> None:
    """Draw each row's ratios, and its goal."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    names = list(report)
    figure, axes = pyplot.subplots(figsize=(10, 1 + 0.25 * len(names)))
    for peer in sorted({peer for row in report.values() for peer in row["ratios"]}):
        places = [i for i, name in enumerate(names) if peer in report[name]["ratios"]]
        axes.scatter([report[names[i]]["ratios"][peer] for i in places], places, label=peer)
    axes.scatter([report[name]["goal"] for name in names], range(len(names)), marker="|", color="black", label="goal, to PyTorch")
    axes.set(xscale="log", xlabel="clnd's time over the peer's", yticks=range(len(names)))
    axes.set_yticklabels(names)
    axes.invert_yaxis()
    axes.axvline(1, color="grey", linewidth=0.5)
    axes.legend()
    figure.savefig(file, bbox_inches="tight")


def plot_growth(report: dict[str, dict[str, float]], file: str) -> None:
    """Draw the time a unit of each work over how many there are."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    for what, times in report.items():
        axes.plot([int(size) for size in times], [seconds / int(size) * 1e9 for size, seconds in times.items()], marker="o", label=what)
    axes.set(xscale="log", yscale="log", xlabel="how many", ylabel="ns a unit")
    axes.legend()
    figure.savefig(file, bbox_inches="tight")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", action="append", default=[], metavar="LIBRARY=PYTHON", help="torch, mxnet, numpy or tinygrad")
    parser.add_argument("--device", help="clnd's device, as in CLND_DEVICES")
    parser.add_argument("--rows", default="", metavar="PATTERN", help="a regular expression: only rows whose names hold it")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--least", type=float, default=LEAST, metavar="SECONDS", help="how long a row runs in a round")
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--compare", metavar="FILE", help="an earlier run's --json")
    parser.add_argument("--plot", metavar="FILE", help="draw the ratios, or the growth (needs matplotlib)")
    parser.add_argument("--growth", action="store_true", help="time work that grows instead of the rows")
    parser.add_argument("--memory", action="store_true", help="tell the most memory that each row takes instead of its time")
    arguments = parser.parse_args()
    before = json.loads(Path(arguments.compare).read_text(encoding="utf-8")) if arguments.compare else None
    rows = [row for row in ROWS if re.search(arguments.rows, row.name)]
    if not rows:
        raise SystemExit(f"no row's name holds {arguments.rows!r}; there are: {', '.join(row.name for row in ROWS)}")
    clnd = Peer("clnd", sys.executable, **({"CLND_DEVICES": arguments.device} if arguments.device else {}))
    peers = [Peer(*peer.split("=", 1)) for peer in arguments.peer]
    try:
        report: dict[str, Any]
        if arguments.growth:
            report = grow(clnd, arguments.least)
        elif arguments.memory:
            report = remember(rows, clnd, peers)
        else:
            report = measure(rows, clnd, peers, arguments.rounds, arguments.least)
    finally:
        for peer in (clnd, *peers):
            peer.close()
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(report, indent=1), encoding="utf-8")
    if before:
        compare(report, before)
    if arguments.plot and arguments.growth:
        plot_growth(report, arguments.plot)
    elif arguments.plot:
        plot({name: row for name, row in report.items() if "ratios" in row}, arguments.plot)
    if any("error" in row for row in report.values()):
        raise SystemExit("rows failed")


if __name__ == "__main__":
    main()
