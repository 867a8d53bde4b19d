"""The text of XYF files and their logs. What is not as it should be raises ValueError, soon and in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

#: Bytes of a header or a log; a real one has some hundreds.
MOST_BYTES = 64 << 10
#: Rows and columns of a map that the scan generator can make.
MOST_PIXELS = 1 << 24


@dataclass(frozen=True)
class Header:
    """The lines before the data.

    Attributes
    ----------
    values : dict of str to str
        As they are written.
    raw : bytes
        The header as it stands in the file, which it begins.
    """

    values: dict[str, str]
    raw: bytes

    def number(self, name: str, unit: str) -> float:
        """A number that is written with this unit."""
        text = self.values.get(name, "").split()
        if len(text) != 2 or text[1] != unit:
            raise ValueError(f"'{name}' must be a number in {unit}")
        return float(text[0])

    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = int(self.values.get("Rows", "0")), int(self.values.get("Columns", "0"))
        if rows < 1 or columns < 1 or rows * columns > MOST_PIXELS:
            raise ValueError(f"a map cannot have {rows} rows and {columns} columns")
        return rows, columns


def read_header(stream: BinaryIO, first: bytes = b"#XYF 1", end: bytes = b"#DATA") -> Header:
    """The lines ``Name = value`` up to `end`; the stream is then at the first row."""
    raw = stream.readline(MOST_BYTES)
    if raw.strip() != first:
        raise ValueError(f"the first line is not {first.decode()}")
    values: dict[str, str] = {}
    while len(raw) < MOST_BYTES:
        line = stream.readline(MOST_BYTES)
        if line.strip() == end or not line:
            if end and not line:
                raise ValueError(f"the file ends before {end.decode()}")
            return Header(values, raw)
        raw += line
        name, equals, value = line.decode("utf-8").partition("=")
        if equals:
            values[name.strip()] = value.strip()
    raise ValueError(f"the header is longer than {MOST_BYTES} bytes")


def read_rows(stream: BinaryIO, rows: int, columns: int) -> Iterator[list[int]]:
    """Each row's counts, until all announced rows and the end mark have been seen."""
    longest = 16 * columns + 16
    for number in range(rows):
        line = stream.readline(longest)
        counts = [int(count) for count in line.split()] if line[:1] != b"#" else []
        if len(counts) != columns:
            raise ValueError(f"row {number + 1} of {rows} has {len(counts)} of {columns} counts")
        if min(counts) < 0 or max(counts) > 65535:
            raise ValueError(f"row {number + 1} holds counts that no 16-bit counter gives")
        yield counts
    if stream.readline(longest).strip() != b"#END":
        raise ValueError("the end mark is missing: the file was cut short, or rows were added")


def read_log(path: Path) -> dict[str, str]:
    """The lines ``Name = value`` of a log."""
    with path.open("rb") as stream:
        return read_header(stream, b"#XYL 1", b"").values
