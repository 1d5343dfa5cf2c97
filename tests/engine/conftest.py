"""What the tests of the engine share: each runs lazily, on the first CPU and the first GPU context that there are."""

import pytest

import measures
from clnd import engine


@pytest.fixture(autouse=True, params=measures.CONTEXTS, ids=str)
def context(request):
    with request.param, engine.eager(False):
        yield request.param


@pytest.fixture
def device(context):
    return context.device
