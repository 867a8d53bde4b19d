"""The way of the one-time address into a browser: other users of the machine read command lines."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from diadem.page.html import environment

#: Seconds for which a browser has time to start and read it.
_STAYS: Final = 60.0


@contextlib.contextmanager
def opened_entrance(address: str) -> Iterator[None]:
    """Have the browser open a file that leads to the address, and that this account alone can read for a minute."""
    # a browser that came as a snap sees no temporary folder, and of the home what is not hidden
    place = Path.home() if Path("/snap").is_dir() else None
    with tempfile.TemporaryDirectory(prefix="diadem-page-", dir=place, ignore_cleanup_errors=True) as folder:
        door = Path(folder, "open.html")
        door.touch(0o600)
        door.write_text(environment().get_template("entrance.html").render(address=address), "utf-8")
        closing = threading.Timer(_STAYS, door.unlink, kwargs={"missing_ok": True})
        closing.daemon = True
        closing.start()
        webbrowser.open(door.as_uri())
        yield
        closing.cancel()
