"""The record without people: written anew, so that nothing of the old one is left in it by accident."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from diadem.export.terms import PERSON, REMOVED, Terms, meaning
from diadem.model.record import Record, understood
from diadem.serialization.record_writer import RecordWriter
from diadem.serialization.validation import admitted

#: Members of a dataset that this version knows; what a later one adds cannot be looked through, and is left out.
_KNOWN: Final = ("id", "files", "signals", "fields", "raw", "issues", "extraction", "extensions")
#: Members of an issue that are no free text.
_FIXED: Final = frozenset({"code", "severity", "file"})


def learn_from(record: Record, terms: Terms) -> None:
    """Learn from a record who and what is to be taken out."""
    for person in record.people:
        for key in ("name", "email", "orcid"):
            if person.get(key):
                terms.add(str(person[key]).removeprefix("https://orcid.org/"), PERSON)
    if record.sample.get("provider"):
        provider = str(record.sample["provider"])
        terms.add(provider, PERSON if len(provider.split()) == 2 else "provider")  # Karl Weiss, AG Koch; not a faculty
    for part in (record.session, record.sample, record.instrument, record.extensions, record.omitted):
        terms.learn(part)
    for _, dataset in understood(record.datasets):
        for key, assertions in dataset.document.get("fields", {}).items():
            for assertion in assertions:
                source = assertion.get("source", {})
                kind = PERSON if key.startswith("person.") and key != "person.role" else None
                terms.learn([assertion.get("value"), source.get("raw")], kind)
                if source.get("person"):
                    terms.add(str(source["person"]))
        for name in ("signals", "issues", "extensions"):
            terms.learn(dataset.document.get(name, ()))


class Cleaner:
    """Writes a record again without the terms, all of which were learned before, and counts by kind what it `removed`.

    With `paths` paths of files are cleaned too: not where the files go along under these names.
    """

    def __init__(self, terms: Terms, *, paths: bool) -> None:
        self._terms = terms
        self._paths = paths
        self.removed: Counter[str] = Counter()

    def record(self, record: Record) -> bytes:
        """The record as bytes."""
        stream = io.BytesIO()
        writer = RecordWriter(stream, metadata=self._metadata(record))
        lost = len(record.datasets)
        for _, dataset in understood(record.datasets):
            writer.add(self.dataset(dataset.document))
            lost -= 1
        if lost:
            self.removed["datasets of a later version"] += lost
        writer.finish(
            omitted=[self._tree(dict(item), "texts") for item in record.omitted],
            empty_dirs=[folder for folder in record.empty_dirs if not self._terms.stand_in(folder)],
            continues=record.continues,
        )
        return stream.getvalue()

    def _metadata(self, record: Record) -> dict[str, Any]:
        sample = dict(record.sample)
        if sample.pop("provider", None) is not None:
            self.removed["sample.provider"] += 1
        if record.people:
            self.removed["people"] += len(record.people)
        parts = {"session": record.session, "sample": sample, "instrument": record.instrument}
        metadata = {name: self._tree(part, "texts") for name, part in parts.items()}
        if record.extensions:
            metadata["extensions"] = self._tree(record.extensions, "extensions")
        return metadata

    def dataset(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """One dataset."""
        known = {key: document[key] for key in _KNOWN if key in document}
        fields = {key: items for key, items in known["fields"].items() if not key.startswith("person.")}
        for key in known["fields"].keys() - fields.keys():
            self.removed[key] += 1
        if known["raw"]:
            self.removed["vendor metadata blocks"] += len(known["raw"])
        changed = {
            "files": [self._file(file) for file in known["files"]],
            "signals": [self._signal(signal) for signal in known["signals"]],
            "fields": {key: [self._assertion(item) for item in items] for key, items in fields.items()},
            "raw": [],
            "issues": [self._issue(issue) for issue in known["issues"]],
            "extraction": self._tree(known["extraction"], "texts"),
        }
        if known.get("extensions"):
            changed["extensions"] = {
                name: {**extension, "data": self._tree(extension.get("data"), "extensions")}
                for name, extension in known["extensions"].items()
            }
        result = admitted({**known, **changed})
        result["issues"] = [self._issue(issue) for issue in result["issues"]]
        return result

    def _file(self, file: Mapping[str, Any]) -> dict[str, Any]:
        return {**file, "path": self._text(file["path"], places=False)} if self._paths else dict(file)

    def _signal(self, signal: Mapping[str, Any]) -> dict[str, Any]:
        return {**signal, "title": self._text(signal["title"])} if "title" in signal else dict(signal)

    def _issue(self, issue: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value if key in _FIXED else self._tree(value, "texts") for key, value in issue.items()}

    def _assertion(self, assertion: Mapping[str, Any]) -> dict[str, Any]:
        source = dict(assertion["source"])
        if "person" in source:
            source["person"] = REMOVED
        if "locator" in source:
            source["locator"] = self._text(source["locator"], places=False)
        if "raw" in source:
            source["raw"] = self._tree(source["raw"], "texts")
        return {**assertion, "value": self._tree(assertion["value"], "texts"), "source": source}

    def _text(self, text: str, *, places: bool = True) -> str:
        cleaned = self._terms.cleaned(text, places=places)
        self.removed["texts"] += cleaned != text
        return cleaned

    def _tree(self, value: Any, kind: str) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            kept = {key: item for key, item in value.items() if meaning(str(key)) is None}
            self.removed[kind] += len(value) - len(kept)
            return {key: self._tree(item, kind) for key, item in kept.items()}
        if isinstance(value, list | tuple):
            return [self._tree(item, kind) for item in value]
        return value
