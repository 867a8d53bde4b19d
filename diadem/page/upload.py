"""An upload as a browser sends it (multipart/form-data, RFC 7578), taken apart as it comes and never held whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import anyio
import anyio.from_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from diadem.errors import DiademError, Interrupted, Refused, UsageError
from diadem.page.guard import FORM_WORD

if TYPE_CHECKING:
    from diadem.api.staging import Staging, Upload

#: Longest value of a field that is no file, and headers of one part.
_MOST_FIELD: Final = 4096
#: Seconds without a byte after which it is asked whether this page is ending.
_PATIENCE: Final = 0.5
#: What a browser writes for characters that would end a name (HTML, "multipart/form-data encoding algorithm").
_ESCAPES: Final = ((b"%22", b'"'), (b"%0D", b"\r"), (b"%0A", b"\n"))


def take_upload(request: Request, staging: Staging) -> Upload:
    """Keep the files of a request. The form's word comes first: before it was judged nothing is written.

    Where it cannot be taken, the rest is read and thrown away first, so that the browser hears the answer.

    Raises
    ------
    Refused
        It is not a form of ours, or there are too many files.
    StoreError
        The disk is full.
    Interrupted
        The browser has gone; nothing is kept.
    UsageError
        No file was chosen, or it is not an upload.
    """
    is_form: Callable[[str], bool] | None = request.scope.get("is_form")
    if is_form is None:  # the guard has taken it for a form without files
        raise UsageError("this is not an upload", next="Use the form of this page.")
    pieces = _pieces(request)
    upload: Upload | None = None
    try:
        parts = _parts(request, pieces)
        kind, name, value = next(parts, ("", b"", b""))
        if kind != "field" or name != FORM_WORD.encode() or not is_form(value.decode("ascii", "replace")):
            raise Refused(
                "this form belongs to another run of the page", next="Go back, reload the page, and try again."
            )
        announced = request.headers.get("content-length", "0")
        upload = staging.begin(int(announced) if announced.isascii() and announced.isdigit() else 0)
        _keep(parts, upload)
        if not upload.files:
            raise UsageError("no file was chosen", next="Choose files or a folder first.")
    except ClientDisconnect as error:
        if upload is not None:
            upload.discard()
        raise Interrupted("the upload broke off; nothing was kept", next="Send it again.") from error
    except (DiademError, FormParserError) as error:
        if upload is not None:
            upload.discard()
        with suppress(ClientDisconnect):
            deque(pieces, maxlen=0)
        if isinstance(error, FormParserError):
            raise UsageError(
                "this is not an upload that can be understood", next="Use the form of this page."
            ) from error
        raise
    return upload


def _keep(parts: Iterator[tuple[str, bytes, bytes]], upload: Upload) -> None:
    """Write the files of an upload, one after the other; a field ``modified`` says when the next was last changed."""
    modified: float | None = None
    for kind, name, value in parts:
        if kind == "field" and name == b"modified":
            text = value.decode("ascii", "replace")
            modified = int(text) / 1000 if text.isdigit() else None
        elif kind == "file":
            if not name:  # a field for files in which none was chosen
                deque(_content(parts), maxlen=0)
                continue
            with upload.writing(name, modified) as write:
                for piece in _content(parts):
                    write(piece)
            modified = None


def _content(parts: Iterator[tuple[str, bytes, bytes]]) -> Iterator[bytes]:
    """The bytes of the file that has just begun."""
    for kind, _, piece in parts:
        if kind == "end":
            return
        yield piece
    raise UsageError("the upload ends in the middle of a file", next="Send it again.")


def _parts(request: Request, pieces: Iterator[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    """The form as it comes: ``field`` with name and value; ``file`` with its path, then ``data``, then ``end``."""
    _, options = parse_options_header(request.headers.get("content-type", ""))
    if not (boundary := options.get(b"boundary")):
        raise UsageError("this is not an upload", next="Use the form of this page.")
    events: list[tuple[str, bytes, bytes]] = []
    part = _Part(events)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": part.begin,
            "on_header_field": lambda data, start, end: part.header(data[start:end], is_name=True),
            "on_header_value": lambda data, start, end: part.header(data[start:end], is_name=False),
            "on_header_end": part.header_end,
            "on_headers_finished": part.open,
            "on_part_data": lambda data, start, end: part.data(data[start:end]),
            "on_part_end": part.end,
        },
    )
    for piece in pieces:
        parser.write(piece)
        yield from events
        events.clear()
    parser.finalize()


class _Part:
    """The part of a form that is being read."""

    def __init__(self, events: list[tuple[str, bytes, bytes]]) -> None:
        self._events = events
        self._header, self._value = bytearray(), bytearray()
        self._name, self._is_file, self._content = b"", False, bytearray()

    def begin(self) -> None:
        self._name, self._is_file, self._content = b"", False, bytearray()

    def header(self, data: bytes, *, is_name: bool) -> None:
        (self._header if is_name else self._value).extend(data)
        if len(self._header) + len(self._value) > 4 * _MOST_FIELD:
            raise UsageError("a name in this upload is too long", next="Shorten it, and send it again.")

    def header_end(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._value))
            self._name, self._is_file = options.get(b"name", b""), b"filename" in options
            if self._is_file:
                self._name = options[b"filename"]
                for written, meant in _ESCAPES:
                    self._name = self._name.replace(written, meant)
        self._header.clear()
        self._value.clear()

    def open(self) -> None:
        if self._is_file:
            self._events.append(("file", self._name, b""))

    def data(self, data: bytes) -> None:
        if self._is_file:
            self._events.append(("data", b"", data))
        elif len(self._content) + len(data) > _MOST_FIELD:
            raise UsageError("a field of this upload is too long", next="Use the form of this page.")
        else:
            self._content += data

    def end(self) -> None:
        self._events.append(("end", b"", b"") if self._is_file else ("field", self._name, bytes(self._content)))


def _pieces(request: Request) -> Iterator[bytes]:
    """The body of a request, asked for from the thread of its view: no more is held than one piece.

    Raises
    ------
    ClientDisconnect
        The browser has gone, or this page is ending.
    """
    leaving: Callable[[], bool] = request.app.state.leaving
    more = True
    while more:
        message = anyio.from_thread.run(_next, request)
        if message is None and not leaving():
            continue
        if message is None or message["type"] == "http.disconnect":
            raise ClientDisconnect
        more = message.get("more_body", False)
        yield message.get("body", b"")


async def _next(request: Request) -> Message | None:
    """What comes next of a body; None where nothing has come for a while."""
    with anyio.move_on_after(_PATIENCE):
        return await request.receive()
    return None
