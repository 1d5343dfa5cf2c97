"""The errors that clnd raises: one base, combined with Python's own type where Python has the right one."""

from __future__ import annotations

import re

__all__ = ["DTypeError", "DeviceError", "ExportError", "IndexOutOfRange", "MXNetError", "ShapeError"]


class MXNetError(RuntimeError):
    """Base of every error that clnd raises.

    Examples
    --------
    >>> issubclass(MXNetError, RuntimeError)
    True
    """


class ShapeError(MXNetError, ValueError):
    """Shapes do not fit together, or do not fit the operator.

    Examples
    --------
    >>> issubclass(ShapeError, (MXNetError, ValueError))
    True
    """


class DTypeError(MXNetError, TypeError):
    """An operator was given a dtype that it does not take.

    Examples
    --------
    >>> issubclass(DTypeError, (MXNetError, TypeError))
    True
    """


class IndexOutOfRange(MXNetError, IndexError):
    """An index lies outside its axis.

    Examples
    --------
    >>> issubclass(IndexOutOfRange, (MXNetError, IndexError))
    True
    """


class DeviceError(MXNetError):
    """There is no such device, no usable one, or the device lacks what was asked of it.

    Examples
    --------
    >>> issubclass(DeviceError, MXNetError)
    True
    """


class ExportError(MXNetError, BufferError):
    """The elements of an array cannot be handed to another library as it wants them.

    Examples
    --------
    >>> issubclass(ExportError, (MXNetError, BufferError))
    True
    """


class MissingNameError(MXNetError, AttributeError):
    """A name that MXNet has and clnd leaves out, or that nobody has."""


_LEFT_OUT = {
    r"sparse|csr_.*|row_sparse_.*|cast_storage|sparse_.*": "clnd's arrays are dense: take, Embedding and where pick rows of them",
    r"sym|symbol|mod|module|model|executor|rnn|visualization|viz": "clnd has no symbols: call nd's operators under autograd.record()",
    r"_?(contrib_)?(de|re)?quantized?(_.*)?|calibrate_.*|amp_.*": "clnd has no quantised operators: astype('float16') halves the memory",
}


def missing_name(space: str, name: str) -> MissingNameError:
    """The error for a name that a namespace of clnd has not, with what to use instead."""
    for pattern, advice in _LEFT_OUT.items():
        if re.fullmatch(pattern, name):
            return MissingNameError(f"{space} has no {name}: {advice}")
    return MissingNameError(f"{space} has no {name}")
