"""A node that asks another one for itself: it finds and reads what everybody there was granted, and states nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from diadem.errors import NotFound, Refused
from diadem.model.canonical import encode
from diadem.network.askers import find_asker
from diadem.network.exchange import Request, Services
from diadem.network.handlers import routes
from tests.transfer.towns import Town


def answered(town: Town, method: str, path: str, digits: str = "", document: dict[str, Any] | None = None) -> Any:
    """What hu-berlin answers to nmi."""
    context = town.node("hu-berlin").context
    asker = find_asker(context, town.node("nmi").context.keys.open("online").public.key_id)
    body = encode(document, where="test") if document is not None else b""
    request = Request(method, path, {"package": digits, "number": "0"}, body=body, asker=asker)
    route = next(one for one in routes() if (one.method, one.path) == (method, path))
    return route.handler(request, Services(context, lambda key: find_asker(context, key), "test"))


def test_a_peer_finds_and_reads_what_everybody_there_was_granted(town: Town, tmp_path: Path) -> None:
    town.meet("hu-berlin", "nmi")
    hu, name = town.node("hu-berlin"), town.book("hu-berlin").get(town.node("nmi").id).name
    ids = []
    for title in ("one", "two"):
        (tmp_path / title).mkdir()
        (tmp_path / title / "notes.txt").write_text(title)
        ids.append(str(hu.archive(tmp_path / title, now=True).package.id))
    asked = {"query": "", "limit": 10, "offset": 0}
    assert json.loads(answered(town, "POST", "search", document=asked).body)["rows"] == []
    hu.grant(ids[0], f"*@{name}", ["read", "assess"])
    hu.grant(ids[1], f"marie@{name}")
    found = json.loads(answered(town, "POST", "search", document=asked).body)
    assert [(row["id"], row["stores"]) for row in found["rows"]] == [(ids[0], [])]
    assert json.loads(answered(town, "GET", "packages/{package}/record", ids[0][7:]).body)["datasets"]
    assert answered(town, "GET", "packages/{package}/tags", ids[0][7:]).status == 200
    with pytest.raises(NotFound):
        answered(town, "GET", "packages/{package}", ids[1][7:])
    wish = {"kind": "assessment", "package": ids[0], "judgement": {"verdict": "accept", "purpose": "imaging"}}
    with pytest.raises(Refused, match="only users of this node"):
        answered(town, "POST", "statements/prepare", document=wish)
