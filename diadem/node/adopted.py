"""Folders that were adopted where they lie: a copy that people may rename, move and edit, and that we never write.

::

    <node>/adopted/<64 hex of the package id>/bag/…          the sealed tag and metadata files
    <node>/adopted/<64 hex of the package id>/location.json  where the folder is, and how its names were mapped
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diadem.errors import NotFound
from diadem.model.ports import Bundle
from diadem.model.replicas import ReplicaState
from diadem.node.catalogue import Catalogue
from diadem.node.context import Context


def adopted_bundle(context: Context, package_id: str, replica: ReplicaState) -> Bundle:
    """The files of an adopted copy, through its mapping of names."""
    raise NotFound("this adopted copy is not known here", where=replica.path, next="Run: diadem rescan")


def enter_adopted(
    context: Context, fresh: Catalogue, ingests: Mapping[str, Mapping[str, Any]], notes: list[str]
) -> dict[tuple[str, str], str]:
    """Enter every adopted folder in a catalogue that is being built."""
    return {}
