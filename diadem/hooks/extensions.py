"""Metadata that no field of the record holds: a community's own, under a name that the community owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Extension:
    """Metadata of a dataset under a namespace, yielded beside blocks by the function that `FieldsOffer.blocks` names.

    Whoever offers a JSON Schema for the namespace and version (`SchemaOffer`) has it judged by the core: what is valid
    is marked so, what breaks its schema is left out and named in an issue. Without a schema it is kept, unjudged.

    Attributes
    ----------
    namespace : str
        In reverse domain order, lower case: ``org.example.cl``.
    version : str
        Of the schema: ``1.0.0``.
    data : object
        Plain JSON: mappings, lists, texts, finite numbers, true, false, null. What is unknown is left out.
    """

    namespace: str
    version: str
    data: Any
