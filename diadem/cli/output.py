"""What every command prints alike: one JSON object, or errors in one shape; and progress on a terminal."""

from __future__ import annotations

import json
import re
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from typing import Any, Final, TextIO, cast

from diadem.errors import DiademError
from diadem.model.plain_text import printable, size_text
from diadem.model.ports import Listener, Progress, silent

#: Seconds between two redraws of the progress line.
_INTERVAL = 0.1
#: Of why something is waited for, what is another at each look.
_FIGURES = re.compile(r"\d+ \w+")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
#: The node that ``--node`` names; "" where it names none.
named_node: Final = ContextVar("named_node", default="")


class Screen:
    """A stream to whoever reads what a command says: no word of others moves the cursor, sets colours or turns letters.

    Control characters and marks of direction come as ``\\u001b``, which JSON reads as the character that it was.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what a person or a program reads."""
        return self._stream.write(printable(text, kept="\n\t"))

    def draw(self, text: str) -> None:
        """Write a text of ours with the sequences that a terminal obeys."""
        self._stream.write(text)
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def screens() -> Iterator[None]:
    """Everything that is printed meanwhile goes through a `Screen`."""
    before = sys.stdout, sys.stderr
    for stream in before:  # a name that the console cannot show must not end the command
        getattr(stream, "reconfigure", lambda **_: None)(errors="backslashreplace")
    sys.stdout, sys.stderr = (cast("TextIO", Screen(stream)) for stream in before)
    token = named_node.set("")
    try:
        yield
    finally:
        named_node.reset(token)
        sys.stdout, sys.stderr = before


@contextmanager
def aside() -> Iterator[None]:
    """What libraries print and log meanwhile goes to standard error: standard output is the answer's alone."""
    with redirect_stdout(cast("TextIO", _Aside(sys.stderr))):
        yield


class _Aside:
    """A stream to another one, without the colours that a library gives to what it logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(_COLOUR.sub("", text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def draw(text: str, stream: TextIO) -> None:
    """Write a text of ours, whose words of others are printable, with the sequences that a terminal obeys."""
    cast("Screen", stream).draw(text) if isinstance(stream, Screen) else print(text, end="", file=stream, flush=True)


def print_json(document: Mapping[str, Any]) -> None:
    """Print one JSON object on standard output, in ASCII where that is all the terminal can show."""
    wide = (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(document, ensure_ascii=not wide, indent=2, default=str)
    print(text)


def minute(text: str) -> str:
    """An ISO 8601 time as people read it, to the minute: ``2026-03-14 15:09``."""
    return text.replace("T", " ").removesuffix("Z")[:16]


def plain(text: str) -> str:
    """A text of someone else: nothing that a terminal would obey, or that turns what is read."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def on_node(text: str) -> str:
    """A text with commands that act on the node that this one acts on."""
    if not (place := named_node.get()) or "diadem " not in text:
        return text
    from diadem.node.terminal import node_option, with_node

    return with_node(text, node_option(place))


def tell(text: str) -> None:
    """Print one line in which words of others stand."""
    print(plain(on_node(text)), flush=True)  # into a pipe too it comes when it is said, not when the command ends


def tell_all(lines: Iterable[str]) -> None:
    """Print lines in which words of others stand."""
    for line in lines:
        tell(line)


def warning_lines(doubts: Sequence[str]) -> Iterator[str]:
    """Doubts about data, a line or more each."""
    for text in doubts:
        for number, line in enumerate(textwrap.wrap(plain(text), 83, break_on_hyphens=False, break_long_words=False)):
            yield f"{'' if number else 'WARNING':16} {line}"


def print_error(error: DiademError, *, as_json: bool) -> None:
    """Print an error: for programs on standard output, for people on standard error."""
    if as_json:
        print_json({"error": error.to_dict()})
        return
    print(f"diadem: {on_node(error.message)}", file=sys.stderr)
    if error.where:
        print(f"  where: {error.where}", file=sys.stderr)
    if error.next:
        print(textwrap.indent(f"next:  {on_node(error.next)}", " " * 9)[7:], file=sys.stderr)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Listener]:
    """A listener that draws rate and time left on standard error while a terminal is looking, else says only waits."""
    if quiet or not sys.stderr.isatty():
        yield silent if quiet else _Waits()
        return
    line = _Line()
    try:
        yield line
    finally:
        line.clear()


class _Waits:
    """One line for each reason to wait, where no terminal shows that anything goes on."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, progress: Progress) -> None:
        said = _FIGURES.sub("", progress.item)
        if progress.stage == "wait" and said != self._said:
            self._said = said
            print(f"waiting: {progress.item}", file=sys.stderr, flush=True)


class _Line:
    """One line, redrawn at most every `_INTERVAL` seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stage = ""
        self._started = self._drawn = 0.0
        self._first = self._done = 0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._drawn < _INTERVAL and progress.stage == self._stage:
            return
        with self._lock:
            if progress.stage != self._stage and not (self._stage == "copy" and progress.done < progress.total):
                self._begin(progress, now)
            self._drawn = now
            if progress.stage == self._stage:
                if 2 * progress.done < self._done:  # the same with the next thing: another store, another package
                    self._begin(progress, now)
                self._done = progress.done
                text = _progress_text(progress, now - self._started, progress.done - self._first)
                draw("\r\x1b[K" + printable(text), sys.stderr)

    def _begin(self, progress: Progress, now: float) -> None:
        self._stage, self._started = progress.stage, now
        self._first = self._done = progress.done

    def clear(self) -> None:
        """Leave an empty line behind."""
        draw("\r\x1b[K", sys.stderr)


def _progress_text(progress: Progress, seconds: float, fresh: int) -> str:
    """How far it is; rate and time left by what was done in these seconds, `fresh`."""
    if not progress.total and progress.done:  # how much there will be is not known yet
        return f"{progress.stage:8} {_counted(progress.done, progress.unit)}  {progress.item[-40:]}"[:118]
    share = progress.done / progress.total if progress.total else 1.0
    amount = f"{size_text(progress.done)} of {size_text(progress.total)}"
    if progress.unit != "B":
        amount = f"{progress.done:,} of {_counted(progress.total, progress.unit)}"
    text = f"{progress.stage:8} {share:4.0%}  {amount}"
    if seconds > 1 and fresh > 0:
        rate = fresh / seconds
        left = (progress.total - progress.done) / rate
        speed = f"{size_text(int(rate))}/s" if progress.unit == "B" else f"{rate:,.0f}/s"
        text += f"  {speed}  {duration_text(left)} left"
    return f"{text}  {progress.item[-40:]}"[:118]


def _counted(number: int, unit: str) -> str:
    """``1 dataset``, ``20 datasets``; a unit of one letter stays."""
    return f"{number:,} {unit[:-1] if number == 1 and len(unit) > 1 else unit}"


def duration_text(seconds: float) -> str:
    """``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
