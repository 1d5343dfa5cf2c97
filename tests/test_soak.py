"""The soak works, and finds what grows; what grows in a run of half an hour it says when it is run for so long."""

import importlib
from pathlib import Path

import pytest

from clnd import autograd


@pytest.fixture
def soak(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "tools"))
    return importlib.import_module("soak")


def test_a_short_run(soak):
    lines = []
    samples = soak.run(soak.Small(0), 0, 12, lines.append)
    assert [sample.steps for sample in samples] == list(range(1, 13))
    assert len(lines) == 13
    assert all(sample.held >= sample.used >= 0 and sample.step >= 0 for sample in samples)


def test_the_errors_that_it_causes(soak):
    for work, kind in soak.ERRORS:
        with pytest.raises(kind):
            work()
        assert not autograd.is_recording()


@pytest.mark.parametrize("name", ["step", "resident", "held", "used", "handles", "threads"])
def test_what_grows_is_found(soak, name):
    level = [soak.Sample(float(i), i, 5.0 + i % 2, 400.0, 16.0, 2.0, 7, 6, 20) for i in range(60)]
    assert soak.grown(level) == []
    first = [sample._replace(**{name: 10 * getattr(sample, name)}) for sample in level[:10]]
    assert soak.grown(first + level[10:]) == [], "what the beginning takes does not count"
    more = [sample._replace(**{name: getattr(sample, name) * (1 + sample.steps / 10)}) for sample in level]
    assert len(soak.grown(more)) == 1 and soak.grown(more)[0].startswith(f"{name} went from")
