"""Boxes of a hub: who may put messages there, how many, and who takes them."""

from __future__ import annotations

import errno
import secrets
from collections.abc import Sequence
from dataclasses import replace

import pytest

from diadem.model.canonical import encode
from diadem.model.peers import PeerState
from diadem.network.handlers import hub as handlers
from diadem.network.hub import mailboxes
from diadem.network.hub.notes import open_note
from diadem.network.limits import MAX_SEALED, MESSAGES_BY_INVITATION, SHARE_OF_BOX
from diadem.store.bags import LocalFile
from diadem.trust.base64_text import to_base64
from tests.transfer.hub.harbour import HUB, RULES, A, Answer, B, C, Harbour, sha256

INVITATION = sha256(b"the secret of a ticket")


def allow(harbour: Harbour, *names: str, owner: str = B, invitations: Sequence[str] = ()) -> None:
    said = {"from": [harbour.id(name) for name in names], "invitations": list(invitations)}
    assert harbour.ask(owner, "PUT", f"hub/mailboxes/{harbour.id(owner)}", encode(said, where="test")).status == 200


def send(
    harbour: Harbour, data: bytes = b"sealed", *, who: str = A, to: str = B, id_: str = "", by: str = ""
) -> Answer:
    query = {"invitation": by} if by else {}
    return harbour.ask(who, "PUT", f"hub/mailboxes/{harbour.id(to)}/{id_ or secrets.token_hex(16)}", data, query=query)


def waiting(harbour: Harbour, who: str = B) -> list[str]:
    answer = harbour.ask(who, "GET", f"hub/mailboxes/{harbour.id(who)}")
    return [one["name"] for one in answer.said["objects"]] if answer.status == 200 else []


def take(harbour: Harbour, *ids: str, who: str = B) -> Answer:
    return harbour.ask(
        who, "POST", f"hub/mailboxes/{harbour.id(who)}/taken", encode({"names": list(ids)}, where="test")
    )


def test_a_message_waits_until_its_owner_has_it(harbour: Harbour) -> None:
    allow(harbour, A)
    first, second = secrets.token_hex(16), secrets.token_hex(16)
    answer = send(harbour, b"one", id_=first)
    note = open_note(answer.said["stored"], hub=harbour.id(HUB), key=harbour.context.keys.open("online").public)
    assert (note.mailbox, note.names, note.sha256) == (harbour.id(B), (first,), (sha256(b"one"),))
    harbour.later(seconds=2)
    send(harbour, b"second", id_=second)
    assert waiting(harbour) == [first, second]
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}/{second}").body == b"second"
    assert harbour.used() == {"bytes": 9, "objects": 0, "messages": 2}
    assert take(harbour, first, "0" * 32).status == 200
    assert waiting(harbour) == [second]
    assert take(harbour, first, second).status == 200
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}").status == 204
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}/{second}").nothing
    assert harbour.carried() == []


def test_small_messages_come_with_the_list(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers, "MAX_GIVEN_AT_ONCE", 10)
    allow(harbour, A)
    for number, data in enumerate([b"sealed", b"sealed too", b"more"]):
        send(harbour, data, id_=str(number) * 32)
    told = harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}").said["objects"]
    assert [one.get("data") for one in told] == [to_base64(b"sealed"), None, to_base64(b"more")]
    relay = harbour.opened()
    harbour.put(relay, "2-0-1", b"sealed")
    assert "data" not in harbour.ask(B, "GET", f"hub/mailboxes/{relay}").said["objects"][0]


def test_a_message_is_put_once(harbour: Harbour) -> None:
    allow(harbour, A, C)
    message = secrets.token_hex(16)
    assert send(harbour, b"one", id_=message).status == 200
    assert send(harbour, b"one", id_=message).status == 200
    assert send(harbour, b"two", id_=message).status == 409
    assert send(harbour, b"one", id_=message, who=C).status == 409
    assert waiting(harbour) == [message]
    take(harbour, message)
    (harbour.folder / "mailboxes" / harbour.id(B) / message).write_bytes(b"one")  # a program held it open, say
    assert send(harbour, b"two", id_=message).status == 200
    harbour.hub.sweep()
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}/{message}").body == b"two"


def test_only_whom_the_owner_named(harbour: Harbour) -> None:
    assert send(harbour).nothing  # nobody is named yet
    assert send(harbour, to=C).nothing
    allow(harbour, A)
    assert send(harbour, who=C).nothing
    assert send(harbour, by=INVITATION, who=C).nothing
    allow(harbour, invitations=[INVITATION])
    assert send(harbour).nothing  # the new list counts alone
    assert send(harbour, who=C, by=INVITATION).status == 200
    assert send(harbour, who=C, by=sha256(b"guessed")).nothing


def test_a_box_of_nobody(harbour: Harbour) -> None:
    assert harbour.ask(A, "PUT", f"hub/mailboxes/{'ab' * 32}/{'0' * 32}", b"sealed").nothing


def test_another_ones_messages(harbour: Harbour) -> None:
    allow(harbour, A)
    message = secrets.token_hex(16)
    send(harbour, id_=message)
    for who in (A, C):
        assert harbour.ask(who, "GET", f"hub/mailboxes/{harbour.id(who)}/{message}").nothing
        assert harbour.ask(who, "GET", f"hub/mailboxes/{harbour.id(B)}/{message}").nothing
        assert harbour.ask(who, "GET", f"hub/mailboxes/{harbour.id(B)}").nothing
        assert waiting(harbour, who) == []
        take(harbour, message, who=who)
    assert waiting(harbour) == [message]


def test_one_sender_fills_a_part_of_a_box_only(harbour: Harbour) -> None:
    allow(harbour, A, C)
    share = RULES.max_messages // SHARE_OF_BOX
    statuses = [send(harbour, b"x").status for _ in range(share + 2)]
    assert statuses == [200] * share + [507] * 2
    assert send(harbour, who=C).status == 200


def test_an_invitation_is_no_door_for_many(harbour: Harbour) -> None:
    allow(harbour, invitations=[INVITATION])
    statuses = [send(harbour, who=C, by=INVITATION).status for _ in range(MESSAGES_BY_INVITATION + 1)]
    assert statuses == [200] * MESSAGES_BY_INVITATION + [507]


def test_a_sender_that_sends_too_often(harbour: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailboxes, "MESSAGES_AN_HOUR", 3)
    allow(harbour, A, C)
    statuses = []
    for _ in range(4):
        message = secrets.token_hex(16)
        statuses.append(send(harbour, id_=message).status)
        take(harbour, message)
    assert statuses == [200, 200, 200, 507]
    assert send(harbour, who=C).status == 200
    harbour.later(hours=1)
    assert send(harbour).status == 200


def test_messages_expire(harbour: Harbour) -> None:
    allow(harbour, A)
    send(harbour)
    harbour.later(days=2, seconds=5)
    assert harbour.hub.sweep().messages == 1
    assert waiting(harbour) == []
    assert harbour.carried() == []
    assert harbour.used() == {"bytes": 0, "objects": 0, "messages": 0}


def test_who_may_put_there_is_remembered_of_a_spoke_that_is_not_confirmed_just_then(harbour: Harbour) -> None:
    allow(harbour, A)
    send(harbour)
    book = harbour.town.book(HUB)
    peer = book.get(harbour.id(B))
    book.put(replace(peer, state=PeerState.PENDING))
    try:
        assert send(harbour).nothing
        assert harbour.hub.sweep().messages == 1
        assert harbour.carried() == []
    finally:
        book.put(peer)
    assert send(harbour).status == 200
    assert send(harbour, who=C).nothing


def test_a_spoke_that_is_confirmed_during_a_sweep_loses_nothing(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(harbour, A)
    harbour.opened(C, A)
    book = harbour.town.book(HUB)
    peer = book.get(harbour.id(B))
    book.put(replace(peer, state=PeerState.PENDING))
    end = mailboxes.Mailboxes.end

    def confirmed_meanwhile(self: mailboxes.Mailboxes, mailbox: str, how: str) -> list[mailboxes.Held]:
        book.put(peer)
        assert send(harbour, id_="0" * 32).status == 200
        return end(self, mailbox, how)

    monkeypatch.setattr(mailboxes.Mailboxes, "end", confirmed_meanwhile)
    try:
        harbour.later(hours=25)  # the relay ends
        assert harbour.hub.sweep().relays == 1
    finally:
        book.put(peer)
    assert waiting(harbour) == ["0" * 32]


def test_a_message_that_cannot_be_read_now_keeps_no_other_from_being_listed(
    harbour: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(harbour, A)
    first, second = "0" * 32, "1" * 32
    send(harbour, b"bad", id_=first)
    send(harbour, b"sealed", id_=second)
    read = LocalFile.read_at

    def fails(self: LocalFile, offset: int, length: int) -> bytes:
        if self.size == 3:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, offset, length)

    monkeypatch.setattr(LocalFile, "read_at", fails)
    listed = harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}").said["objects"]
    assert [(one["name"], one.get("data")) for one in listed] == [(first, None), (second, to_base64(b"sealed"))]


@pytest.mark.parametrize(
    "said",
    [
        {"from": []},
        {"from": [], "invitations": [], "more": []},
        {"from": "all", "invitations": []},
        {"from": ["../../etc"], "invitations": []},
        {"from": [7], "invitations": []},
        {"from": [], "invitations": ["short"]},
        {"from": [], "invitations": [INVITATION] * 101},
    ],
)
def test_lists_that_are_none(harbour: Harbour, said: dict[str, object]) -> None:
    assert harbour.ask(B, "PUT", f"hub/mailboxes/{harbour.id(B)}", encode(said, where="test")).status == 400


def test_a_message_that_the_disk_lost_keeps_no_other_waiting(harbour: Harbour) -> None:
    allow(harbour, A)
    lost, other = "0" * 32, "1" * 32
    for message in (lost, other):
        send(harbour, b"sealed", id_=message)
    (harbour.folder / "mailboxes" / harbour.id(B) / lost).unlink()
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}/{lost}").nothing
    assert waiting(harbour) == [other]
    assert send(harbour, b"sealed", id_=lost).status == 200
    assert sorted(waiting(harbour)) == [lost, other]


def test_a_message_is_no_window_and_a_window_no_message(harbour: Harbour) -> None:
    allow(harbour, A)
    relay = harbour.opened()
    assert harbour.put(relay, "0" * 32, b"sealed").nothing
    assert send(harbour, id_="2-0-1").nothing
    too_large = send(harbour, bytes(MAX_SEALED + 1))
    assert too_large.status == 409
    assert "at most" in too_large.said["error"]["message"]
    assert harbour.carried() == []


def test_a_box_is_not_ended_nor_opened_by_a_permit(harbour: Harbour) -> None:
    allow(harbour, A)
    send(harbour, id_="0" * 32)
    box = harbour.id(B)
    for who in (A, B, C):
        assert harbour.ask(who, "POST", f"hub/mailboxes/{box}/end", b"{}").nothing
    _, line = harbour.permit_line(B, C)
    assert harbour.ask(C, "PUT", f"hub/mailboxes/{box}", line).nothing
    assert waiting(harbour) == ["0" * 32]


def test_a_box_that_never_had_a_list_is_empty(harbour: Harbour) -> None:
    assert harbour.ask(B, "GET", f"hub/mailboxes/{harbour.id(B)}").status == 204
    assert take(harbour, "0" * 32).status == 200


def test_nothing_is_no_message(harbour: Harbour) -> None:
    allow(harbour, A)
    assert send(harbour, b"").status == 400
