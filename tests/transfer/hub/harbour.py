"""A hub and its spokes in this process: requests go to the hub's own handlers, without a socket."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import diadem
from diadem.custody.statements import permit
from diadem.errors import DiademError
from diadem.model.canonical import encode
from diadem.model.policy import Hub as Rules
from diadem.network.askers import find_asker
from diadem.network.exchange import PARAMETERS, Request, Response, Services, nothing_here, problem_of
from diadem.network.handlers import routes
from diadem.network.hub.hub import Hub, hub_of
from diadem.node.context import Context
from diadem.trust.base64_text import to_base64
from diadem.trust.http_signature import body_digest
from tests.transfer.towns import Town

HUB, A, B, C = "hub", "hu-berlin", "nmi", "oslo"
NAMES = (HUB, A, B, C)
#: Small enough that each limit is seen at once.
RULES = Rules(
    max_size=3_000_000,
    max_per_spoke=1_000_000,
    max_objects=20,
    max_messages=40,
    keep=datetime.timedelta(days=2),
    free=0,
)
NOTHING = nothing_here().body


def become_hub(context: Context, rules: Rules = RULES) -> None:
    """Let a node be a hub with these limits."""
    context.change_settings(lambda settings: replace(settings, server=replace(settings.server, hub=True)))
    context.__dict__["policy"] = replace(context.policy, hub=rules)


def body_of(response: Response) -> bytes:
    """The bytes of an answer."""
    body = response.body
    return body if isinstance(body, bytes) else b"".join(body)


@dataclass
class Answer:
    """What the hub answers."""

    status: int
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found

    @property
    def nothing(self) -> bool:
        """Whether it is the one answer to whom nothing is told."""
        return self.status == 404 and self.body == NOTHING


@dataclass
class Harbour:
    """A hub with three spokes, and whoever asks it."""

    town: Town

    @property
    def context(self) -> Context:
        return self.town.node(HUB).context

    @property
    def hub(self) -> Hub:
        return hub_of(self.context)

    @property
    def folder(self) -> Path:
        return self.context.folder / "hub"

    def node(self, name: str) -> diadem.Node:
        return self.town.node(name)

    def id(self, name: str) -> str:
        return self.node(name).id

    def ask(
        self, who: str, method: str, path: str, body: bytes = b"", *, query: Mapping[str, str] | None = None
    ) -> Answer:
        """Have a request answered, as the listener would after it has proven signature and digest."""
        key = self.node(who).context.keys.open("online").public
        asker = find_asker(self.context, key.key_id)
        assert asker is not None
        for route in routes():
            names = re.findall(r"\{([a-z]+)\}", route.path)
            pattern = re.sub(r"\{([a-z]+)\}", lambda found: f"(?P<{found[1]}>{PARAMETERS[found[1]]})", route.path)
            found = re.fullmatch(pattern, path)
            if route.method == method and found:
                assert len(body) <= route.body
                headers = {"content-digest": f"sha-256=:{to_base64(body_digest(body))}:"}
                params = {name: found[name] for name in names}
                request = Request(method, route.path, params, query or {}, headers, body, asker)
                services = Services(self.context, lambda _: asker, "test")
                try:
                    response = route.handler(request, services)
                except DiademError as error:
                    response = problem_of(error)
                return Answer(response.status, body_of(response))
        raise AssertionError(f"no such route: {method} {path}")

    # -- what is asked again and again ---------------------------------------------------------------------------------

    def permit_line(self, sender: str = A, recipient: str = B, **changes: Any) -> tuple[str, bytes]:
        """A permit in the recipient's log, and the relay that it opens."""
        relay = changes.pop("relay", "") or secrets.token_hex(16)
        ids = changes.pop("ids", {})
        given: dict[str, Any] = {
            "hub": self.id(HUB),
            "sender": self.id(sender),
            "recipient": self.id(recipient),
            "ceiling": 500_000,
            "expires": datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1),
        }
        (entry,) = self.node(recipient).context.say([permit(relay, **{**given, **changes, **ids})])
        return relay, entry.line

    def opened(self, sender: str = A, recipient: str = B, **changes: Any) -> str:
        """A relay that is open."""
        relay, line = self.permit_line(sender, recipient, **changes)
        answer = self.ask(recipient, "PUT", f"hub/mailboxes/{relay}", line)
        assert answer.status == 200, answer.body
        return relay

    def put(self, relay: str, name: str, data: bytes, who: str = A) -> Answer:
        return self.ask(who, "PUT", f"hub/mailboxes/{relay}/{name}", data)

    def names(self, relay: str, who: str = B) -> list[str]:
        answer = self.ask(who, "GET", f"hub/mailboxes/{relay}")
        return [one["name"] for one in answer.said["objects"]] if answer.status == 200 else []

    def taken(self, relay: str, *names: str, who: str = B) -> Answer:
        return self.ask(who, "POST", f"hub/mailboxes/{relay}/taken", encode({"names": list(names)}, where="test"))

    def end(self, relay: str, who: str = B) -> Answer:
        return self.ask(who, "POST", f"hub/mailboxes/{relay}/end", b"{}")

    def used(self, who: str = B) -> dict[str, int]:
        used = self.ask(who, "GET", "hub").said["used"]
        assert isinstance(used, dict)
        return used

    def files(self) -> list[str]:
        """What lies on the disk of the hub."""
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file())

    def carried(self) -> list[str]:
        """The same without the book."""
        return [path for path in self.files() if not path.startswith("hub.sqlite")]

    def empty(self) -> None:
        """Forget everything."""
        with self.hub.file.writing() as connection:
            for table in ("senders", "sent", "mailboxes", "objects"):
                connection.execute(f"DELETE FROM {table}")
        for path in self.carried():
            (self.folder / path).unlink()

    def later(self, **time: float) -> None:
        """Put the hub's clock forward."""
        moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(**time)
        self.context.clock = lambda: moment


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
