"""XYF files opened: lines of text, then the counts, row after row; beside them a log of how light was collected."""

from collections.abc import Iterator, Mapping

from diadem.errors import ReaderError
from diadem.hooks.fields import Block
from diadem.hooks.formats import Files, Opened, Signal
from diadem.hooks.text import decode, ini, quantity
from diadem.model.layout import ArrayLayout

#: Bytes of a header or a log; a real one has some hundreds.
LONGEST = 64 << 10


def open(files: Files) -> Opened:  # noqa: A001 - what it does
    """Open a map.

    Parameters
    ----------
    files : Files
        The map and, where it is there, its log; each is read at any place.

    Returns
    -------
    Opened
        A signal whose counts stay in the file, blocks of metadata, and the size that the header promises.
    """
    head, mark, _ = files[files.entry].read_at(0, LONGEST).partition(b"#DATA\n")
    lines = ini(decode(head)).get("", {})
    shape = rows, columns = int(lines.get("Rows", 0)), int(lines.get("Columns", 0))
    pixel, unit = quantity(lines.get("Pixel", "")) or (0.0, "")
    if (
        not mark or rows < 1 or columns < 1 or pixel <= 0 or not unit
    ):  # a file may be cut short, or be no such file at all
        raise ReaderError(f"the header does not say what follows: {rows} rows, {columns} columns, pixels of {pixel}")
    start = len(head + mark)
    array = ArrayLayout(files.entry, start, "<u2", shape, (2 * columns, 2))
    axes = [
        {"name": name, "size": size, "scale": pixel, "offset": 0.0, "units": unit, "navigate": False}
        for name, size in zip("yx", shape, strict=True)
    ]
    signal = Signal(axes, array=array, metadata={"General": {"title": lines.get("Title", "")}})
    return Opened([signal], blocks(files, head, lines), size=start + 2 * rows * columns)


def blocks(files: Files, head: bytes, lines: Mapping[str, str]) -> Iterator[Block]:
    """The metadata, cut out and kept whole; `formats.toml` says what they mean."""
    yield Block("xyf-header", lines, head, "text/plain", "header", byte_range=(0, len(head)))
    for name in files:
        if name.lower().endswith(".xyl"):  # the package has the file itself
            log = ini(decode(files[name].read_at(0, LONGEST))).get("", {})
            yield Block("xyf-log", log, place="log", file=name)
