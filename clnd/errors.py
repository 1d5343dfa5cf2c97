"""The errors that clnd raises: one base, combined with Python's own type where Python has the right one."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

__all__ = ["DTypeError", "DeviceError", "ExportError", "IndexOutOfRange", "MXNetError", "ShapeError"]


_ROOM = 200  # letters


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


class _Unfit(ShapeError, DTypeError):
    """Arguments that no more fitting check refused: whoever expects Python's error for them gets it."""


# What Python raises where arguments make no sense. Errors of clnd's are among them by their second base.
RAW = (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError)


def shown(value: object) -> str:
    """A value in an error message, as far as there is room for it."""
    text = repr(value)
    return text if len(text) <= _ROOM else f"{text[:_ROOM]}... ({len(text):,} letters)"


def refused(name: str, error: Exception, arguments: Mapping[str, object]) -> Exception:
    """What to raise for an error of Python's that came out of the function `name`: one that says what was given."""
    given = ", ".join(f"{word}={shown(value)}" for word, value in arguments.items()) or "these arguments"
    said = str(error) or type(error).__name__
    return _Unfit(f"{name} cannot be called with {given}: {said[:_ROOM]}")


Function = TypeVar("Function", bound=Callable[..., Any])


def guarded(function: Function) -> Function:
    """Have a function raise clnd's errors, which name it, where Python's come out of it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except MXNetError:
            raise
        except RAW as error:
            raise refused(function.__name__, error, {**dict(zip(names, args, strict=False)), **kwargs}) from error

    names = tuple(inspect.signature(function).parameters)
    return call  # type: ignore[return-value]


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
