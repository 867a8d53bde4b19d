"""The formula of a non-uniform axis, worked out without running it.

HyperSpy evaluates such a formula with SymPy, which executes what it is given. Here it is read as plain arithmetic
on arrays of floating-point numbers: + - * / **, the functions below, x and the axis's own parameters. Anything else is
refused.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]

#: Longest formula that is looked at, and how deep its terms may be nested.
MAX_LENGTH = 500
MAX_DEPTH = 50

_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "exp": np.exp,
    "log": np.log,
    "ln": np.log,
    "sqrt": np.sqrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "Abs": np.abs,
}


def evaluate(expression: str, values: Mapping[str, Any]) -> Array:
    """Work out a formula.

    Parameters
    ----------
    expression : str
        For example ``a / (x + 1) + b``; ``^`` means power, as SymPy reads it.
    values : mapping of str to float or array
        What the names stand for; ``x`` is the array of positions.

    Returns
    -------
    array of float64
        In the shape of ``x``.

    Raises
    ------
    ValueError
        The formula is not plain arithmetic, or has no finite result.
    """
    if len(expression) > MAX_LENGTH:
        raise ValueError(f"the formula has more than {MAX_LENGTH} characters")
    try:
        tree = ast.parse(expression.replace("^", "**").strip(), mode="eval")
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError("the formula cannot be understood") from error
    known = {name: np.asarray(value, np.float64) for name, value in values.items()}
    with np.errstate(all="ignore"):
        result = np.broadcast_to(_value(tree.body, known, 0), known["x"].shape)
    if not np.isfinite(result).all():
        raise ValueError("the formula has no finite value at some points")
    return np.array(result)


def _value(node: ast.expr, known: Mapping[str, Any], depth: int) -> Any:
    """The value of one term."""
    if depth > MAX_DEPTH:
        raise ValueError(f"the formula is nested more than {MAX_DEPTH} deep")
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return np.float64(value)
        case ast.Name(id=name) if name in known:
            return known[name]
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand, known, depth + 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, known, depth + 1), _value(right, known, depth + 1))
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            return _FUNCTIONS[name](_value(argument, known, depth + 1))
    raise ValueError(f"'{ast.unparse(node)[:60]}' is not plain arithmetic")
