"""The command line in this process: the same `run`, without the second that a new interpreter takes."""

from __future__ import annotations

import contextlib
import io
import json
import signal
from typing import Any

import pytest

from diadem.cli.main import run


def ended(*arguments: object) -> tuple[int, str]:
    """How a command ends: its exit code, and everything that it prints."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output), pytest.raises(SystemExit) as left:
            run([str(argument) for argument in arguments])
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    return int(left.value.code or 0), output.getvalue()


def said(*arguments: object, code: int | None = 0) -> str:
    """Everything that a command prints; its exit code must be `code`, where one is given."""
    found, text = ended(*arguments)
    assert code in (None, found), text
    return text


def said_json(*arguments: object, code: int = 0) -> dict[str, Any]:
    """The one JSON object that a command prints, and nothing beside it."""
    found = json.loads(said(*arguments, "--json", code=code))
    assert isinstance(found, dict)
    return found
