"""Objects that are equal in many datasets are stored once: `shared` in the record, ``{"ref": id}`` in its place.

An assertion that differs from another only in its value shares the rest, its *form*: ``{"ref": "a7", "value": 12,
"raw": "12 mm"}`` is the shared object with this value and this `source.raw`. Fields that come together again and again
are one reference in `fields`. The first occurrence of anything stays where it is; from the second on there is a
reference. A shared group of fields refers to assertions, and nothing else that is shared refers to anything, so
nothing can loop.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from mmap import mmap
from typing import Any, Final

from diadem.errors import DocumentError
from diadem.serialization.strict_json import canonical, compact

#: Kinds of shared objects, and the letter that their ids begin with.
KINDS: Final[Mapping[str, str]] = {"assertions": "a", "fields": "f", "signals": "s", "extractions": "e"}
#: Slots of the table of what was met once: 8 MiB. A forgotten one costs a little space in the record, never a value.
_SLOTS: Final = 1 << 20
#: Bytes of shared objects kept until the end; beyond that, new ones stay where they are.
_MOST_SHARED: Final = 16 << 20


class Pool:
    """What a writer has met so far. Memory does not grow with the number of datasets."""

    def __init__(self) -> None:
        self._met = memoryview(mmap(-1, 8 * _SLOTS)).cast("Q")  # a small record touches few of its pages
        self._ids: dict[tuple[str, bytes], str] = {}
        self._texts: dict[str, list[tuple[str, bytes]]] = {kind: [] for kind in KINDS}
        self._size = 0

    def compressed(self, dataset: Mapping[str, Any]) -> dict[str, Any]:
        """The dataset with references in place of what was met before."""
        result = dict(dataset)
        fields: Mapping[str, Any] = dataset.get("fields", {})
        result["fields"] = self._grouped({key: [self._assertion(item) for item in fields[key]] for key in fields})
        result["signals"] = [self._whole("signals", item) or item for item in dataset.get("signals", ())]
        if extraction := dataset.get("extraction"):
            result["extraction"] = self._whole("extractions", extraction) or extraction
        return result

    def shared(self) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
        """Each kind with its shared objects as (id, JSON)."""
        return ((kind, shared) for kind, shared in self._texts.items() if shared)

    def _assertion(self, item: dict[str, Any]) -> dict[str, Any]:
        if (whole := self._whole("assertions", item)) is not None:
            return whole
        form, own = _split(item)
        formed = self._whole("assertions", form)
        return {**formed, **own} if formed is not None else item

    def _grouped(self, fields: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        """The fields, with one reference for all those that are references and came together before."""
        group = {key: items for key, items in fields.items() if all(item.keys() == {"ref"} for item in items)}
        reference = self._whole("fields", group) if len(group) > 1 else None
        return fields if reference is None else {**reference, **{k: v for k, v in fields.items() if k not in group}}

    def _whole(self, kind: str, item: Mapping[str, Any]) -> dict[str, Any] | None:
        """A reference, if an equal object was met before."""
        text = canonical(item)
        known = self._ids.get((kind, text))
        if known is None and self._seen(kind, text) and self._size + len(text) <= _MOST_SHARED:
            known = self._share(kind, text, item)
        return None if known is None else {"ref": known}

    def _seen(self, kind: str, text: bytes) -> bool:
        """Whether it was met before, and note it. A false yes is harmless: it is shared with one reference."""
        digest = int.from_bytes(blake2b(text, digest_size=8, person=kind.encode()).digest(), "big") or 1
        slot = digest % _SLOTS
        if self._met[slot] == digest:
            return True
        self._met[slot] = digest
        return False

    def _share(self, kind: str, text: bytes, item: Mapping[str, Any]) -> str:
        shared = self._texts[kind]
        name = f"{KINDS[kind]}{len(shared) + 1}"
        shared.append((name, compact(item, where=name)))
        self._ids[kind, text] = name
        self._size += len(text)
        return name


def _split(item: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """An assertion's form, and what is its own."""
    form = {key: value for key, value in item.items() if key != "value"}
    own = {"value": item["value"]} if "value" in item else {}
    source = item.get("source")
    if isinstance(source, Mapping) and "raw" in source:
        form["source"] = {key: value for key, value in source.items() if key != "raw"}
        own["raw"] = source["raw"]
    return form, own


def resolved(dataset: Mapping[str, Any], shared: Mapping[str, Mapping[str, Any]], *, where: str) -> dict[str, Any]:
    """The dataset with every reference replaced. Raises `DocumentError` where one leads nowhere, or to another."""
    result = dict(dataset)
    if isinstance(fields := dataset.get("fields"), dict):
        result["fields"] = _fields(fields, shared, where)
    if isinstance(signals := dataset.get("signals"), list):
        result["signals"] = [_referred(item, "signals", shared, where) for item in signals]
    if "extraction" in dataset:
        result["extraction"] = _referred(dataset["extraction"], "extractions", shared, where)
    return result


def _fields(fields: dict[str, Any], shared: Mapping[str, Mapping[str, Any]], where: str) -> dict[str, Any]:
    if "ref" in fields:
        group = _referred({"ref": fields["ref"]}, "fields", shared, where)
        fields = {**group, **{key: items for key, items in fields.items() if key != "ref"}}
    return {
        key: [_referred(item, "assertions", shared, where) for item in items] if isinstance(items, list) else items
        for key, items in fields.items()
    }


def _referred(item: Any, kind: str, shared: Mapping[str, Mapping[str, Any]], where: str) -> Any:
    if not isinstance(item, dict) or "ref" not in item:
        return item
    name = item["ref"]
    target = shared.get(kind, {}).get(name) if isinstance(name, str) else None
    if not isinstance(target, dict) or "ref" in target:
        raise DocumentError(
            f"the reference {str(name)[:80]!r} leads to no shared object",
            where=where,
            next="The record is damaged: verify the package.",
        )
    return target if len(item) == 1 else _completed(target, item, where)


def _completed(form: dict[str, Any], own: dict[str, Any], where: str) -> dict[str, Any]:
    """A shared form with the value, and the raw value, of one assertion."""
    if own.keys() - {"ref", "value", "raw"}:
        raise DocumentError("only value and raw may be beside a reference", where=where)
    result = {**form, **{key: own[key] for key in ("value",) if key in own}}
    if "raw" in own:
        source = form.get("source")
        result["source"] = {**source, "raw": own["raw"]} if isinstance(source, dict) else {"raw": own["raw"]}
    return result
