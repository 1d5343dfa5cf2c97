"""The errors that clnd raises: one base, combined with Python's own type where Python has the right one."""

from __future__ import annotations

__all__ = ["DTypeError", "DeviceError", "IndexOutOfRange", "MXNetError", "ShapeError"]


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
