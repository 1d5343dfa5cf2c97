"""Shapes and patches: what the table of operators cannot say. Values and derivatives are in cases_shapes.py."""

import pytest

import clnd as mx
from clnd import nd


@pytest.mark.parametrize(
    ("geometry", "text"),
    [
        ({"kernel": (2, 2)}, r"kernel \(2, 2\) must have a number of at least 1 for each of the 1 spatial axes"),
        ({"kernel": 5}, r"kernel \(5,\) with dilate \(1,\) is larger than the array, \(4,\) with pad \(0,\)"),
        ({"kernel": 2, "stride": 0}, r"stride \(0,\) must have"),
        ({"kernel": 2, "pad": -1}, r"pad \(-1,\) must have"),
        ({"kernel": 2.5}, "kernel must be an int or several, not 2.5"),
    ],
)
def test_patches_that_there_are_not(geometry, text):
    with pytest.raises(mx.MXNetError, match=f"im2col: {text}"):
        nd.im2col(nd.zeros((1, 2, 4)), **geometry)
    with pytest.raises(mx.MXNetError, match=f"col2im: {text}"):
        nd.col2im(nd.zeros((1, 4, 3)), output_size=(4,), **geometry)


def test_arrays_without_patches():
    with pytest.raises(mx.MXNetError, match="im2col: data of shape"):
        nd.im2col(nd.zeros((2, 4)), kernel=2)
    with pytest.raises(mx.MXNetError, match=r"they must be \(batch, a multiple of 2, 3\)"):
        nd.col2im(nd.zeros((1, 2, 4)), output_size=4, kernel=2)
