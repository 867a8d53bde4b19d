"""Documents that somebody else wrote, read into typed objects: a form is a class, and what does not fit it is refused.

::

    class Letter(Document, frozen=True, tag_field="format", tag="diadem-letter/1"):
        WHAT = "letter"

        to: NodeId
        pages: Annotated[int, Meta(ge=1)]

    Letter.from_bytes(data)   # DocumentError: pages: it should be a whole number from 1 on [letter]

A form has the members that it names and no others; one without a default must be there. What no type says is for
``__post_init__``, which raises `ValueError`. Importing this costs a command some 20 ms: modules that every command
needs have no forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Final, Self

import msgspec
from msgspec import Meta, Struct, inspect

from diadem.errors import DiademError, DocumentError
from diadem.model import canonical
from diadem.model.plain_text import one_line

__all__ = ["Count", "Document", "Id", "Moment", "NodeId", "document_of"]

#: Id of a message, a transfer or a relay, or a token: 128 random bits.
Id = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z", description="32 lower-case hex digits")]
#: Id of a node or a key, or a SHA-256.
NodeId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="64 lower-case hex digits")]
#: What `time_text` writes; that it is a day of the calendar is shown by `parse_time`.
Moment = Annotated[
    str,
    Meta(
        pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z",
        description="a moment in UTC, such as 2026-03-14T09:26:53Z",
    ),
]
#: Bytes, or how many there are: as many as every reader of JSON keeps exactly.
Count = Annotated[int, Meta(ge=0, lt=1 << 53)]

#: Characters of somebody else's words that are shown.
_SHOWN: Final = 60
_PLACE: Final = re.compile(r"(.*) - at `(?:key` in `)?\$\.?([^`]*)`\Z", re.DOTALL)
_MEMBER: Final = re.compile(r"Object (missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_STEP: Final = re.compile(r"\[[^\]]*\]|[^.\[]+")


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """The base of all forms. With ``tag_field`` and ``tag`` it says of which form it is, as it must.

    `WHAT` is where a fault is said to be, `ADVICE` what to do about it, `LIMIT` how many bytes are read.
    """

    WHAT: ClassVar[str] = "document"
    ADVICE: ClassVar[str] = "Its sender must send it again; both sides should run the same version of DIADEM."
    LIMIT: ClassVar[int] = 64 << 10

    @classmethod
    def of(cls, value: Any) -> Self:
        """The document of plain JSON types. Raises `fault` for another form."""
        found: Self = document_of(cls, value, fault=cls.fault)
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The document of canonical bytes. Raises `DocumentError` for more than `LIMIT` of them, or others."""
        return cls.of(canonical.decode(data, where=cls.WHAT, limit=cls.LIMIT))

    def to_dict(self) -> dict[str, Any]:
        """The JSON object."""
        written: dict[str, Any] = msgspec.to_builtins(self, enc_hook=_as_text)
        return written

    def to_bytes(self) -> bytes:
        """The canonical bytes. Raises `DocumentError` where it holds what JSON cannot."""
        return canonical.encode(self.to_dict(), where=self.WHAT)

    @classmethod
    def fault(cls, message: str, at: str = "") -> DiademError:
        """The error of what does not fit, `at` a member: in the words, for a place is not told to others."""
        return DocumentError(f"{at}: {message}" if at else message, where=cls.WHAT, next=cls.ADVICE)


def document_of(kind: Any, value: Any, *, fault: Callable[..., DiademError] = Document.fault) -> Any:
    """What plain JSON types say, as a form or one of several (``This | That``). Raises what `fault` makes."""
    config = getattr(kind, "__struct_config__", None)
    if config is not None and config.tag is not None and isinstance(value, dict) and config.tag_field not in value:
        raise fault(f"'{config.tag_field}' is missing")  # of a single form it is no fault for msgspec
    try:
        return msgspec.convert(value, kind, dec_hook=_text_of_a_class)
    except msgspec.ValidationError as error:
        said, at = _said(error, value)
        raise fault(_words(said, _expected(inspect.type_info(kind), _STEP.findall(at))), one_line(at, _SHOWN)) from None


def _said(error: msgspec.ValidationError, value: Any) -> tuple[str, str]:
    """What is wrong, and with which member: msgspec puts both into one text, and a name of a foreign member into it."""
    whole = str(error)
    own = str(error.__cause__) if error.__cause__ is not None else ""  # the words of a form, before the place
    placed = _PLACE.fullmatch(whole, len(own))
    if placed is None:
        return own or whole, ""
    said, at = own or placed[1], placed[2]
    member = _MEMBER.match(said)
    if not own and said.startswith("Object contains ") and (member is None or not _has(value, at, member[2])):
        return whole, ""  # the place is a part of the name
    return said, at


def _has(value: Any, at: str, name: str) -> bool:
    """Whether an object at a place of a document has a member of this name."""
    found = [value]
    for step in _STEP.findall(at):
        if step == "[...]":  # any member of an object whose members have no fixed names
            found = [inner for one in found if isinstance(one, dict) for inner in one.values()]
        elif step.startswith("["):
            index = int(step[1:-1]) if step[1:-1].isdecimal() else 0
            found = [one[index] for one in found if isinstance(one, list) and index < len(one)]
        else:
            found = [one[step] for one in found if isinstance(one, dict) and step in one]
    return any(isinstance(one, dict) and name in one for one in found)


def _text_of_a_class(kind: type[Any], value: Any) -> Any:
    """A text that has a class of its own, such as `PackageId`: that refuses, in its words, what is none."""
    if not isinstance(value, str) or not issubclass(kind, str):
        raise TypeError("it should be a text")
    return kind(value)


def _as_text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} is not JSON")
    return str(value)


def _words(said: str, expected: str) -> str:
    """What msgspec says, for people."""
    member = _MEMBER.match(said)
    if member:
        what = "is missing" if member[1].startswith("missing") else "is not a member of it"
        return f"'{one_line(member[2], _SHOWN)}' {what}"
    if said.startswith(("Expected ", "Invalid ")):
        return f"it should be {expected}"
    return one_line(said)


def _expected(kind: inspect.Type, steps: Sequence[str]) -> str:
    """What should stand at a place of a form."""
    if isinstance(kind, inspect.Metadata):
        described = (kind.extra_json_schema or {}).get("description")
        return str(described) if described and not steps else _expected(kind.type, steps)
    if isinstance(kind, inspect.UnionType):
        within = [one for one in kind.types if not steps or _holds(one, steps[0])]
        return " or ".join(dict.fromkeys(_expected(one, steps) for one in within)) or "something else"
    if isinstance(kind, inspect.StructType) and steps and steps[0] == kind.tag_field:
        return f"'{kind.tag}'"
    if isinstance(kind, inspect.StructType | inspect.DataclassType) and steps:
        within = [one.type for one in kind.fields if one.encode_name == steps[0]]
        return _expected(within[0], steps[1:]) if within else "something else"
    if isinstance(kind, inspect.ListType | inspect.VarTupleType) and steps:
        return _expected(kind.item_type, steps[1:])
    if isinstance(kind, inspect.DictType) and steps:
        return _expected(kind.value_type, steps[1:])
    return _plain(kind)


def _holds(kind: inspect.Type, step: str) -> bool:
    """Whether a place begins in this one of several types."""
    if isinstance(kind, inspect.StructType):
        return step == kind.tag_field or any(one.encode_name == step for one in kind.fields)
    if isinstance(kind, inspect.DataclassType):
        return any(one.encode_name == step for one in kind.fields)
    return isinstance(kind, inspect.ListType | inspect.VarTupleType | inspect.DictType)


def _plain(kind: inspect.Type) -> str:
    """A type in words."""
    match kind:
        case inspect.StrType(max_length=longest):
            return "a text" + (f" of at most {longest:,} letters" if longest is not None else "")
        case inspect.IntType(ge=least, le=most, lt=below):
            highest = most if most is not None else below - 1 if below is not None else None
            return (
                "a whole number"
                + (f" from {least:,}" if least is not None else "")
                + (f" to {highest:,}" if highest is not None else " on" if least is not None else "")
            )
        case inspect.FloatType():
            return "a number"
        case inspect.BytesType():
            return "bytes in base64"
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.DateType():
            return "a day such as 2026-03-14"
        case inspect.DateTimeType():
            return "a moment such as 2026-03-14T09:26:53Z"
        case inspect.EnumType(cls=among):
            return " or ".join(f"'{one.value}'" for one in among)
        case inspect.LiteralType(values=values):
            return " or ".join(f"'{one}'" if isinstance(one, str) else str(one) for one in values)
        case inspect.ListType(max_length=most) | inspect.VarTupleType(max_length=most):
            return "a list" + (f" of at most {most:,}" if most is not None else "")
        case _:
            objects = inspect.StructType | inspect.DataclassType | inspect.DictType
            return "an object" if isinstance(kind, objects) else "something else"
