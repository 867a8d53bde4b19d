"""A plugin's exporters: alike when they run twice, whole or not at all, and stopped when somebody stops them."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diadem.api.nodes import Node
from diadem.errors import DiademError, Interrupted, PluginError, Refused, UsageError
from diadem.hooks.offers import ExporterOffer
from diadem.model.ports import Progress
from diadem.testing.plugin_report import Notes

if TYPE_CHECKING:
    from diadem.archive.package import Package

#: The moment of every export: 14 March 2026, 09:26:53 UTC.
_MOMENT = datetime.datetime(2026, 3, 14, 9, 26, 53, tzinfo=datetime.UTC)


def examine_options(offers: Sequence[ExporterOffer], notes: Notes) -> None:
    """That the schemas of options are schemas, and that each default is what its own schema takes."""
    import jsonschema

    for offer, name, schema in ((one, *option) for one in offers for option in one.options.items()):
        where = f"exporter '{offer.name}': option '{name}'"
        try:
            jsonschema.Draft202012Validator.check_schema(dict(schema))
        except jsonschema.SchemaError as error:
            notes.error("option-schema", where, f"is no JSON Schema: {error.message}")
            continue
        if "default" in schema and not jsonschema.Draft202012Validator(dict(schema)).is_valid(schema["default"]):
            notes.error("option-schema", where, f"its schema refuses its own default, {schema['default']!r}")
        if not schema.get("description"):
            notes.hint("option-schema", where, "nothing says what it is for", "Give it a description: people see it.")


def try_exporters(
    offers: Sequence[ExporterOffer], examples: Sequence[Path], work: Path, notes: Notes, options: Mapping[str, Any]
) -> None:
    """Try each exporter, but those to services, on a package of the examples.

    `options` are those that a person would give; an exporter is given what it has of them.
    """
    session = work / "session"
    session.mkdir(parents=True)
    for number, example in enumerate(examples):
        shutil.copytree(example, session / str(number))
    with _node(work) as node:
        package = node.archive(session, now=True).package
        trials = [
            _Trial(node, str(package.id), offer, _options(offer, options), work, notes)
            for offer in offers
            if offer.writes != "service"
        ]
        sound = [trial for trial in trials if trial.run()]
        _damage(package)
        for trial in sound:
            trial.run_damaged()


def _options(offer: ExporterOffer, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in offer.options}


@contextmanager
def _node(work: Path) -> Iterator[Node]:
    node = Node.create(work / "node", name="trial", user="author", store=str(work / "store"))
    try:
        node.context.clock = lambda: _MOMENT
        yield node
    finally:
        node.close()


def _damage(package: Package) -> None:
    """Change every file of the only copy, in place: size and time stay."""
    assert package.path is not None
    for entry in package.files:
        path = package.path.joinpath(*entry.path.split("/"))
        before = path.stat()
        path.chmod(0o644)
        with path.open("r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 0xFF]) if first else b"")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@dataclasses.dataclass(slots=True)
class _Trial:
    """One exporter and one package."""

    node: Node
    package: str
    offer: ExporterOffer
    options: Mapping[str, Any]
    work: Path
    notes: Notes

    @property
    def _where(self) -> str:
        return f"exporter '{self.offer.name}'"

    def run(self) -> bool:
        """Twice alike; wrong options; stopped when it first tells how far it is. Whether it gives anything, alike."""
        try:
            first, second = self._export("first"), self._export("second")
        except PluginError as error:
            self.notes.error("export-failed", self._where, error.message)
            return False
        except Refused as error:
            advice = "Give check_plugin options=… with which it can be exported."
            self.notes.hint("export-refused", self._where, error.message, advice)
            if not error.next:
                self.notes.error("export-refused", self._where, "it refuses and says no next step", "Give it next=…")
            return False
        except DiademError as error:
            self.notes.error("export-failed", self._where, error.message)
            return False
        if first != second:
            told = "the same package gave other bytes the second time"
            self.notes.error(
                "export-unsteady", self._where, told, "Take times from source.moment, and sort what you list."
            )
        for name, schema in self.offer.options.items():
            self._refuses({**self.options, name: {"no": "such value"}} if schema else {}, name)
        self._stop()
        self._nothing_is_left("first", allowed=self._name)
        return first == second

    def run_damaged(self) -> None:
        """A damaged file stops it, or is none that it reads: what it writes of it is as it was."""
        try:
            found = self._export("damaged")
        except PluginError as error:
            told = f"a damaged file made it fail in its own way: {error.message}"
            self.notes.error("export-damage", self._where, told, "Let errors of package.open and package.load pass.")
        except DiademError:
            pass
        else:
            if (self.work / "first" / self._name).exists() and found != self._digest("first"):
                self.notes.error("export-damage", self._where, "it wrote something else of a damaged package")
        self._nothing_is_left("damaged", allowed=self._name)

    def _refuses(self, options: Mapping[str, Any], name: str) -> None:
        try:
            self._export(f"option-{name}", options)
        except UsageError:
            return
        except DiademError as error:
            self.notes.error("export-options", self._where, f"a wrong '{name}' is no wrong use: {error.message}")
            return
        told = f"option '{name}' takes anything: {{'no': 'such value'}}"
        self.notes.error("export-options", self._where, told, "Say its type in its schema.")

    def _stop(self) -> None:
        """Ctrl-C at the first sign of progress."""
        told: list[Progress] = []

        def stop(progress: Progress) -> None:
            told.append(progress)
            if progress.stage == "export":
                raise KeyboardInterrupt

        try:
            self._export("stopped", listener=stop)
        except Interrupted:
            self._nothing_is_left("stopped")
        except DiademError as error:
            self.notes.error("export-stop", self._where, f"Ctrl-C became another error: {error.message}")
        else:
            advice = "Call source.progress(done, total, what) while it works: that is also how it is stopped."
            self.notes.hint("export-silent", self._where, "nobody sees how far it is, nor can stop it", advice)

    @property
    def _name(self) -> str:
        return f"{self.offer.name}{self.offer.suffix}"

    def _export(self, folder: str, options: Mapping[str, Any] | None = None, **more: Any) -> str:
        """Export into a folder of its own; a digest of what came of it."""
        self.notes.checked["exports"] += 1
        place = self.work / folder
        place.mkdir(exist_ok=True)
        given = self.options if options is None else options
        more = {"listener": lambda _: None, **more}
        self.node.export(self.package, place / self._name, form=self.offer.name, options=given, **more)
        return self._digest(folder)

    def _digest(self, folder: str) -> str:
        """Names and bytes of what lies there."""
        place, digest = self.work / folder / self._name, hashlib.sha256()
        for path in sorted([place, *place.rglob("*")]):
            digest.update(os.fsencode(path.relative_to(place)) + b"\0" + (path.read_bytes() if path.is_file() else b""))
        return digest.hexdigest()

    def _nothing_is_left(self, folder: str, allowed: str = "") -> None:
        if left := sorted(set(os.listdir(self.work / folder)) - {allowed}):
            self.notes.error("export-left", self._where, f"it left {', '.join(left)}")
