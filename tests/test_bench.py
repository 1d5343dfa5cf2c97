"""The benchmark works, and finds a wrong result; never how fast anything is."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

TOOLS = Path(__file__).resolve().parent.parent / "tools"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("bench")


def run(*arguments):
    command = [sys.executable, str(TOOLS / "bench.py"), "--rounds", "1", "--least", "0", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}  # the tool's files find each other
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_as_a_command(tmp_path):
    now, before, picture = (tmp_path / name for name in ("now.json", "before.json", "ratios.png"))
    peer = ("--peer", f"numpy={sys.executable}")
    done = run("--rows", r"x \+ y of 2x2|transpose of", *peer, "--json", str(now))
    assert done.returncode == 0, done.stderr
    report = json.loads(now.read_text(encoding="utf-8"))
    assert len(report) == 2
    for row in report.values():
        assert row["ratios"]["numpy"] == pytest.approx(row["seconds"]["clnd"] / row["seconds"]["numpy"])
    report["transpose of 2048x1024"]["ratios"]["numpy"] = 1e-9
    before.write_text(json.dumps(report), encoding="utf-8")
    done = run("--rows", "transpose of", *peer, "--compare", str(before), "--plot", str(picture))
    assert done.returncode == 0, done.stderr
    assert "ratio before" in done.stdout and "0.00" in done.stdout
    assert picture.stat().st_size > 1000


def test_no_such_row():
    done = run("--rows", "no such row")
    assert done.returncode != 0 and "no row's name holds 'no such row'; there are: x + y of 2x2" in done.stderr


class Fake:
    """A library that computes what it is told."""

    def __init__(self, name, *results):
        self.name, self.results = name, results

    def ask(self, *, file, **_):
        np.savez(file, *self.results)


def test_a_wrong_result_is_found(bench):
    row = bench.Row("a row", 1, list, {}, tolerance=1e-4)
    right = np.array([1.0, 2])
    bench.check(row, Fake("clnd", right), [Fake("numpy", right * 1.00001)])
    for wrong in ([right * 1.001], [right * np.nan], [right[:1]], [right, right]):
        with pytest.raises(bench.Failure, match="a row"):
            bench.check(row, Fake("clnd", right), [Fake("numpy", *wrong)])


def test_growth(bench, tmp_path):
    clnd = bench.Peer("clnd", sys.executable)
    try:
        sizes = clnd.ask(do="sizes")
        times = {what: {str(size): clnd.ask(do="grow", what=what, size=size, least=0) for size in (10, 20)} for what in sizes}
    finally:
        clnd.close()
    assert len(times) == 3 and all(0 < seconds < 60 for found in times.values() for seconds in found.values())
    bench.plot_growth(times, str(tmp_path / "growth.png"))
    assert (tmp_path / "growth.png").stat().st_size > 1000


def test_every_row_names_a_form_for_clnd_and_a_peer(bench):
    names = [row.name for row in bench.ROWS]
    assert len(set(names)) == len(names) > 70
    assert all({"clnd", "torch"} <= row.setups.keys() for row in bench.ROWS)
