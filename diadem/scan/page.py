"""A scan as one page that any browser shows: no script, nothing from elsewhere, the look of a package's page."""

from __future__ import annotations

import datetime
import os
from functools import partial
from typing import TYPE_CHECKING

from diadem.export.pages import page
from diadem.scan.words import (
    attention,
    content_text,
    figures,
    folder_text,
    session_day,
    step_text,
    voltage_text,
    when_text,
)

if TYPE_CHECKING:
    from diadem.scan.scan import Scan


def scan_page(scan: Scan) -> bytes:
    """The page: summary, sessions, what deserves attention, datasets; HTML5 in UTF-8."""
    names = ", ".join(root.replace(os.sep, "/").rstrip("/").rpartition("/")[2] or root for root in scan.roots)
    values = {
        "title": f"Scan of {names}",
        "figures": figures(scan),
        "sessions": scan.sessions,
        "attention": attention(scan),
        "datasets": [dataset for dataset in scan.datasets if dataset.known],
        "notices": scan.notices,
        "made": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }
    return page(
        "scan.html", values, folder_text=partial(folder_text, scan), session_day=session_day, when_text=when_text,
        voltage_text=voltage_text, content_text=content_text, step_text=step_text,
    )  # fmt: skip
