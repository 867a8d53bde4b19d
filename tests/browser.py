"""The browser in which tests look at pages, cards and tables: Debian's Chromium, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
#: A closed network, and no sandbox of its own where tests run as root.
FLAGS = ["--no-sandbox", "--disable-gpu", "--proxy-server=direct://", "--disable-background-networking"]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser without a window, where there is one.

    It ends with the module that asked for it: while playwright drives one, a loop of asyncio counts as running in
    this thread, and whatever else begins one there is refused.
    """
    pytest.importorskip("playwright.sync_api", reason="the browser is driven by playwright, which is not installed")
    if not CHROMIUM.exists():
        pytest.skip(f"there is no browser at {CHROMIUM}")
    yield from browser()


def browser(*flags: str) -> Iterator[Any]:
    """The browser, started with further flags."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *flags])
        yield started
        started.close()
