"""Paths of copies whose names are no text: kept by one system, read by another."""

from __future__ import annotations

import pytest

from diadem.catalogue.replica_states import path_of, path_text


@pytest.mark.parametrize("errors", ["surrogateescape", "surrogatepass"], ids=["POSIX", "Windows"])
def test_a_name_that_is_no_text_is_read_on_every_system(errors: str) -> None:
    assert path_of("bytes:/data/Messung%20%FF", errors=errors) == "/data/Messung \udcff"
    assert path_of("2026/20260314-zno", errors=errors) == "2026/20260314-zno"


def test_a_path_is_read_as_it_was_written() -> None:
    for path in ("/data/Überblick", "/data/\udcff", "bytes"):
        assert path_of(path_text(path)) == path
