"""How values show themselves: one line, a card of text, a card of HTML; all three from what `to_dict` says.

A card has a title, facts, and tables of what comes in numbers. What is empty is left out, what is long is shortened,
and what is many is counted: whatever a value holds, its card fits a screen. Texts in it may be anybody's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any, ClassVar, Final, NamedTuple

from diadem.advice import in_python
from diadem.errors import UsageError
from diadem.model.markup import templates
from diadem.model.plain_text import count_text, duration_words, printable, size_text

#: Rows of a table that text and HTML show, its columns, facts of a card, and things named in one line.
_TEXT_ROWS, _HTML_ROWS, _COLUMNS, _FACTS, _NAMED = 12, 50, 9, 24, 4
#: Characters of one line, of a cell in text at least and at most, of one in HTML, and of a fact.
_LINE, _NARROW, _TEXT_CELL, _HTML_CELL, _FACT = 150, 12, 120, 160, 240
_HEX: Final = re.compile(r"(?:(?:diadem|sample):)?([0-9a-f-]{32,64})\Z")
_MOMENT: Final = re.compile(r"(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:Z|\+00:00)?)?\Z")
_BYTES: Final = frozenset({"bytes", "size", "free", "max_size", "max_waiting", "max_per_spoke"})
_SECONDS: Final = frozenset({"seconds"})
_ADVICE: Final = frozenset({"command", "next"})
_VERDICTS: Final = frozenset({"mark", "severity", "verdict"})
_DOUBTFUL: Final = frozenset({"broken", "error", "failed", "warning"})
#: Words for many whose word for one is not had by a rule.
_SINGULARS: Final = {"axes": "axis", "series": "series"}


class Display:
    """What shows itself as a card, in a notebook, in IPython and when it is printed; its ``repr`` is one line.

    Whoever inherits has `to_dict`, and may say in `_display_keys` which of its keys are shown, in which order, and in
    `_display_title` what stands above them.
    """

    __slots__ = ()

    #: Keys of `to_dict` that are shown, of a table with its columns, ``"rules: title text"``; all, where none is named.
    _display_keys: ClassVar[tuple[str, ...]] = ()
    #: What it is called on its card; "" for the name of the class.
    _display_name: ClassVar[str] = ""
    #: Attributes for the program alone, which ``dir`` and the completion of names leave out.
    _internal: ClassVar[frozenset[str]] = frozenset({"again", "context", "desk", "opened_by", "opener"})

    def __init_subclass__(cls, **options: Any) -> None:
        """A dataclass makes a ``repr`` of its own unless it finds one, and IPython goes by the class that has one."""
        super().__init_subclass__(**options)
        owner = next(base for base in cls.__mro__ if issubclass(base, Display) and "__repr__" in base.__dict__)
        cls.__repr__ = owner.__repr__  # type: ignore[method-assign]
        cls._repr_pretty_ = Display._repr_pretty_  # type: ignore[method-assign]

    def __repr__(self) -> str:
        """One line; ``print`` shows the card."""
        return line_of(self._display_card())

    def __str__(self) -> str:
        """The card as text."""
        return text_of(self._display_card())

    def __dir__(self) -> list[str]:
        """Public names, and those that Python itself has."""
        inner = {name for base in type(self).__mro__ for name in base.__dict__.get("_internal", ())}
        return [name for name in super().__dir__() if name not in inner and _is_public(name)]

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """For IPython: the card where it is the result, one line within another."""
        printer.text(str(self) if not cycle and len(printer.stack) <= 1 else repr(self))

    def _repr_html_(self) -> str:
        return html_of(self._display_card(), self._display_pictures())

    def _display_card(self) -> Card:
        return card_of(_name_of(self), self._display_document(), self._display_keys, self._display_title())

    def _display_row(self) -> dict[str, Cell]:
        """What it says as one row of a table."""
        document = self._display_document()
        keys = [key for key in self._display_keys if ":" not in key]
        return {key: cell_of(key, document.get(key)) for key in keys or document}

    def _display_document(self) -> Mapping[str, Any]:
        if hasattr(self, "to_dict"):
            document: Mapping[str, Any] = self.to_dict()
            return document
        fields = getattr(self, "__dataclass_fields__", {})
        return {name: getattr(self, name) for name, field in fields.items() if field.repr}

    def _display_title(self) -> str:
        """What stands above; "" for nothing but the class."""
        return ""

    def _display_pictures(self) -> Mapping[str, str]:
        """Data addresses of pictures for the HTML, by a line below each."""
        return {}


class DisplayRows(Display):
    """A collection that shows itself as the table of what it holds; of it no more is asked than is shown.

    Of what stands for a list without being one, as `node.stores` does, `_display_rows` gives the list.
    """

    __slots__ = ()

    def _display_rows(self) -> Sequence[Any]:
        return list(self) if not isinstance(self, Sequence) else self  # type: ignore[call-overload]

    def _display_card(self) -> Card:
        rows = self._display_rows()
        shown = [_row_of(one) for one in islice(rows, _HTML_ROWS)]
        table = [Table("", shown, len(rows))] if shown else []
        return Card(_name_of(self), self._display_title() or _counted(rows), [], table)


class DisplayList(DisplayRows):
    """What stands for a list, such as `node.stores`: it is counted, and its entries have their places."""

    def _display_rows(self) -> Sequence[Any]:
        return [one for one in self]  # type: ignore[attr-defined]  # noqa: C416 - `list` would ask how many there are

    def __len__(self) -> int:
        """How many."""
        return len(self._display_rows())

    def __bool__(self) -> bool:
        """True, also where there is none."""
        return True

    def __getitem__(self, place: int | slice) -> Any:
        """One of them, or several."""
        return self._display_rows()[place]


class Rows(DisplayRows, list[Any]):
    """A list that shows itself as a table."""

    __slots__ = ()

    _display_name = "list"

    def __repr__(self) -> str:
        """Each on a line of its own where there are several."""
        shown = [repr(one) for one in islice(self, _TEXT_ROWS)]
        more = [f"… and {len(self) - len(shown):,} more"] if len(self) > len(shown) else []
        return f"[{(',' + chr(10) + ' ').join([*shown, *more])}]"


class FixedRows(DisplayRows, tuple[Any, ...]):
    """A tuple that shows itself as a table."""

    __slots__ = ()

    _display_name = "list"

    __repr__ = Rows.__repr__


class Document(Display, dict[str, Any]):
    """A JSON object that shows itself as a card."""

    __slots__ = ()

    _display_name = "report"

    def to_dict(self) -> dict[str, Any]:
        """The object itself."""
        return dict(self)


class Previews(Display, dict[str, bytes]):
    """Small pictures by the id of their dataset, which show themselves as pictures."""

    __slots__ = ()

    def _display_document(self) -> Mapping[str, Any]:
        return {
            name: f"{size_text(len(data))} of {data[1:4].decode('ascii', 'replace')}" for name, data in self.items()
        }

    def _display_title(self) -> str:
        return count_text(len(self), "picture")

    def _display_pictures(self) -> Mapping[str, str]:
        return data_addresses(self.items())


# -- what is shown -----------------------------------------------------------------------------------------------------


class Cell(NamedTuple):
    """A value in words, how it is set, the whole of what was shortened, and lines below it, each with how it is set.

    Of the ways, ``picture`` takes the text as a data address, ``bar`` as a length in pixels, ``badges`` word by word,
    ``term`` as what is to be copied; others are classes of ``card.css``.
    """

    text: str
    kind: str = ""
    whole: str = ""
    below: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of the same kind, how many there are in all, and of how many columns at most."""

    name: str
    rows: Sequence[Mapping[str, Cell]]
    total: int
    most: int = _COLUMNS

    @property
    def columns(self) -> list[str]:
        """Those in which any row says something."""
        said = {key for row in self.rows for key, cell in row.items() if cell.text or cell.below}
        return [key for key in dict.fromkeys(key for row in self.rows for key in row) if key in said][: self.most]

    @property
    def numbers(self) -> set[str]:
        """Columns that hold numbers and nothing else."""
        kinds = {key: {row[key].kind for row in self.rows if key in row} for key in self.columns}
        return {key for key, found in kinds.items() if "number" in found and found <= {"number", ""}}


@dataclass(frozen=True, slots=True)
class Card:
    """What is shown of a value: of which class, a title, facts, tables."""

    name: str
    title: str = ""
    facts: Sequence[tuple[str, Cell]] = ()
    tables: Sequence[Table] = field(default_factory=list)


def card_of(name: str, document: Mapping[str, Any], keys: Sequence[str] = (), title: str = "") -> Card:
    """The card of a JSON object."""
    facts: list[tuple[str, Cell]] = []
    tables: list[Table] = []
    for wanted in keys or document:
        key, _, columns = str(wanted).partition(": ")
        value = document.get(key)
        if _is_empty(value):
            continue
        label = _label(key)
        if isinstance(value, Mapping) and all(isinstance(one, Mapping) for one in value.values()):
            rows = [{"": Cell(_shortened(name, _TEXT_CELL)), **_row_of(one)} for name, one in value.items()]
            tables.append(Table(label, rows[:_HTML_ROWS], len(rows)))
        elif isinstance(value, Sequence) and any(isinstance(one, Mapping | Display) for one in value[:_HTML_ROWS]):
            rows = [_row_of(one, columns.split()) for one in value[:_HTML_ROWS]]
            tables.append(Table(label, rows, len(value)))
        else:
            facts.append((label, cell_of(key, value, _FACT)))
    return Card(name, title, facts[:_FACTS], tables)


def cell_of(key: str, value: Any, limit: int = _HTML_CELL) -> Cell:
    """A value in words: ids by their beginning, sizes in powers of 1000, times to the minute."""
    if _is_empty(value):
        return Cell("")
    if isinstance(value, bool):
        return Cell("yes" if value else "no", "whole")
    if isinstance(value, timedelta):
        return Cell(duration_words(value), "whole")
    if isinstance(value, int | float):
        if key in _BYTES:
            return Cell(size_text(int(value)), "number")
        text = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
        return Cell(f"{text} s" if key in _SECONDS else text, "number")
    if isinstance(value, Mapping):
        said = (f"{_label(name)} {cell_of(name, one, limit).text}" for name, one in value.items() if not _is_empty(one))
        return Cell(_shortened(", ".join(islice(said, 12)), limit))
    if isinstance(value, list | tuple | set | frozenset):
        if any(isinstance(one, Mapping) for one in value):
            return Cell(f"{len(value):,}", "number")
        named = ", ".join(cell_of("", one, limit).text for one in islice(value, _NAMED))
        return Cell(_shortened(named + (f" and {len(value) - _NAMED:,} more" if len(value) > _NAMED else ""), limit))
    text = in_python(str(value)) if key in _ADVICE else str(value)
    if key in _VERDICTS and text in _DOUBTFUL:
        return Cell(text, "doubt")
    if found := _HEX.match(text):
        return Cell(found[1][:12], "code", text)
    if found := _MOMENT.match(text):
        return Cell(f"{found[1]} {found[2]}" if found[2] else found[1], "whole", text)
    return Cell(_shortened(text, limit))


def line_of(card: Card) -> str:
    """A card in one line: ``<Report ok yes, level full>``."""
    facts = ", ".join(_fit(f"{label} {cell.text}") for label, cell in card.facts[:6])
    counts = ", ".join(
        _fit(count_text(table.total, _single(table.name), table.name)) for table in card.tables if table.name
    )
    said = "; ".join(part for part in (_fit(card.title), facts, counts) if part)
    return f"<{_shortened(f'{card.name}: {said}'.rstrip(': '), _LINE)}>"


def text_of(card: Card) -> str:
    """A card as text: title, facts, and tables whose columns stand below each other."""
    lines = [f"{card.name}  {_fit(card.title)}".strip()]
    facts = [(_shortened(_fit(label), _TEXT_CELL), _fit(cell.text)) for label, cell in card.facts]
    width = max((len(label) for label, _ in facts), default=0)
    lines += [f"  {label:<{width}}  {text}" for label, text in facts]
    for table in card.tables:
        lines += [f"  {_shortened(_fit(table.name), _TEXT_CELL)}"] if table.name else []
        lines += [f"  {line}" for line in _text_rows(table)]
    return "\n".join(lines)


def _text_rows(table: Table) -> Iterator[str]:
    columns = table.columns
    rows = [[_fit(row.get(key, Cell("")).text) for key in columns] for row in table.rows[:_TEXT_ROWS]]
    grid = [[_fit(_label(key)) for key in columns], *rows]
    widths = [min(_TEXT_CELL, max(len(row[place]) for row in grid)) for place in range(len(columns))]
    while sum(widths) + 2 * len(widths) > _LINE and max(widths) > _NARROW:  # the widest give way
        widths[widths.index(max(widths))] -= 1
    for row in grid:
        cells = (f"{_shortened(text, width):<{width}}" for text, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
    if table.total > _TEXT_ROWS:
        yield f"… and {table.total - _TEXT_ROWS:,} more"


def html_of(card: Card, pictures: Mapping[str, str] | None = None) -> str:
    """A card as one HTML element, without scripts and anything from elsewhere."""
    return (
        templates("model").get_template("card.html").render(card=card, pictures=[*islice((pictures or {}).items(), 6)])
    )


# -- words -------------------------------------------------------------------------------------------------------------


def _row_of(one: Any, columns: Sequence[str] = ()) -> dict[str, Cell]:
    """What a row of a table says: the keys of its object; a thing that has none, itself."""
    if isinstance(one, Display):
        return one._display_row()  # noqa: SLF001
    if isinstance(one, Mapping):
        return {key: cell_of(key, one.get(key)) for key in columns or one}
    return {"": cell_of("", one)}


def _name_of(value: Display) -> str:
    return value._display_name or type(value).__name__.lstrip("_")  # noqa: SLF001


def _label(key: str) -> str:
    return str(key).replace("_", " ")


def _single(name: str) -> str:
    if name in _SINGULARS:
        return _SINGULARS[name]
    return f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")


def _counted(rows: Sequence[Any]) -> str:
    return count_text(len(rows), "entry", "entries") if rows else "nothing"


def _fit(text: str) -> str:
    return printable(" ".join(text.split()))


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | Mapping | list | tuple | set | frozenset) and not value)


def _is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def short_name(path: str) -> str:
    """What a dataset is called: the end of its path; of a folder that is told of by a file in it, that folder."""
    parts = path.split("/")
    while len(parts) > 1 and (parts[-1].startswith(".") or parts[-1] == "zarr.json"):
        parts.pop()
    return parts[-1]


def data_addresses(pictures: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    """Pictures, PNG or JPEG, as data addresses."""
    from base64 import b64encode

    kinds = ((b"\x89PNG", "png"), (b"\xff\xd8", "jpeg"))
    return {
        name: f"data:image/{kind};base64,{b64encode(data).decode()}"
        for name, data in pictures
        for start, kind in kinds
        if data.startswith(start)
    }


def pandas_module() -> Any:
    """pandas, which is not installed everywhere. Raises `UsageError`."""
    try:
        import pandas
    except ImportError as error:
        raise UsageError("a DataFrame needs pandas", next="pip install pandas") from error
    return pandas
