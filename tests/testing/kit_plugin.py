"""A small honest plugin as text, for the tests of the kit to spoil: one JSON line, then bytes, beside it a log."""

from __future__ import annotations

import json
from pathlib import Path

SOURCE = """
import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from diadem.hooks.fields import Block, Derived, Extension, Found, Rule
from diadem.hooks.offers import (
    CheckOffer, FieldsOffer, Group, Issue, Magic, PreviewOffer, ReaderOffer, SchemaOffer, hookimpl
)
from diadem.hooks.times import moments
from diadem.terms.dates import from_epoch


@hookimpl
def diadem_formats():
    group = Group("{stem}.kit", sidecars=("{stem}.kitlog",))
    yield ReaderOffer(
        name="kit", suffixes=(".kit",), magic=(Magic(0, b'{"kit"'),), groups=(group,),
        load="MODULE:read",
    )
    tables = {"kit-header": "MODULE:TABLE"}
    yield FieldsOffer(name="kit", formats=("kit",), blocks="MODULE:blocks", tables=tables)
    schema = {"$id": "https://example.org/kit/1", "properties": {"mirror": {"type": "string"}}}
    yield SchemaOffer("org.example.kit", {"1": schema})
    yield PreviewOffer(name="kit", formats=("kit",), draw="MODULE:draw")
    yield CheckOffer(name="kit", formats=("kit",), check="MODULE:check")


def header(path):
    with open(path, "rb") as stream:
        line = stream.readline(4096)
        about = json.loads(line)
        rows, columns = (int(about[key]) for key in ("rows", "columns"))
        if not (0 < rows < 4096 and 0 < columns < 4096):
            raise ValueError("no such map can be")
        if os.fstat(stream.fileno()).st_size != len(line) + rows * columns:
            raise ValueError("the file has not the size that it states")
        return about, line, stream.read()


def described(path, data):
    about, _, _ = header(path)
    axes = [
        {"name": name, "size": about[key], "scale": about["pixel"], "offset": 0.0, "units": "nm", "navigate": False}
        for name, key in (("y", "rows"), ("x", "columns"))
    ]
    title = about["title"]
    metadata = {"General": {"title": title}}
    return [{"data": data, "axes": axes, "metadata": metadata, "original_metadata": about}]


def pixels(path):
    about, _, data = header(path)
    return np.frombuffer(data, np.uint8).reshape(about["rows"], about["columns"])


def read(path, lazy=True):
    # READ
    return described(path, pixels(path))


def blocks(path, files):
    about, line, _ = header(path)
    yield Block("kit-header", about, data=line, media_type="application/json", place="header")
    for file in files:
        if file.endswith(".kitlog"):
            yield Extension("org.example.kit", "1", {"mirror": Path(file).read_text().strip()})


def started(tree):
    yield from moments("time.acquired_start", "epoch", tree["epoch"], instant=from_epoch(tree["epoch"]))


TABLE = (
    Rule("beam.acceleration_voltage", "voltage", "kV", cite="this text"),
    Derived("start", started, cite="this text"),
)


def draw(path, files, signals):
    return np.stack([np.asarray(signals[0]["data"])] * 3, axis=-1)


def check(path, files, dataset):
    if dataset.value("beam.acceleration_voltage") == 1:
        yield Issue("low", "one volt")
"""


def write(folder: Path, module: str, *changes: tuple[str, str]) -> str:
    """Write the plugin as a module, with some of its text replaced.

    Returns
    -------
    str
        The module's name.
    """
    text = SOURCE.replace("MODULE", module)
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(text, encoding="utf-8")
    return module


def write_example(folder: Path) -> Path:
    """An honest file of the format, and its log."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "kit": 1,
        "title": "a map",
        "rows": 12,
        "columns": 16,
        "pixel": 2.5,
        "voltage": 200,
        "epoch": 1_773_497_366,
    }
    path = folder / "map.kit"
    path.write_bytes(json.dumps(about).encode() + b"\n" + bytes(number % 251 for number in range(12 * 16)))
    (folder / "map.kitlog").write_text("parabolic\n")
    return path
