"""Another form of packages: which exporter of a plugin, its options, what it is called to do, and what came of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diadem.errors import DiademError, PluginError, UsageError
from diadem.export import stage
from diadem.hooks.exporters import ExportSource, ExportTarget
from diadem.hooks.offers import ExporterOffer, target
from diadem.model.display import Display
from diadem.model.manifest import PackageId
from diadem.model.plain_text import first_of
from diadem.model.ports import Listener
from diadem.store.system import translated
from diadem.terms.dates import is_moment


@dataclass(frozen=True, slots=True)
class ExportedForm(Display):
    """What left in another form.

    Attributes
    ----------
    form : str
        Name of the exporter.
    place : str
        The file or folder, or the address in the service.
    to : str
        For whom.
    packages : sequence of PackageId
        Of what.
    dataset : str
        The one dataset that was exported, or "".
    files, bytes, sha256
        Of what was written: of a folder the SHA-256 of its list of digests; 0 and "" for a service and a dry run.
    identifiers : sequence of str
        What the service calls it: ``doi:10.5281/zenodo.123``.
    statements : sequence of str
        The `handover` in the log; none for a dry run.
    told : sequence of (label, text)
        What the exporter says.
    damaged : sequence of str
        Stores whose copy turned out to be damaged; the bytes came from another.
    unopened : sequence of (PackageId, reason)
        Packages that a dry run could not open: with them nothing would be exported.
    done : bool
        False for a dry run.
    seconds : float
        How long it took.
    """

    form: str
    place: str
    to: str
    packages: Sequence[PackageId]
    dataset: str = ""
    files: int = 0
    bytes: int = 0
    sha256: str = ""
    identifiers: Sequence[str] = ()
    statements: Sequence[str] = ()
    told: Sequence[tuple[str, str]] = ()
    damaged: Sequence[str] = ()
    unopened: Sequence[tuple[PackageId, str]] = ()
    done: bool = True
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all of it left, or would leave: what cannot be exported raises."""
        return not self.unopened

    def to_dict(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "ok": self.ok,
            "done": self.done,
            "form": self.form,
            "path": self.place,
            "to": self.to,
            "packages": [str(one) for one in self.packages],
            "dataset": self.dataset or None,
            "files": self.files,
            "bytes": self.bytes,
            "sha256": self.sha256,
            "identifiers": list(self.identifiers),
            "statement": self.statements[0] if self.statements else "",
            "told": dict(self.told),
            "damaged": list(self.damaged),
            "unopened": [{"package": str(one), "reason": reason} for one, reason in self.unopened],
            "seconds": round(self.seconds, 3),
        }


def chosen(offers: Sequence[ExporterOffer], name: str, kind: str) -> ExporterOffer:
    """The exporter of a name, which takes such a thing: a package, a dataset, a search. Raises `UsageError`."""
    found = next((offer for offer in offers if offer.name == name), None)
    if found is None:
        known = ", ".join(sorted(offer.name for offer in offers)) or "none"
        raise UsageError(f"there is no form '{name}' to export to", next=f"There are zip, {known}: diadem plugins")
    if kind not in found.takes:
        raise UsageError(f"'{name}' exports no {kind}", next=f"It takes a {' or a '.join(found.takes)}.")
    return found


def checked_options(offer: ExporterOffer, options: Mapping[str, Any] | Sequence[str]) -> dict[str, Any]:
    """Options, or texts of them, as the exporter is given them. Raises `UsageError` for those its schemas refuse."""
    import jsonschema

    given = options if isinstance(options, Mapping) else _options_of(offer, options)
    if unknown := sorted(given.keys() - offer.options.keys()):
        known = first_of(sorted(offer.options), 20) or "none"
        raise UsageError(f"'{offer.name}' has no option '{unknown[0]}'", next=f"It has {known}.")
    formats = jsonschema.FormatChecker(("date",))
    formats.checks("moment")(lambda text: not isinstance(text, str) or is_moment(text))
    for name, value in given.items():
        schema = dict(offer.options[name])
        errors = jsonschema.Draft202012Validator(schema, format_checker=formats).iter_errors(value)
        if (error := next(errors, None)) is not None:
            about, kind = str(schema.get("description", "")), error.validator_value
            said = f"{value!r} is not a possible {kind}" if error.validator == "format" else error.message
            said = f"{value!r} is not {_KINDS.get(str(kind), kind)}" if error.validator == "type" else said
            raise UsageError(f"option '{name}' of '{offer.name}': {said[:300]}", next=about)
    defaults = {name: schema["default"] for name, schema in offer.options.items() if "default" in schema}
    return {**defaults, **given}


def _options_of(offer: ExporterOffer, texts: Sequence[str]) -> dict[str, Any]:
    """Options as people write them: ``files=true``, ``publish``, ``atom_types=Si,O`` (a list; or with semicolons)."""
    found: dict[str, Any] = {}
    for text in texts:
        name, given, value = text.partition("=")
        name = name.strip().replace("-", "_")
        kind = offer.options.get(name, {}).get("type", "string")
        try:
            found[name] = _READ.get(kind, str)(value.strip() if given else "true")
        except (KeyError, ValueError):
            about = str(offer.options.get(name, {}).get("description", ""))
            meant = _KINDS.get(kind, kind)
            raise UsageError(f"option '{name}' of '{offer.name}' is {meant}, not '{value}'", next=about) from None
    return found


#: What the types of JSON Schema are called to people.
_KINDS: Mapping[str, str] = {
    "array": "a list", "boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"
}  # fmt: skip
_READ: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: {"true": True, "yes": True, "false": False, "no": False}[text.lower()],
    "integer": int,
    "number": float,
    "array": lambda text: [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()],
}


def write(
    offer: ExporterOffer,
    source: ExportSource,
    path: Path,
    options: Mapping[str, Any],
    listener: Listener,
    **said: Callable[..., None],
) -> dict[str, Any]:
    """Write a file or folder whole or not at all: ``files``, ``bytes``, ``sha256``, ``told``. `said`: see `stage`."""
    written, told = stage.write(
        path,
        lambda draft: run(offer, source, ExportTarget(draft, name=path.name), options),
        listener,
        suffix=offer.suffix,
        folder=offer.writes == "folder",
        **said,
    )
    return {"files": written.files, "bytes": written.bytes, "sha256": written.sha256, "told": told}


def run(
    offer: ExporterOffer, source: ExportSource, goal: ExportTarget, options: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Call an exporter; what it tells the user. A failure of its own is a `PluginError` that names it."""
    with _attributed(offer), translated(goal.url or str(goal.path), stage.NOTHING):
        said = target(offer.export)(source, goal, **options)
        return [(str(label), str(text)) for label, text in dict(said or {}).items()]


@contextlib.contextmanager
def _attributed(offer: ExporterOffer) -> Iterator[None]:
    try:
        yield
    except DiademError:
        raise
    except Exception as error:  # whatever a plugin raises
        words = " ".join(str(error).split())[:300]
        raise PluginError(f"the exporter '{offer.name}' failed: {type(error).__name__}: {words}") from error
