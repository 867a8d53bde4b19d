"""A person works with a node from a laptop: finds, reads and judges what was granted, and believes what is proven."""

from __future__ import annotations

import contextlib
import datetime
import pickle
import random
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.custody.statements import ingest, transfer_subject
from diadem.errors import (
    DiademError,
    DigestMismatch,
    IntegrityError,
    NotFound,
    PackageError,
    Refused,
    Unreachable,
    UsageError,
)
from diadem.model.manifest import PackageId
from diadem.model.statements import Draft, Subject
from diadem.model.times import time_text
from diadem.network.askers import find_asker
from diadem.network.client import PeerRefused
from diadem.network.exchange import BASE, Request, Services, problem_of
from diadem.network.handlers import routes
from diadem.network.handlers.packages import shelf_of
from diadem.network.profiles import login, open_key, profiles_folder, read_profile
from diadem.network.remote.node import RemoteNode
from diadem.network.remote.package import HttpBundle
from diadem.network.remote.signing import Signer
from diadem.network.wire import WrongKey
from diadem.network.wishes import OfferWish, WantedOffer
from diadem.node.config import NodeSettings, ServerSettings
from diadem.node.quality.assess import Judgement
from diadem.package.tags import seal
from diadem.trust.envelope import PAYLOAD_TYPE, Envelope, sign
from diadem.trust.keys import PrivateKey
from tests.cli.inside import said, said_json
from tests.node.access.test_through_the_node import at, counted
from tests.node.verbs.conftest import damage
from tests.package.sample_bags import EMPTY_ZIP, hashed, write
from tests.server.conftest import Served
from tests.server.probe_server import FALSE, HUGE, OTHER
from tests.server.test_serving import answered, head, tls


def _with_url(settings: NodeSettings, url: str) -> NodeSettings:
    return replace(settings, server=ServerSettings("", (url,)))


@dataclass
class Laptop:
    """A node that is served, opened beside its server, and people who are its users from laptops."""

    served: Served
    node: diadem.Node
    root: Path
    packages: dict[str, str] = field(default_factory=dict)

    def connect(self, user: str) -> RemoteNode:
        return diadem.connect(self.served.url, user)

    def key(self, user: str) -> PrivateKey:
        return open_key(read_profile(f"{user}@hu-berlin"))

    def archived(self, name: str, *, size: int = 2_500_000, more: str = "", **options: Any) -> str:
        folder = self.root / name
        folder.mkdir(exist_ok=True)
        if not more:
            (folder / "large.bin").write_bytes(random.Random(name).randbytes(size))
            (folder / "empty.bin").touch()
        (folder / (more or "notes.txt")).write_text(f"all about {name}{more}")
        metadata = {"sample": {"identifier": name}}
        self.packages[name + more] = str(self.node.archive(folder, now=True, metadata=metadata, **options).package.id)
        return self.packages[name + more]

    def stored(self, package: str, path: str) -> Path:
        """A file of the copy in the node's store."""
        replica = self.node.context.catalogue.replicas(package)[0]
        return Path(self.node.context.settings.store(replica.store).url, replica.path, *path.split("/"))


@pytest.fixture(scope="module")
def laptop(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    root = tmp_path_factory.mktemp("laptop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIADEM_CONFIG", str(root / "config"))
        patch.setenv("DIADEM_CACHE", str(root / "cache"))
        patch.delenv("DIADEM_NODE", raising=False)
        with diadem.open_node(served.folder) as node:
            node.context.change_settings(partial(_with_url, url=served.url))
            for name, guest in (("bob", False), ("gwen", True)):
                login(node.users.invite(name, guest=guest).to_text())
            made = Laptop(served, node, root)
            for name in ("zno", "tio"):
                made.archived(name)
            node.grant(made.packages["zno"], "bob", ["read", "assess"])
            yield made


# -- finding and reading -----------------------------------------------------------------------------------------------


def test_what_is_granted_is_found_read_and_given_back(laptop: Laptop, tmp_path: Path) -> None:
    zno, tio = laptop.packages["zno"], laptop.packages["tio"]
    data = (laptop.root / "zno" / "large.bin").read_bytes()
    with laptop.connect("bob") as node:
        assert (node.user, node.name, node.id) == ("bob@hu-berlin", "hu-berlin", laptop.node.id)
        row = next(iter(node.search("sample:zno")))
        assert zno in {one.id for one in node.search()}
        assert tio not in {one.id for one in node.search(limit=1000)}
        assert node.search("sample:tio").total == 0
        assert (row.id, row.owner, row.stores, row.path) == (zno, "alice@hu-berlin", (), "")
        package = node.get(zno[7:19])
        assert package.record.sample["identifier"] == "zno"
        with package.open("large.bin") as file:
            assert file.read_at(1_500_000, 100) == data[1_500_000:1_500_100]
            assert file.read() == data
        assert package.verify().ok
        assert package.verify(level="full").checked["bytes"] > len(data)
        with pytest.raises(UsageError, match="by its bytes"):
            package.verify(level="quick")
        with pytest.raises(NotFound):
            node.get(tio)
        with pytest.raises(NotFound):
            node.get(tio[7:19])
        with pytest.raises(UsageError, match="not a package id"):
            node.get("zno")
        assert row.package.id == node.get(row).id == row.dataset.package.id == zno
        shown = str(node.show(row))
        assert "by alice@hu-berlin" in shown
        assert "sample      zno" in shown
        assert f"diadem open {zno[7:19]}" in shown
        assert node.restore(zno, tmp_path / "some", only="LARGE*").files == 1
        assert node.restore(zno, tmp_path / "back").files == 3
        assert (tmp_path / "back" / "large.bin").read_bytes() == data
        laptop.node.amend(zno, {"sample.name": "ZnO nanorods"})
        again = node.get(zno)
        assert (again.record.sample["name"], again.sealed_record.sample.get("name")) == ("ZnO nanorods", None)
        laptop.node.amend(zno, {"sample.identifier": "S-7", "session.date": "2024-03-05"}, reason="mixed up")
        seen, here = node.show(zno), laptop.node.show(zno)
        assert (seen.corrections, seen.days) == (here.corrections, here.days)
        assert "[was: zno]" in str(seen)
        assert "sample.identifier   zno → S-7" in str(seen)
        with pytest.raises(Refused, match="needs the machine of the node") as elsewhere:
            node.archive(tmp_path)
        assert "diadem.open_node().archive" in str(elsewhere.value)
        assert not hasattr(node, "nothing_of_the_kind")
        with pytest.raises(UsageError, match="no value after"):
            node.search("voltage>=")


def test_who_may_only_find_it_reads_nothing_and_a_guest_nothing_that_was_not_granted(laptop: Laptop) -> None:
    tio = laptop.packages["tio"]
    policy = laptop.node.path / "policy.toml"
    with laptop.connect("gwen") as node:
        assert node.search().total == 0
        with pytest.raises(NotFound):
            node.get(tio)
        closed = policy.read_text("utf-8")
        policy.write_text(closed.replace('default = "private"', 'default = "node"'), "utf-8")
        laptop.node.context.refresh()
        try:
            assert laptop.node.why("bob", tio).allowed
            assert not laptop.node.why("gwen", tio).allowed
            assert "is a guest here" in " ".join(laptop.node.why("gwen", tio).reasons)
            asker = find_asker(laptop.node.context, laptop.key("gwen").public.key_id)
            request = Request("POST", "search", body=b'{"limit":10,"offset":0,"query":""}', asker=asker)
            assert b'"rows":[]' in _handled(laptop, request).body
        finally:
            policy.write_text(closed, "utf-8")
            laptop.node.context.refresh()
        laptop.node.grant(tio, "gwen", ["list"])
        assert [row.id for row in node.search()] == [tio]
        with pytest.raises(NotFound, match="may find this package, but not read it"):
            node.get(tio)
        with pytest.raises(NotFound):
            node.assess(tio, "accept", purpose="imaging")


def _handled(laptop: Laptop, request: Request) -> Any:
    """What the listener does with a request that it let in."""
    route = next(one for one in routes() if (one.method, one.path) == (request.method, request.path))
    context = laptop.node.context
    try:
        return route.handler(request, Services(context, partial(find_asker, context), "test"))
    except DiademError as error:
        return problem_of(error)


def test_unknown_forbidden_revoked_and_deleted_have_the_one_same_answer(laptop: Laptop) -> None:
    node, key = laptop.node, laptop.key("bob")
    forbidden, revoked, deleted = (laptop.archived(name, size=10) for name in ("forbidden", "revoked", "deleted"))
    grant = node.grant(revoked, "bob", ["read", "assess"]).grant
    with laptop.connect("bob") as remote:
        opened = remote.get(revoked).open("large.bin")
        node.revoke(grant.id)
        with pytest.raises(NotFound):
            opened.read()
    node.grant(deleted, "bob", ["read", "assess"])
    with at(node, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=4000)):
        node.delete(deleted, reason="a test", clock_is_right=True)
    hidden = ["ab" * 32, *(one.removeprefix("diadem:") for one in (forbidden, revoked, deleted))]
    asker = find_asker(node.context, key.public.key_id)
    for tail in ("", "/record", "/tags", "/tags/0", "/files/0"):
        answers, costs = set(), set()
        for digits in hidden:
            with tls(laptop.served) as connection:
                connection.sendall(head(laptop.served, "GET", f"packages/{digits}{tail}", key=key))
                answers.add(_undated(answered(connection)))
            path = "packages/{package}" + tail.replace("/0", "/{number}")
            with counted(node) as count:
                response = _handled(laptop, Request("GET", path, {"package": digits, "number": "0"}, asker=asker))
                costs.add(count())
            assert response.status == 404
        assert len(answers) == 1, tail
        assert answers.pop().startswith(b"HTTP/1.1 404")
        assert len(costs) == 1, tail
    with laptop.connect("bob") as remote:
        refusals = set()
        for digits in hidden:
            with pytest.raises(NotFound) as refused:
                remote.assess(digits, "accept", purpose="imaging")
            refusals.add(str(refused.value))
        assert len(refusals) == 1


def _undated(answer: bytes) -> bytes:
    return b"\r\n".join(line for line in answer.split(b"\r\n") if not line.lower().startswith(b"date:"))


def test_bytes_that_are_not_what_was_archived_are_noticed(laptop: Laptop, tmp_path: Path) -> None:
    bad = laptop.archived("bad")
    laptop.node.grant(bad, "bob")
    with laptop.connect("bob") as node:
        package = node.get(bad)
        damage(laptop.stored(bad, "data/large.bin"), at=1_200_000)
        with package.open("large.bin") as file:
            assert len(file.read_at(0, 1000)) == 1000
            with pytest.raises(DigestMismatch, match="leaf 1"):
                file.read_at(1_048_576, 10)
        report = package.verify()
        assert not report.ok
        assert {finding.leaf for finding in report.findings} == {1}
        with pytest.raises(DigestMismatch):
            node.restore(bad, tmp_path / "bad")
        assert not (tmp_path / "bad").exists()
        damage(laptop.stored(bad, "diadem/leaves.blake3"), at=1)
        with pytest.raises(Unreachable, match="no copy of it can be read now"):
            node.get(bad)
    with laptop.served.client() as client:  # of a node that lies
        with pytest.raises(IntegrityError, match="what came is not"):
            HttpBundle(client, PackageId(OTHER), laptop.served.url)
        with pytest.raises(DigestMismatch, match="tag file"):
            HttpBundle(client, PackageId(FALSE), laptop.served.url)
        with pytest.raises(PackageError, match="more than a tag file may have"):
            HttpBundle(client, PackageId(HUGE), laptop.served.url)


def test_who_writes_into_a_store_sends_no_file_of_the_node_with_it(laptop: Laptop, tmp_path: Path) -> None:
    """Somebody flips a file and a link while it is asked for: what goes is the file that was looked at."""
    package = laptop.archived("raced", size=1 << 16)
    laptop.node.grant(package, "bob", ["read"])
    number = [one.name for one in laptop.node.get(package).manifest].index("large.bin")
    place = f"packages/{package[7:]}/files/{number}"
    secret = tmp_path / "online.pem"
    secret.write_bytes(b"-----BEGIN PRIVATE KEY-----" * 8)
    path = laptop.stored(package, "data/large.bin")
    link, kept = path.parent / "link", tmp_path / "kept"
    path.rename(kept)
    ended = threading.Event()

    def flip() -> None:
        while not ended.is_set():
            shutil.copyfile(kept, link)
            link.replace(path)
            link.symlink_to(secret)
            link.replace(path)

    racer = threading.Thread(target=flip)
    racer.start()
    came: list[bytes] = []
    try:
        with laptop.served.client(sign_with=laptop.key("bob")) as client:
            for _ in range(80):
                with contextlib.suppress(Unreachable), client.stream(place, range=(0, 200)) as one:
                    came.append(bytes(one.read(1 << 20)))
    finally:
        ended.set()
        racer.join()
    assert set(came) == {(laptop.root / "raced" / "large.bin").read_bytes()[:200]}


def test_a_grant_that_is_revoked_ends_the_file_that_is_on_its_way(laptop: Laptop) -> None:
    package = laptop.archived("long", size=64 << 20)
    grant = laptop.node.grant(package, "bob", ["read"])
    number = [one.name for one in laptop.node.get(package).manifest].index("large.bin")
    with laptop.served.client(sign_with=laptop.key("bob")) as client:
        with client.stream(f"packages/{package[7:]}/files/{number}") as found:
            buffer, came = bytearray(1 << 20), found.readinto(bytearray(1 << 20))
            laptop.node.revoke(grant.grant.id)
            with pytest.raises(Unreachable, match="before the answer was complete"):  # noqa: PT012
                while count := found.readinto(buffer):
                    came += count
        assert came <= 40 << 20  # a window, and what was on its way
        with pytest.raises(NotFound):
            client.stream(f"packages/{package[7:]}/files/{number}", range=(came, None))


def test_a_session_comes_as_far_as_it_may_be_read(laptop: Laptop, tmp_path: Path) -> None:
    first = laptop.archived("grown", size=100)
    second = laptop.archived("grown", more="later.txt")
    laptop.node.grant(second, "bob")
    with laptop.connect("bob") as node:
        half = node.restore(second, tmp_path / "half")
        assert [one.id for one in half.lacking] == [first]
        assert sorted(path.name for path in (tmp_path / "half").iterdir()) == ["later.txt"]
        laptop.node.grant(first, "bob")
        whole = node.restore(first, tmp_path / "whole")
        assert (list(whole.packages), whole.lacking, whole.files) == ([first, second], [], 4)
        assert node.restore(first, tmp_path / "one", chain=False).others == 1


def test_a_package_without_a_record_gives_its_files(laptop: Laptop, tmp_path: Path) -> None:
    """As on its own node: what others have sealed so may be there."""
    content, context = b"some bytes\n", laptop.node.context
    sealed = seal([hashed("data/a.txt", content)], vendor=EMPTY_ZIP, date="2026-03-14", software="others")
    bag = Path(context.settings.stores[0].url, "2026", "20260314-without")
    write(bag, {"data/a.txt": content, **sealed.tag_files})
    package = diadem.open(bag)
    context.say(
        [
            ingest(
                package.id,
                payload_id=package.payload_id,
                files=1,
                size=len(content),
                software="others",
                source="a disk",
                owner=context.address,
                store=context.settings.stated_store("main"),
                path=f"2026/{bag.name}",
                proof="none",
                omitted=0,
            )
        ]
    )
    laptop.node.grant(package.id, "bob")
    with laptop.connect("bob") as node:
        assert node.restore(package.id, tmp_path / "some", only="a*").files == 1
        assert node.restore(package.id, tmp_path / "back").files == 1
    assert (tmp_path / "back" / "a.txt").read_bytes() == content


def test_ranges_come_from_any_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = random.Random(1).randbytes(2_500_000)
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "large.bin").write_bytes(data)
    ranges = (("bytes=5-", 5, None), ("bytes=1000000-2200000", 1_000_000, 2_200_001), ("", 0, None))
    with diadem.Node.create(tmp_path / "node", name="x", user="alice", store="memory://connect/store") as node:
        package = node.archive(tmp_path / "session", now=True).package
        shelf, number = shelf_of(node.context), [one.name for one in package.manifest].index("large.bin")
        for asked, start, stop in ranges:
            request = Request("GET", "", headers={"range": asked} if asked else {})
            response = shelf.file(package.id, number, request)
            assert response.status == (206 if asked else 200)
            assert not isinstance(response.body, bytes)
            assert b"".join(response.body) == data[start:stop]
            assert response.headers["content-length"] == str(len(data[start:stop]))
        with pytest.raises(NotFound):
            shelf.file(package.id, len(package.manifest), request)
        monkeypatch.setattr("diadem.network.handlers.packages.MAX_BYTES", 100)
        with pytest.raises(Refused, match="100 are read"):
            shelf.record(package.id)


# -- saying ------------------------------------------------------------------------------------------------------------


def test_a_judgement_is_signed_by_its_author_alone(laptop: Laptop) -> None:
    zno, tio = laptop.packages["zno"], laptop.packages["tio"]
    with laptop.connect("bob") as node:
        said = node.assess(zno, "limited", purpose="imaging", criterion="drift", value=2.5, unit="nm", comment=" some ")
        assert (said.by, said.verdict, said.value, said.comment) == ("bob@hu-berlin", "limited", 2.5, "some")
        entry = laptop.node.context.ledger.by_id(said.statement_id)
        assert entry.signers == (laptop.key("bob").public.key_id,)
        steps = laptop.node.custody(zno).to_dict()["steps"]
        assert all(step["verdict"] == "proved" for step in steps)
        assert [one.statement_id for one in node.assessments(zno)] == [said.statement_id]
        assert "is usable with limits" in node.get(zno).warnings()[0].sentence
        again = node.assess(zno, "accept", purpose="imaging", criterion="drift", replaces=said.statement_id[:8])
        assert again.replaces == said.statement_id
        assert [one.verdict for one in node.assessments(zno)] == ["accept"]
        with pytest.raises(NotFound, match="no dataset"):
            node.assess(zno, "accept", purpose="imaging", dataset="nothing.dm4")
        with pytest.raises(DiademError, match="not a verdict"):
            node.assess(zno, "splendid", purpose="imaging")
        with pytest.raises(DiademError, match="no scheme"):
            node.assess(zno, "accept", scheme="ours", criterion="x")
        for evidence in (tio, tio[7:19]):
            with pytest.raises(NotFound):
                node.assess(zno, "accept", purpose="imaging", evidence=[evidence])
        with pytest.raises(NotFound):
            node.assess(tio, "accept", purpose="imaging")


@dataclass
class Desk:
    """What a person's program does, step by step."""

    laptop: Laptop
    package: str

    def prepared(self, user: str = "bob", **judgement: Any) -> dict[str, Any]:
        members = {"verdict": "accept", "purpose": "imaging", **judgement}
        asked = {"kind": "assessment", "package": self.package, "judgement": members}
        with self.laptop.served.client(sign_with=self.laptop.key(user)) as client:
            return client.post_json("statements/prepare", asked)

    def sent(self, envelope: Envelope, user: str = "bob") -> dict[str, Any]:
        with self.laptop.served.client(sign_with=self.laptop.key(user)) as client:
            return client.post_line("statements", envelope.to_line())

    def refused(self, envelope: Envelope, code: str, user: str = "bob") -> None:
        with pytest.raises(PeerRefused) as refused:
            self.sent(envelope, user)
        assert refused.value.code == code


def test_only_what_was_prepared_is_logged_once_for_its_author_while_it_holds(laptop: Laptop) -> None:
    package = laptop.archived("judged", size=10)
    node, bob = laptop.node, laptop.key("bob")
    grant = node.grant(package, "bob", ["assess"]).grant
    node.grant(package, "gwen", ["assess"])
    desk, before = Desk(laptop, package), node.context.ledger.size
    signed = [sign(desk.prepared()["payload"].encode(), [bob]) for _ in range(3)]
    desk.refused(signed[0], "not-prepared", user="gwen")
    other = sign(signed[0].payload, [laptop.key("gwen")])
    desk.refused(other, "not-prepared", user="gwen")
    desk.refused(other, "usage")
    desk.refused(sign(signed[0].payload, [bob]), "not-prepared")
    desk.refused(sign(signed[1].payload, [bob, laptop.key("gwen")]), "usage")
    changed = signed[2].payload.replace(b'"verdict":"accept"', b'"verdict":"reject"')
    desk.refused(sign(changed, [bob]), "not-prepared")
    assert node.context.ledger.size == before
    assert desk.sent(signed[2])["index"] == before
    assert desk.sent(signed[2])["index"] == before, "the answer was lost, and it is sent again"
    desk.refused(signed[2], "not-prepared", user="gwen")
    assert node.context.ledger.size == before + 1
    first, second = (sign(desk.prepared()["payload"].encode(), [bob]) for _ in range(2))
    desk.sent(first)
    desk.refused(second, "overtaken")
    kept = sign(desk.prepared()["payload"].encode(), [bob])
    node.revoke(grant.id)
    size = node.context.ledger.size
    with pytest.raises(NotFound):
        desk.sent(kept)
    assert node.context.ledger.size == size
    assert [step["verdict"] for step in node.custody(package).to_dict()["steps"] if step["verdict"] != "proved"] == []


def test_the_key_signs_nothing_else_than_was_asked_for(laptop: Laptop) -> None:
    zno = PackageId(laptop.packages["zno"])
    asked = Judgement("accept", "imaging", comment="fine")
    answer = Desk(laptop, zno).prepared(comment="fine")
    bob = laptop.key("bob")
    signer = Signer(bob, "bob@hu-berlin", laptop.node.id)
    statement = signer.read(answer)
    envelope = signer.assessment(statement, zno, asked)
    assert statement.predicate["comment"] == "fine"
    assert envelope.signers([bob.public])
    assert "bob@hu-berlin" in answer["sentence"]
    text = str(answer["payload"])
    lies = {
        "verdict": text.replace('"verdict":"accept"', '"verdict":"reject"'),
        "comment": text.replace('"comment":"fine"', '"comment":"fine, and mine"'),
        "by": text.replace("bob@hu-berlin", "alice@hu-berlin"),
        "target": text.replace('"target":{}', '"target":{"dataset":"ds-0001"}'),
        "purpose": text.replace('"purpose":"imaging"', '"purpose":"EELS"'),
        "machine": text.replace('"node":', '"machine":{"plugin":"x","version":"1"},"node":'),
        "not the assessment": text.replace(zno.hex, laptop.packages["tio"][7:]),
        "another node": text.replace(f'"node":"{laptop.node.id}"', f'"node":"{"ab" * 32}"'),
        "canonical": text + " ",
        "does not write|not a kind|not the assessment|refuse": text.replace(
            "/statement/assessment/v1", "/statement/grant/v1"
        ),
    }
    for word, lie in lies.items():
        assert lie != text, word
        with pytest.raises(Refused, match=word if "|" not in word else "did not ask for"):
            signer.assessment(signer.read({**answer, "payload": lie}), zno, asked)
    for other in ({"payload": None}, {"type": "application/json"}):
        with pytest.raises(Refused, match="not a statement"):
            signer.read({**answer, **other})


def test_doubts_about_data_that_one_may_not_find_are_told_without_words(laptop: Laptop) -> None:
    tio, result = laptop.packages["tio"], laptop.archived("result", size=10)
    laptop.node.derive(result, [tio])
    laptop.node.assess(tio, "reject", purpose="imaging", comment="a secret of the lab")
    laptop.node.grant(result, "bob")
    with laptop.connect("bob") as node:
        (doubt,) = node.warnings(result)
        assert (doubt.assessment.verdict, doubt.assessment.by, doubt.assessment.comment) == ("reject", "somebody", "")
        (row,) = node.search(f"id:{result[7:]}")
        assert row.warnings == ("made from data with a warning; ask their owner",)
        laptop.node.grant(tio, "bob", ["list"])
        assert "a secret of the lab" in node.warnings(result)[0].sentence


# -- who answers -------------------------------------------------------------------------------------------------------


def test_nobody_is_asked_whose_key_is_not_known(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="several profiles fit: bob@hu-berlin, gwen@hu-berlin"):
        diadem.connect()
    with pytest.raises(Refused, match=r"diadem\.login\(.TICKET.\)"):
        diadem.connect("https://elsewhere.example.org:8642")
    with pytest.raises(Refused, match="not know the key of eve"):
        diadem.connect(user="eve")
    monkeypatch.setenv("DIADEM_NODE", laptop.served.url)
    profile = profiles_folder() / "bob@hu-berlin.toml"
    text = profile.read_text("utf-8")
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path))
    with pytest.raises(Refused, match="anybody might answer"):
        diadem.connect()
    profiles_folder().mkdir()
    (profiles_folder() / profile.name).write_text(text.replace(laptop.served.said["tls"], "ab" * 32), "utf-8")
    with diadem.connect() as node, pytest.raises(WrongKey, match="another computer answers"):
        node.search()


def test_the_commands_of_a_laptop(laptop: Laptop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zno, on = laptop.packages["zno"], ("--node", laptop.served.url)
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    (tmp_path / "config" / "profiles").mkdir(parents=True)
    source = laptop.root / "config" / "profiles" / "bob@hu-berlin.toml"
    (tmp_path / "config" / "profiles" / source.name).write_bytes(source.read_bytes())
    assert said_json("search", "sample:zno", *on)["total"] == 1
    assert said_json("verify", zno, *on)["ok"]
    assert said_json("get", zno[7:19], tmp_path / "back", *on)["files"] == 3
    stated = said_json("assess", zno[7:19], "accept", "--for", "EELS", *on)
    assert stated["stated"][0]["by"] == "bob@hu-berlin"
    monkeypatch.setenv("DIADEM_NODE", laptop.served.url)
    assert zno[7:19] in said("search")
    assert "needs the machine of the node hu-berlin" in said("status", code=4)
    assert BASE not in said("search", "nothing")


def test_an_offer_and_its_grant_are_signed_on_the_laptop(laptop: Laptop) -> None:
    node, bob = laptop.node, laptop.key("bob")
    package = replace(laptop, node=diadem.Node(node.context.as_user("bob"))).archived("bobs", size=10)
    other = laptop.packages["zno"]
    with laptop.connect("bob") as remote:
        with pytest.raises(Refused, match="belongs to alice"):
            remote.send(other, "gwen@hu-berlin")
        with pytest.raises(UsageError, match="no node is called 'nmi' here"):
            remote.send(package, "marie@nmi")
        with pytest.raises(NotFound):
            remote.send(laptop.packages["tio"], "gwen@hu-berlin")
        done = remote.send(package, "gwen@hu-berlin", comment="for the paper")
        assert (done.state, done.sender, done.recipient) == ("offered", "bob@hu-berlin", "gwen@hu-berlin")
        again = remote.send(package, "gwen@hu-berlin")
        assert (again.id, again.offer) == (done.id, done.offer)
    for statement in (done.grant, done.offer):
        assert node.context.ledger.by_id(statement).signers == (bob.public.key_id,)
    assert all(step["verdict"] == "proved" for step in node.custody(package).to_dict()["steps"])
    with laptop.connect("gwen") as gwens:
        assert gwens.get(package).open("large.bin").read(10)
    kept = node.transfers.show(done.id).transfer
    assert (kept.comment, kept.bytes, kept.grant) == ("for the paper", done.bytes, done.grant)
    bobs_key = node.context.folder / "keys" / "users" / "bob.pem"
    bobs_key.write_bytes(bob.to_pem("bob's"))  # he is at the group's computer today
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("DIADEM_PASSPHRASE", "bob's")
        diadem.Node(node.context.as_user("bob")).revoke(done.grant)
    with laptop.connect("bob") as remote, laptop.connect("gwen") as gwens:
        with pytest.raises(NotFound):
            gwens.get(package)
        assert remote.send(package, "gwen@hu-berlin").id == done.id
        assert gwens.get(package).open("large.bin").read(10)


def test_an_offer_of_something_else_is_not_signed(laptop: Laptop) -> None:
    package = PackageId(laptop.packages["zno"])
    now, signer = datetime.datetime.now(datetime.UTC), Signer(laptop.key("bob"), "bob@hu-berlin", laptop.node.id)
    wish = OfferWish(package, WantedOffer("gwen@hu-berlin", 86_400))
    ends, later = (time_text(now + datetime.timedelta(days=days)) for days in (61, 1))
    grant: dict[str, Any] = {
        "to": "gwen@hu-berlin",
        "recipient": laptop.node.id,
        "rights": ["read"],
        "scope": "package",
    }
    grant |= {"expires": ends, "by": "bob@hu-berlin"}
    offer: dict[str, Any] = {
        "transfer": "ab" * 16,
        "package": str(package),
        "payload_id": "cd" * 32,
        "to": "gwen@hu-berlin",
    }
    offer |= {"recipient": laptop.node.id, "grant": "ef" * 32, "bytes": 5, "files": 1, "routes": ["local"]}
    offer |= {"expires": later, "by": "bob@hu-berlin"}
    subjects: dict[str, tuple[Subject, ...]] = {"grant": (Subject.package(package),)}
    subjects["offer"] = (*subjects["grant"], transfer_subject("ab" * 16))

    def signed(kind: str, said: dict[str, Any]) -> None:
        draft = Draft(kind, subjects[kind], said)
        answer = {"payload": laptop.node.context.ledger.prepared(draft).to_payload().decode(), "type": PAYLOAD_TYPE}
        if kind == "grant":
            signer.grant(signer.read(answer), wish, now)
        else:
            signer.offer(signer.read(answer), wish, now, payload_id="cd" * 32, grant="ef" * 32)

    signed("grant", grant)
    signed("offer", offer)
    for kind, words, name, value in (
        ("grant", grant, "to", "eve@hu-berlin"),
        ("grant", grant, "rights", ["read", "assess"]),
        ("grant", grant, "expires", None),
        ("grant", grant, "by", "alice@hu-berlin"),
        ("grant", grant, "purpose", "another"),
        ("offer", offer, "to", "eve@hu-berlin"),
        ("offer", offer, "grant", "ab" * 32),
        ("offer", offer, "payload_id", "ab" * 32),
        ("offer", offer, "routes", ["hub"]),
        ("offer", offer, "expires", ends),
        ("offer", offer, "comment", "hello"),
    ):
        with pytest.raises(Refused, match=f"did not ask for.*{name}"):
            signed(kind, words | {name: value})


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_package_of_another_computer_is_opened_again_by_who_logged_in(laptop: Laptop) -> None:
    package = laptop.archived("sent on")
    laptop.node.grant(package, to="bob")
    with laptop.connect("bob") as node:
        row = next(one for one in node.search() if one.id == package)
        again, of_row = pickle.loads(pickle.dumps(node.get(package))), pickle.loads(pickle.dumps(row))
        assert again.id == of_row.package.id == package
        with again.open("notes.txt") as file:
            assert pickle.loads(pickle.dumps(file)).read() == b"all about sent on"


def test_what_came_with_a_package_is_seen_from_a_laptop_as_its_senders(laptop: Laptop, tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "notes.txt").write_text("from elsewhere")
    with diadem.Node.create(tmp_path / "node", name="nmi", user="marie", store=str(tmp_path / "store")) as sender:
        sealed = {"sample": {"name": "S-WRONG"}}
        package = str(sender.archive(tmp_path / "session", now=True, metadata=sealed).package.id)
        sender.amend(package, {"sample.name": "S-13"})
        sender.assess(package, "reject", purpose="EELS", comment="too thick")
        sender.export(package, tmp_path / "given.zip", for_="alice")
        sender_id = sender.id
    laptop.node.import_(tmp_path / "given.zip")
    laptop.node.grant(package, "bob", ["read"])
    with laptop.connect("bob") as node:
        assert node.get(package).record.sample["name"] == "S-13"
        assert node.get(package).sealed_record.sample["name"] == "S-WRONG"
        (came,) = node.assessments(package)
        assert (came.by, came.verdict, came.node) == ("marie@nmi", "reject", sender_id)
        assert "marie@nmi: " in node.warnings(package)[0].sentence
        assert package in {row.id for row in node.search("quality:reject")}
