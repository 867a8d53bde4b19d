"""Scans that share their workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

import diadem
from diadem.api.packages import SCAN_SECONDS, all_that_reads
from diadem.api.tools import tools
from diadem.extract.pool import Extractor
from diadem.model.ports import Listener, silent
from diadem.scan.scan import scan_folders
from tests.archive.scan_trees import Scanner


@pytest.fixture(scope="session")
def lent_extractor() -> Iterator[Extractor]:
    """Workers for all scans of this process: starting them takes longer than most tests."""
    with tools().extractor(timeout=SCAN_SECONDS, previews=False) as extractor:
        yield extractor


@pytest.fixture
def scan(lent_extractor: Extractor, tmp_path: Path) -> Scanner:
    """A scan with its own cache, or with none."""
    home = tmp_path.with_name(tmp_path.name + "-cache")

    def run(*folders: Path, cache: bool = True, software: str = "", listener: Listener = silent) -> diadem.Scan:
        return scan_folders(
            folders,
            readers=tools().readers,
            extractor=lambda: nullcontext(lent_extractor),
            software=software or all_that_reads(tools().offers),
            cache=home if cache else None,
            listener=listener,
        )

    return run
