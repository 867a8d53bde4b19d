"""Making a reader's signal dictionary safe to build a signal from.

HyperSpy trusts what it is given: it imports the module named by ``package``, evaluates the formula of a functional
axis, builds a signal from every entry whose name begins with ``_sig_``, sets whatever attribute the file names, and
unpickles stored models when they are restored. A file from anywhere must not decide any of that.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diadem.errors import ReaderError

#: Attributes of a signal that a file may set.
_ATTRIBUTES = frozenset({"_lazy", "ragged", "learning_results"})
#: Prefixes by which HyperSpy marks what is to be turned into an object.
_SIGNAL, _AXIS, _AXES = "_sig_", "_hspy_Axis_", "_hspy_AxesManager_"
#: Names that HyperSpy's metadata tree uses for itself.
_RESERVED = frozenset({"_double_lines", "_lazy_attributes"})
#: How deep metadata may be nested; HyperSpy walks it by recursion.
_MAX_DEPTH = 100
#: Longest axis that is not that of an array: HyperSpy makes an array of its positions.
_MAX_AXIS = 1 << 27


class Neutraliser:
    """Copies signal dictionaries, leaving out what could run code; `notes` says what, in plain words."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def signal(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """A dictionary for `hyperspy.io.dict2signal` from what a reader returned.

        `mapping` and `post_process` are the reader's own functions and are kept. Raises `ReaderError` where its
        metadata is nested too deeply.
        """
        kept = self._signal(given, 0)
        kept.update({key: given[key] for key in ("mapping", "post_process") if given.get(key)})
        return kept

    def _signal(self, given: Mapping[str, Any], depth: int) -> dict[str, Any]:
        data = given["data"]
        kept: dict[str, Any] = {"data": data}
        if "axes" in given:
            kept["axes"] = [self._axis(axis, n) for axis, n in zip(given["axes"], data.shape, strict=False)]
        for name in ("metadata", "original_metadata"):
            kept[name] = self._tree(given.get(name) or {}, depth + 1)
        attributes = {key: value for key, value in (given.get("attributes") or {}).items() if key in _ATTRIBUTES}
        results = attributes.pop("learning_results", None)
        if isinstance(results, Mapping):
            attributes["learning_results"] = {key: value for key, value in results.items() if not key.startswith("_")}
        if attributes:
            kept["attributes"] = attributes
        if given.get("models"):
            self.notes.append("models stored with the signal were left out: restoring one can run code")
        return kept

    # -- metadata --------------------------------------------------------------------------------------------------

    def _tree(self, given: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        """A copy of a metadata tree in which every entry that becomes an object is harmless."""
        if depth > _MAX_DEPTH:
            raise ReaderError(f"its metadata is nested more than {_MAX_DEPTH} deep")
        kept: dict[str, Any] = {}
        for name, value in given.items():
            key = str(name)
            if key in _RESERVED or key.startswith("__"):
                continue
            if key.startswith((_SIGNAL, _AXIS, _AXES)):
                kept.update(self._object(key, value, depth))
            else:
                kept[key] = self._value(value, depth)
        return kept

    def _value(self, value: Any, depth: int) -> Any:
        if isinstance(value, Mapping):
            return self._tree(value, depth + 1)
        if type(value) in (list, tuple):
            return type(value)(self._value(item, depth + 1) for item in value)
        return value

    def _object(self, key: str, value: Any, depth: int) -> dict[str, Any]:
        """An entry that HyperSpy turns into a signal or axes; as plain data where it cannot be one."""
        if key.startswith(_SIGNAL) and isinstance(value, Mapping) and hasattr(value.get("data"), "shape"):
            return {key: self._signal(value, depth + 1)}
        if key.startswith(_AXES) and isinstance(value, list) and all(isinstance(axis, Mapping) for axis in value):
            return {key: [self._axis(axis, _length(axis)) for axis in value]}
        if key.startswith(_AXIS) and isinstance(value, Mapping):
            return {key: self._axis(value, _length(value))}
        plain = key.removeprefix(_SIGNAL).removeprefix(_AXIS).removeprefix(_AXES)
        return {plain: self._value(value, depth)} if plain else {}

    # -- axes ------------------------------------------------------------------------------------------------------

    def _axis(self, given: Mapping[str, Any], length: int) -> dict[str, Any]:
        """An axis that HyperSpy builds without evaluating anything."""
        axis = {str(key): value for key, value in given.items()}
        if "axis" in axis or "expression" not in axis:
            axis.pop("expression", None)
            return axis
        common: dict[str, Any] = {key: axis[key] for key in ("name", "units", "navigate", "is_binned") if key in axis}
        try:
            points = _points(axis, length)
        except (ValueError, TypeError, OverflowError) as error:
            self.notes.append(f"an axis given by a formula was replaced by its index: {error}")
            return {**common, "size": length, "scale": 1.0, "offset": 0.0}
        self.notes.append("an axis given by a formula was replaced by its values")
        return {**common, "axis": points}


def detached(given: dict[str, Any]) -> dict[str, Any]:
    """A reader's dictionary whose metadata holds its arrays in memory: some readers leave views of side files there."""
    return {key: _in_memory(value) if key.endswith("metadata") else value for key, value in given.items()}


def _in_memory(value: Any) -> Any:
    if isinstance(value, np.memmap):
        return np.array(value)
    if type(value) is dict:
        return {key: _in_memory(item) for key, item in value.items()}
    return [_in_memory(item) for item in value] if type(value) is list else value


def _length(axis: Mapping[str, Any]) -> int:
    """The size that an axis states, within reason."""
    size = axis.get("size", 0)
    return int(size) if isinstance(size, (int, np.integer)) and 0 <= size <= _MAX_AXIS else 0


def _points(axis: Mapping[str, Any], length: int) -> Any:
    """The positions along an axis that is given by a formula."""
    x = axis.get("x", {})
    if not isinstance(x, Mapping):
        raise TypeError("its x is not an axis")
    if "axis" in x:
        positions = np.asarray(x["axis"], np.float64)
    else:
        positions = float(x.get("offset", 0.0)) + float(x.get("scale", 1.0)) * np.arange(length, dtype=np.float64)
    if positions.shape != (length,):
        raise ValueError("its x has another length")
    if not isinstance(axis["expression"], str):
        raise TypeError("its formula is not text")
    values = {name: value for name, value in axis.items() if isinstance(value, (int, float, np.number))}
    return evaluate(axis["expression"], {**values, "x": positions})


# -- the formula of a non-uniform axis --------------------------------------------------------------------------------

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
    """Work out a formula, such as ``a / (x + 1) + b``, where ``x`` is the array of positions, in whose shape it comes.

    HyperSpy evaluates such a formula with SymPy, which executes what it is given. Here it is plain arithmetic:
    + - * / ** (also ``^``), the functions above, ``x`` and the axis's own parameters. Raises `ValueError` for anything
    else, or where it has no finite result.
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
