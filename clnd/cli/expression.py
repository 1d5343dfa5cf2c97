"""Expressions typed at the command line: parsed into calls of operators, never evaluated as Python."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.UAdd: lambda x: x}
_COMPARISON: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_ALLOWED = "names, numbers, + - * / % **, comparisons, and operators called as tanh(x) or sum(x, axis=1)"


class ExpressionError(ValueError):
    """An expression says what it must not, or what cannot be; the message shows where."""

    def __init__(self, text: str, offset: int, problem: str) -> None:
        super().__init__(f"{text}\n{' ' * offset}^ {problem}")


@dataclass(frozen=True)
class Expression:
    """An expression over arrays.

    Attributes
    ----------
    text
        As it was typed.
    tree
        As Python's parser sees it.
    names
        Its arrays, in the order of their first use.
    """

    text: str
    tree: ast.expr
    names: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Parse an expression.

        Raises
        ------
        ExpressionError
            When it is none.

        Examples
        --------
        >>> Expression.parse("tanh(x * y + 1)").names
        ('x', 'y')
        """
        text = " ".join(text.split())
        try:
            tree = ast.parse(text, mode="eval").body
        except SyntaxError as error:
            raise ExpressionError(text, max(0, (error.offset or 1) - 1), f"this is no expression: {error.msg}") from None
        except (ValueError, RecursionError, MemoryError) as error:
            raise ExpressionError(text[:60], 0, f"this is no expression: {error or 'it is nested too deeply'}") from None
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        named = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in called]
        return cls(text, tree, tuple(dict.fromkeys(node.id for node in sorted(named, key=lambda node: node.col_offset))))

    def evaluate(self, arrays: Mapping[str, Any], operators: Mapping[str, Callable[..., Any]]) -> Any:
        """Call the operators.

        Parameters
        ----------
        arrays
            What each of `names` stands for.
        operators
            The functions that may be called.

        Raises
        ------
        ExpressionError
            At the first part that is not allowed, or that its operator refuses.
        """
        try:
            return self._value(self.tree, arrays, operators)
        except RecursionError:
            raise ExpressionError(self.text[:60], 0, "this is nested too deeply") from None

    def _fail(self, node: ast.AST, problem: str) -> ExpressionError:
        column = getattr(node, "col_offset", 0)  # in bytes of UTF-8
        return ExpressionError(self.text, len(self.text.encode()[:column].decode(errors="replace")), problem)

    def _value(self, node: ast.expr, arrays: Mapping[str, Any], operators: Mapping[str, Callable[..., Any]]) -> Any:
        def value(part: ast.expr) -> Any:
            return self._value(part, arrays, operators)

        match node:
            case ast.Name(id=name):
                if name not in arrays:
                    why = "is an operator: call it" if name in operators else f"has no shape: --shape {name}=..."
                    raise self._fail(node, f"{name} {why}")
                return arrays[name]
            case ast.Constant(value=number) if type(number) in (int, float):
                return number
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                return self._call(node, _BINARY[type(op)], [value(left), value(right)], {})
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                return self._call(node, _UNARY[type(op)], [value(operand)], {})
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _COMPARISON:
                return self._call(node, _COMPARISON[type(op)], [value(left), value(right)], {})
            case ast.Call(func=ast.Name(id=name)):
                if name not in operators:
                    raise self._fail(node, f"there is no operator {name}")
                attributes = {keyword.arg: self._literal(keyword) for keyword in node.keywords}
                return self._call(node, operators[name], [value(part) for part in node.args], attributes)
        raise self._fail(node, f"this is not understood; allowed are {_ALLOWED}")

    def _literal(self, keyword: ast.keyword) -> Any:
        if keyword.arg is None:
            raise self._fail(keyword.value, "an attribute is given as name=value")
        try:
            return ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            problem = f"the attribute {keyword.arg} must be a literal: a number, text, True, None or a tuple"
            raise self._fail(keyword.value, problem) from None

    def _call(self, node: ast.expr, function: Callable[..., Any], operands: list[Any], attributes: dict[str | None, Any]) -> Any:
        if all(isinstance(x, int | float) for x in operands):  # as floats: 9**9**9 in integers would never end
            operands = [float(x) for x in operands]
        try:
            return function(*operands, **attributes)  # type: ignore[arg-type]
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, ExpressionError | RecursionError):
                raise
            said = "this number is too large" if isinstance(error, OverflowError) else str(error)
            raise self._fail(node, said or type(error).__name__) from error
