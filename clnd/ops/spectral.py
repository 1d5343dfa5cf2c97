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

    def _run(self, step: str, grid: Any, types: str, out: int, *arguments: Any, chirp: bool = False, real: bool = False) -> Any:
        """Launch a kernel that writes `out` complex numbers; gives their buffer."""
        storage = dtypes.INFO[self.dtype].storage
        letters = {"b": "buffer", "l": "long", "s": storage}
        kernel = self.device.kernel(
            "fourier",
            f"fourier_{step}{'_chirp' * chirp}{'_real' * real}__{self.dtype}",
            arguments=("buffer", *(letters[letter] for letter in types)),
            storage=storage,
            step=step,
            chirp=chirp,
            real=real,
        )
        buffer = self.device.allocate(out * 2 * self.dtype.itemsize)
        kernel(*grid, buffer, *arguments)
        return buffer

    def roots(self, n: int, size: int, sign: int, chirp: bool = False) -> Any:
        """The roots of unity, or a chirp of `size` numbers."""
        return self._run("roots", many(self.device, size, 1), "lll", size, n, size, sign, chirp=chirp)

    def product(self, x: Any, start: int, y: Any, n: int, stride: int, size: int, scale: float = 1.0) -> Any:
        """`size` products a line, of which only the first n are not zero. Lines of x are `stride` apart."""
        total = self.lines * size
        return self._run("product", many(self.device, total, 1), "blblllls", total, x, start, y, self.lines, n, stride, size, scale)

    def transform(self, data: Any, start: int, n: int, sign: int) -> Any:
        """Transform lines of length n: a pass for each factor (Stockham's algorithm; Cochran et al., What is the FFT?, 1967)."""
        total, done = self.lines * n, 1
        if n == 1:
            return self.product(data, start, self.roots(1, 1, 1), 1, 1, 1)
        if max(radices(n)) > LARGEST:
            return self._by_convolution(data, start, n, sign)
        roots = self.roots(n, n, sign)
        if self.together(n):
            return self.whole(data, 2 * start, n, sign, roots)
        for radix in radices(n):
            data = self._run("pass", many(self.device, total, radix), "blbllll", total, data, start, roots, self.lines, n, done, radix)
            start, done = 0, done * radix
        return data

    def together(self, n: int) -> bool:
        """Are lines of length n transformed whole, a vector of them at a time? On a CPU, where they fill vectors."""
        traits = self.device.traits
        fills = traits.schedule == "cpu" and traits.lanes > 1 and 2 * self.lines > traits.lanes
        return fills and 1 < n <= 2 * engine.ROUNDS and max(radices(n)) <= LARGEST and _rounds(n) <= 4 * engine.ROUNDS

    def whole(self, data: Any, start: int, n: int, sign: int, roots: Any, real: bool = False) -> Any:
        """Transform lines of length n in one launch."""
        traits = self.device.traits
        blocks = -(-self.lines // traits.lanes)
        items = max(min(blocks, 2 * traits.compute_units), -(-blocks * _rounds(n) // (4 * engine.ROUNDS)))
        scratch = self.device.allocate(items * 4 * n * traits.lanes * self.dtype.itemsize)
        arguments = (data, start, roots, scratch, self.lines, n, sign)
        return self._run("lines", ((items,), (1,)), "blbblls", self.lines * n, *arguments, real=real)

    def _by_convolution(self, data: Any, start: int, n: int, sign: int) -> Any:
        """j * k = (j * j + k * k - (j - k) ** 2) / 2 makes a convolution of it, of a length that is a power of two (Bluestein, 1970)."""
        size = 1 << (2 * n - 2).bit_length()
        chirp = self.roots(n, n, sign, chirp=True)
        filtered = _Lines(self.device, self.dtype, 1).transform(self.roots(n, size, -sign, chirp=True), 0, size, 1)
        data = self.transform(self.product(data, start, chirp, n, n, size), 0, size, 1)
        data = self.transform(self.product(data, 0, filtered, size, size, size, 1 / size), 0, size, -1)
        return self.product(data, 0, chirp, n, size, n)


def _rounds(n: int) -> int:
    """How many rounds of loops it takes to transform lines of length n whole."""
    return sum(n // 4 if radix == 4 else n * radix for radix in radices(n)) + 4 * n


def _fourier_back(dz: Value, inverse: bool, real: bool) -> Value:
    dx: Value = registry["fourier"](dz, inverse=not inverse)
    return _real_parts(dx) if real else dx


def _real_parts(lines: Value) -> Value:
    return registry["squeeze"](registry["slice_axis"](lines, axis=2, begin=0, end=1), axis=2)


@launched(grad=_fourier_back, numpy=None, methods=[])
def fourier(data: Value, *, inverse: bool = False, real: bool = False) -> Value:
    """Fourier transforms of lines of complex numbers, (lines, n, 2), or of `real` ones, (lines, n); the inverse is not divided by n."""
    lines, n = data.shape[:2]
    if not data.size:
        return Value((lines, n, 2), data.dtype, data.device)
    sign, kernels = 1 if inverse else -1, _Lines(data.device, data.dtype, lines)
    whole = kernels.together(n)
    if real and not whole:
        data = registry["stack"](data, registry["zeros_like"](data), axis=2)
    data = engine.gathered(data)
    result = Value((lines, n, 2), data.dtype, data.device)
    if whole:
        found = kernels.whole(data.buffer, data.offset, n, sign, kernels.roots(n, n, sign), real)
    else:
        data = engine.copied(data) if data.offset % 2 else data  # complex numbers are read as pairs
        found = kernels.transform(data.buffer, data.offset // 2, n, sign)
    return result.place(found, compact(result.shape))


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
    lines = fourier(registry["reshape"](data, shape=(prod(data.shape[:-1]), data.shape[-1])), real=True)
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
    lines = _real_parts(fourier(registry["reshape"](data, shape=(prod(shape[:-1]), shape[-1], 2)), inverse=True))
    return converted(registry["reshape"](lines, shape=shape), dtype)
