"""What the tests of faults share: little memory, and drivers that fail when they are told to."""

import gc

import pytest

from clnd import engine, nd


@pytest.fixture
def lazily():
    """Let work wait, as it does where CLND_EAGER is not set."""
    with engine.eager(False):
        yield


@pytest.fixture
def short_of_memory(monkeypatch):
    """Leave so many bytes to the device of an array, besides those that are used."""

    def short(array, nbytes):
        nd.waitall()
        gc.collect()
        pool = array.context.device.memory
        pool.drop_free()
        monkeypatch.setattr(pool, "most", pool.used + nbytes)
        return pool

    return short
