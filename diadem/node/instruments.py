"""`instruments.toml`: the instruments of the house, as ``[[instruments]]`` of a metadata file says them."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from diadem.errors import DocumentError
from diadem.serialization.toml_text import person_text
from diadem.store.system import store_error

INSTRUMENTS_FILE: Final = "instruments.toml"
#: What stands in the file of one instrument.
EXAMPLE: Final = """[[instruments]]
when.serial = "D3094"                  # what its files state: serial, model, name, vendor; or the folder
is.name = "Titan 1"
is.vendor = "FEI"
is.model = "Titan 80-300"
is.pid = "https://doi.org/10.5442/NI000001"
is.owner_ror = "https://ror.org/01hcx6992"
is.time_zone = "Europe/Berlin"
"""


def read_instruments(folder: Path) -> list[dict[str, Any]]:
    """The instruments of the node in a folder; none where it has no such file."""
    from diadem.serialization.validation import validate_metadata

    path = folder / INSTRUMENTS_FILE
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise store_error(error, str(path), "the instruments cannot be read") from error
    try:
        document = tomllib.loads(person_text(data, str(path)))
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"this is not TOML: {error}", where=str(path), next="Correct the line.") from error
    if strange := sorted(set(document) - {"instruments"}):
        message = f"'{strange[0][:80]}' is not a table of this file"
        raise DocumentError(message, where=str(path), next="Write one [[instruments]] for each instrument.")
    try:
        found: list[dict[str, Any]] = validate_metadata(document).get("instruments", [])
    except DocumentError as error:
        error.where = str(path)
        raise
    return found


def with_instruments(folder: Path, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metadata with the instruments of the node after those that they name themselves."""
    from diadem.serialization.validation import validate_metadata

    given = validate_metadata({} if metadata is None else metadata)
    if known := read_instruments(folder):
        given["instruments"] = [*given.get("instruments", ()), *known]
    return given
