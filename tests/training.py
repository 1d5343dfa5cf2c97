"""Trains a small network for a few steps, from a seed, and writes its weights to the file that is named."""

import sys

import numpy as np

import clnd as mx
from clnd import autograd, nd

RATE = 0.5


def weights(steps: int = 20) -> np.ndarray:
    """The weights after these steps."""
    mx.random.seed(3)
    data, labels = nd.random.normal(shape=(64, 16)), nd.random.randint(0, 10, shape=(64,)).astype("float32")
    parameters = [nd.random.normal(scale=0.1, shape=shape) for shape in ((32, 16), (32,), (10, 32), (10,))]
    for parameter in parameters:
        parameter.attach_grad()
    for _ in range(steps):
        rows = nd.random.shuffle(nd.arange(64))[:32]
        with autograd.record():
            hidden = nd.relu(nd.FullyConnected(nd.take(data, rows), *parameters[:2], num_hidden=32))
            loss = nd.softmax_cross_entropy(nd.FullyConnected(hidden, *parameters[2:], num_hidden=10), nd.take(labels, rows)) / 32
        loss.backward()
        for parameter in parameters:
            parameter[:] = parameter - RATE * parameter.grad
    return np.concatenate([parameter.asnumpy().ravel() for parameter in parameters])


if __name__ == "__main__":
    np.save(sys.argv[1], weights())
