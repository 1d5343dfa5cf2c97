"""Fourier transforms of any length."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from clnd import engine
from clnd.engine import Value, dtypes
from clnd.engine.layout import compact
from clnd.errors import ShapeError

from .declare import composed, converted, launched, registry
from .sampling import many, wide

LARGEST = 128  # factor of a length that is summed up as it is; lengths with a larger one become products of sequences


def radices(n: int) -> list[int]:
    """The prime factors of n, with fours for pairs of twos.

    Examples
    --------
    >>> radices(360), radices(1)
    ([4, 2, 3, 3, 5], [])
    """
    found, radix = [], 4
    while n > 1:
        while n % radix == 0:
            found.append(radix)
            n //= radix
        radix = {4: 2, 2: 3}.get(radix, radix + 2)
        if radix * radix > n > 2:
            radix = n
    return found


class _Lines:
    """The kernels of templates/fourier.cl.mako for some lines of one dtype."""

    def __init__(self, device: Any, dtype: np.dtype[Any], lines: int) -> None:
        self.device, self.dtype, self.lines = device, dtype, lines

    def _run(self, step: str, size: int, types: str, rounds: int, out: int, *arguments: Any, chirp: bool = False) -> Any:
        """Launch a kernel that writes `out` complex numbers; gives their buffer."""
        storage = dtypes.INFO[self.dtype].storage
        letters = {"b": "buffer", "l": "long", "s": storage}
        kernel = self.device.kernel(
            "fourier",
            f"fourier_{step}{'_chirp' * chirp}__{self.dtype}",
            arguments=("buffer", *(letters[letter] for letter in types)),
            storage=storage,
            step=step,
            chirp=chirp,
        )
        buffer = self.device.allocate(out * 2 * self.dtype.itemsize)
        kernel(*many(self.device, size, rounds), buffer, *arguments)
        return buffer

    def roots(self, n: int, size: int, sign: int, chirp: bool = False) -> Any:
        """The roots of unity, or a chirp of `size` numbers."""
        return self._run("roots", size, "lll", 1, size, n, size, sign, chirp=chirp)

    def product(self, x: Any, start: int, y: Any, n: int, stride: int, size: int, scale: float = 1.0) -> Any:
        """`size` products a line, of which only the first n are not zero. Lines of x are `stride` apart."""
        total = self.lines * size
        return self._run("product", total, "blblllls", 1, total, x, start, y, self.lines, n, stride, size, scale)

    def transform(self, data: Any, start: int, n: int, sign: int) -> Any:
        """Transform lines of length n: a pass for each factor (Stockham's algorithm; Cochran et al., What is the FFT?, 1967)."""
        total, done = self.lines * n, 1
        if n == 1:
            return self.product(data, start, self.roots(1, 1, 1), 1, 1, 1)
        if max(radices(n)) > LARGEST:
            return self._by_convolution(data, start, n, sign)
        roots = self.roots(n, n, sign)
        for radix in radices(n):
            data = self._run("pass", total, "blbllll", radix, total, data, start, roots, self.lines, n, done, radix)
            start, done = 0, done * radix
        return data

    def _by_convolution(self, data: Any, start: int, n: int, sign: int) -> Any:
        """j * k = (j * j + k * k - (j - k) ** 2) / 2 makes a convolution of it, of a length that is a power of two (Bluestein, 1970)."""
        size = 1 << (2 * n - 2).bit_length()
        chirp = self.roots(n, n, sign, chirp=True)
        filtered = _Lines(self.device, self.dtype, 1).transform(self.roots(n, size, -sign, chirp=True), 0, size, 1)
        data = self.transform(self.product(data, start, chirp, n, n, size), 0, size, 1)
        data = self.transform(self.product(data, 0, filtered, size, size, size, 1 / size), 0, size, -1)
        return self.product(data, 0, chirp, n, size, n)


@launched(grad=lambda dz, inverse: registry["fourier"](dz, inverse=not inverse), numpy=None, methods=[])
def fourier(data: Value, *, inverse: bool = False) -> Value:
    """Fourier transforms of lines of complex numbers, (lines, n, 2); the inverse is not divided by n. Each is the other's gradient."""
    data = engine.gathered(data)
    if data.offset % 2:
        data = engine.copied(data)  # complex numbers are read as pairs
    lines, n, _ = data.shape
    result = Value(data.shape, data.dtype, data.device)
    if result.size == 0:
        return result
    return result.place(
        _Lines(data.device, data.dtype, lines).transform(data.buffer, data.offset // 2, n, 1 if inverse else -1), compact(data.shape)
    )


def _pairs(data: Value) -> Value:
    return registry["reshape"](data, shape=(prod(data.shape[:-2]), *data.shape[-2:]))


@composed(numpy=None, methods=[])
def fft(data: Value, *, compute_size: int = 128) -> Value:
    """The Fourier transforms of the lines along the last axis: of n real numbers, n complex ones, each its real and its imaginary part.

    Of any length, and any number of axes before. `compute_size`, how many lines other implementations transform at a time, changes nothing.

    >>> from clnd import nd
    >>> nd.contrib.fft(nd.array([[1, 2, 3]])).asnumpy().round(3)
    array([[ 6.   ,  0.   , -1.5  ,  0.866, -1.5  , -0.866]], dtype=float32)
    """
    if not data.ndim:
        raise ShapeError("fft: an array of no axes has no lines to transform")
    (data,), dtype = wide(data)
    lines = fourier(_pairs(registry["stack"](data, registry["zeros_like"](data), axis=data.ndim)))
    return converted(registry["reshape"](lines, shape=(*data.shape[:-1], 2 * data.shape[-1])), dtype)


@composed(numpy=None, methods=[])
def ifft(data: Value, *, compute_size: int = 128) -> Value:
    """The real parts of the inverse Fourier transforms of what `fft` makes, times their length n: what is divided by n is up to the caller.

    >>> from clnd import nd
    >>> (nd.contrib.ifft(nd.contrib.fft(nd.array([[1, 2, 3]]))) / 3).asnumpy().round(3)
    array([[1., 2., 3.]], dtype=float32)
    """
    if not data.ndim or data.shape[-1] % 2:
        raise ShapeError(f"ifft: the last axis holds pairs of a real and an imaginary part, but the shape is {data.shape}")
    (data,), dtype = wide(data)
    shape = (*data.shape[:-1], data.shape[-1] // 2)
    lines = registry["slice_axis"](fourier(_pairs(registry["reshape"](data, shape=(*shape, 2))), inverse=True), axis=2, begin=0, end=1)
    return converted(registry["reshape"](lines, shape=shape), dtype)
