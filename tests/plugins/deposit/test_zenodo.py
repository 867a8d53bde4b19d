"""A deposit at a repository of our own that follows InvenioRDM's description, and fails on purpose."""

from __future__ import annotations

import contextlib
import hashlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import diadem
from diadem.api.nodes import Node
from diadem.errors import DiademError, DigestMismatch, IntegrityError, Refused, Unreachable, UsageError
from diadem.testing.invenio import InvenioService
from tests.cli.inside import said
from tests.mail_server import web_address
from tests.plugins.deposit.test_datacite import SESSION

MIB = 1 << 20
OPTIONS = {"publisher": "The Institute", "part_mib": 5}


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InvenioService]:
    monkeypatch.setenv("DIADEM_ZENODO_TOKEN", "the-token")
    (tmp_path / "repository").mkdir()
    with InvenioService(tmp_path / "repository", token="the-token") as running:
        yield running


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setenv("DIADEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DIADEM_CACHE", str(tmp_path / "cache"))
    with diadem.Node.create(tmp_path / "node", name="lab", user="marie", store=str(tmp_path / "store")) as made:
        yield made


@pytest.fixture
def package(node: Node, tmp_path: Path) -> str:
    folder = tmp_path / "session"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "large.bin").write_bytes(bytes(range(256)) * (12 * MIB // 256) + b"end")
    (folder / "scan 1.bin").write_bytes(b"scan" * 999)
    (folder / "empty.txt").write_bytes(b"")
    return str(node.archive(folder, now=True, metadata=tomllib.loads(SESSION)).package.id)


def deposited(node: Node, package: str, service: InvenioService, **more: Any) -> Any:
    return node.export(package, service.url, form="zenodo", options={**OPTIONS, **more})


def sent(service: InvenioService) -> int:
    """Bytes of files that arrived."""
    return sum(one.bytes for one in service.asked if one.method == "PUT" and not one.path.endswith("/draft"))


def files_of(folder: Path) -> dict[str, str]:
    return {
        one.relative_to(folder).as_posix(): hashlib.sha256(one.read_bytes()).hexdigest()
        for one in folder.rglob("*")
        if one.is_file()
    }


def test_all_of_the_package_is_there_and_is_a_draft(
    node: Node, package: str, service: InvenioService, tmp_path: Path
) -> None:
    done = deposited(node, package, service)
    (record,) = service.records()
    assert not record["is_published"]
    assert list(done.identifiers) == [f"doi:{record['pids']['doi']['identifier']}"]
    assert done.place == f"{service.url}/uploads/{record['id']}"
    assert record["metadata"]["rights"] == [{"id": "cc-by-4.0"}]
    assert record["metadata"]["creators"][0]["person_or_org"] == {
        "type": "personal",
        "family_name": "Curie",
        "given_name": "Marie",
        "identifiers": [{"scheme": "orcid", "identifier": "0000-0002-1825-0097"}],
    }
    # What is downloaded is the package again.
    for key, content in service.content(record["id"]).items():
        path = tmp_path / "downloaded" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert diadem.verify(tmp_path / "downloaded").ok
    assert files_of(tmp_path / "downloaded") == files_of(next((tmp_path / "store").rglob("bagit.txt")).parent)
    assert not service.leaked


@pytest.mark.program("a service that is cut three times is waited for each time")
def test_cut_three_times_it_goes_on_with_the_piece(node: Node, package: str, service: InvenioService) -> None:
    for _ in range(3):
        service.fail("cut", "PUT /r0001-abcde/", 2 * MIB, times=5)  # as often as it is tried
        with pytest.raises(Unreachable, match="does not answer"):
            deposited(node, package, service)
        service.mend()
        # One more piece arrives before the next cut.
        service.fail("cut", "PUT /r0001-abcde/", 5 * MIB + 1)
    before = sent(service)
    service.mend()
    done = deposited(node, package, service)
    assert len(service.records()) == 1
    whole = sum(len(one) for one in service.content("r0001-abcde").values())
    assert sent(service) - before <= whole
    assert dict(done.told)["digests"].startswith(f"{len(service.content('r0001-abcde'))} of")
    entries = node.context.ledger.of_subject(package.removeprefix("diadem:"))
    assert len([one for one in entries if one.statement.kind == "handover"]) == 1


def test_pieces_that_arrived_are_not_sent_again(node: Node, package: str, service: InvenioService) -> None:
    service.fail("cut", r"PUT /r0001-abcde/\w+/2", MIB, times=5)
    with pytest.raises(Unreachable):
        deposited(node, package, service)
    service.mend()
    service.asked.clear()
    deposited(node, package, service)
    assert [one.path[-2:] for one in service.asked if "/draft" not in one.path and one.method == "PUT"] == ["/2", "/3"]


def test_it_is_published_only_when_said_and_the_same_draft(node: Node, package: str, service: InvenioService) -> None:
    deposited(node, package, service)
    arrived = sent(service)
    done = deposited(node, package, service, publish=True)
    (record,) = service.records()
    assert record["is_published"]
    assert done.place == f"{service.url}/records/{record['id']}"
    assert sent(service) == arrived
    again = deposited(node, package, service, publish=True)
    assert "published" in dict(again.told)["state"]
    assert len(service.records()) == 1


def test_what_was_said_once_of_a_draft_stays_with_it(node: Node, service: InvenioService, tmp_path: Path) -> None:
    (tmp_path / "session").mkdir()
    (tmp_path / "session" / "scan.bin").write_bytes(b"scan")
    package = str(node.archive(tmp_path / "session", now=True).package.id)
    said = {"publisher": "HU", "creators": ["Marie Curie"], "license": "CC0-1.0", "zip": True}
    node.export(package, service.url, form="zenodo", options=said)
    node.export(package, service.url, form="zenodo", options={"license": "CC-BY-4.0"})
    done = node.export(package, service.url, form="zenodo", options={"publish": True})
    (record,) = service.records()
    assert record["is_published"]
    assert record["metadata"]["publisher"] == "HU"
    assert record["metadata"]["rights"] == [{"id": "cc-by-4.0"}]
    assert dict(done.told)["creators"] == "Marie Curie"
    assert len(service.content(record["id"])) == 1


def test_the_doi_finds_the_package(node: Node, package: str, service: InvenioService) -> None:
    (doi,) = deposited(node, package, service).identifiers
    assert [str(row.id) for row in node.search(doi)] == [package]


@pytest.mark.parametrize(
    "match",
    [
        "POST /api/records$",
        "GET /api/records/[^/]+/draft$",
        "POST .*/pids/doi",
        "PUT .*/draft$",
        "POST .*/files$",
        "PUT .*/content$",
        "PUT /r0001-abcde/.*/2",
        "POST .*/commit",
        "GET .*/files$",
        "POST .*/publish",
    ],
)
@pytest.mark.parametrize("what", ["lose", "status"])
@pytest.mark.sweep(4)
def test_wherever_it_stops_the_same_command_goes_on(
    node: Node, package: str, service: InvenioService, match: str, what: str
) -> None:
    service.fail(what, match, 500, times=5)
    with contextlib.suppress(Unreachable):  # some it mends by itself
        deposited(node, package, service, publish=True)
    assert [one for one in service.asked if not one.status or one.status >= 500]
    service.mend()
    deposited(node, package, service, publish=True)
    published = [one for one in service.records() if one["is_published"]]
    assert len(published) == 1
    # An empty draft is left of one whose number never came.
    assert len(service.records()) == (2 if (what, match) == ("lose", "POST /api/records$") else 1)


def test_a_busy_service_is_asked_again(node: Node, package: str, service: InvenioService) -> None:
    for match in ("POST ", "PUT ", "GET "):
        service.fail("status", match, 503, times=2)
    deposited(node, package, service)


@pytest.mark.parametrize("what", ["cut", "keep"])
def test_a_whole_file_that_a_service_forgot_is_announced_anew(
    node: Node, package: str, service: InvenioService, what: str
) -> None:
    service.fail(what, "PUT .*scan 1.bin/content", 100)
    deposited(node, package, service)
    assert service.content("r0001-abcde")["data/scan 1.bin"] == b"scan" * 999


def test_other_bytes_than_were_sent_are_told_and_removed(node: Node, package: str, service: InvenioService) -> None:
    service.fail("change", "PUT .*scan 1.bin/content")
    with pytest.raises(IntegrityError, match="other bytes") as told:
        deposited(node, package, service, publish=True)
    assert told.value.where == "data/scan 1.bin"
    assert "data/scan 1.bin" not in service.content("r0001-abcde")
    assert not service.records()[0]["is_published"]
    deposited(node, package, service, publish=True)
    assert service.content("r0001-abcde")["data/scan 1.bin"] == b"scan" * 999


def test_a_changed_piece_is_told_too(node: Node, package: str, service: InvenioService) -> None:
    service.fail("change", "PUT /r0001-abcde/.*/3")
    with pytest.raises(IntegrityError, match="other bytes"):
        deposited(node, package, service)
    deposited(node, package, service)


def test_older_services_take_files_whole(
    node: Node, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_ZENODO_TOKEN", "t")
    (tmp_path / "older").mkdir()
    with InvenioService(tmp_path / "older", token="t", multipart=False) as service:
        service.fail("cut", "PUT .*large.bin/content", MIB, times=5)
        with pytest.raises(Unreachable):
            deposited(node, package, service)
        service.mend()
        deposited(node, package, service)
        assert len(service.content("r0001-abcde")["data/raw/large.bin"]) == 12 * MIB + 3


def test_one_zip_is_the_package_too(node: Node, package: str, service: InvenioService, tmp_path: Path) -> None:
    deposited(node, package, service, zip=True)
    ((name, content),) = service.content("r0001-abcde").items()
    (tmp_path / name).write_bytes(content)
    assert diadem.verify(tmp_path / name).ok


def leaf(tmp_path: Path) -> Path:
    (large,) = (tmp_path / "store").rglob("large.bin")
    return large


def test_a_zip_that_was_cut_goes_on_without_being_packed_anew(
    node: Node, package: str, service: InvenioService, tmp_path: Path
) -> None:
    service.fail("cut", "PUT /r0001-abcde/.*/2", MIB, times=5)
    with pytest.raises(Unreachable):
        deposited(node, package, service, zip=True)
    service.mend()
    service.asked.clear()
    leaf(tmp_path).unlink()  # whoever reads the package now fails
    done = deposited(node, package, service, zip=True)
    assert [one.path[-2:] for one in service.asked if "/draft" not in one.path and one.method == "PUT"] == ["/2", "/3"]
    assert "packed before" in dict(done.told)["zip"]
    assert not list((tmp_path / "node").rglob("package.zip"))
    # It is all there: nothing is packed to publish it.
    assert "zip" not in dict(deposited(node, package, service, zip=True, publish=True).told)
    ((name, content),) = service.content("r0001-abcde").items()
    (tmp_path / name).write_bytes(content)
    assert diadem.verify(tmp_path / name).ok


@pytest.mark.parametrize("harm", ["flip", "shorten", "remove"])
@pytest.mark.sweep(1)
def test_a_zip_that_lies_there_damaged_is_packed_anew(
    node: Node, package: str, service: InvenioService, tmp_path: Path, harm: str
) -> None:
    service.fail("cut", "PUT /r0001-abcde/.*/2", MIB, times=5)
    with pytest.raises(Unreachable):
        deposited(node, package, service, zip=True)
    service.mend()
    (packed,) = (tmp_path / "node").rglob("package.zip")
    content = bytearray(packed.read_bytes())
    packed.unlink()
    if harm != "remove":
        content[9 * MIB] ^= 1
        packed.write_bytes(content if harm == "flip" else content[: 9 * MIB])
    service.asked.clear()
    done = deposited(node, package, service, zip=True)
    assert "zip" not in dict(done.told)
    assert [one.path[-2:] for one in service.asked if "/draft" not in one.path and one.method == "PUT"] == ["/2", "/3"]
    ((name, sent),) = service.content("r0001-abcde").items()
    (tmp_path / name).write_bytes(sent)
    assert diadem.verify(tmp_path / name).ok


def test_a_zip_that_was_stopped_while_it_was_packed_is_packed_anew(
    node: Node, package: str, service: InvenioService, tmp_path: Path
) -> None:
    large, beside = leaf(tmp_path), tmp_path / "beside"
    large.rename(beside)
    with pytest.raises(DiademError):
        deposited(node, package, service, zip=True)
    assert list((tmp_path / "node").rglob("package.zip"))
    beside.rename(large)
    assert "zip" not in dict(deposited(node, package, service, zip=True).told)
    ((name, content),) = service.content("r0001-abcde").items()
    (tmp_path / name).write_bytes(content)
    assert diadem.verify(tmp_path / name).ok


def test_a_full_service_says_so(node: Node, package: str, service: InvenioService) -> None:
    service.quota = MIB
    with pytest.raises(Refused, match="Maximum size"):
        deposited(node, package, service)


def test_a_wrong_token_is_told_and_never_shown(
    node: Node, package: str, service: InvenioService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIADEM_ZENODO_TOKEN", "very-secret")
    with pytest.raises(Refused, match="token") as told:
        deposited(node, package, service)
    assert "very-secret" not in str(told.value)
    assert "deposit:write" in str(told.value.next)
    service.say("/api/records", b'{"message": "odd header Bearer very-secret"}')
    with pytest.raises(Refused, match="odd header") as told:
        deposited(node, package, service)
    assert "very-secret" not in str(told.value)
    monkeypatch.delenv("DIADEM_ZENODO_TOKEN")
    with pytest.raises(UsageError, match="no token"):
        deposited(node, package, service)


@pytest.mark.parametrize("url", ["http://zenodo.org", "ftp://127.0.0.1", "https://", "https://me:pw@zenodo.org", "x"])
def test_addresses_that_would_show_the_token_are_refused(
    node: Node, package: str, service: InvenioService, url: str
) -> None:
    with pytest.raises(UsageError):
        node.export(package, url, form="zenodo", options=OPTIONS)


def test_an_address_where_no_repository_is_is_told(node: Node, package: str, service: InvenioService) -> None:
    with pytest.raises(Refused, match="no InvenioRDM answers at this address") as raised:
        node.export(package, f"{service.url}/nope", form="zenodo", options=OPTIONS)
    assert "https://zenodo.org" in str(raised.value.next)
    assert raised.value.where == f"{service.url}/nope/api/records"
    assert not service.records()


@pytest.mark.parametrize("status", [200, 204, 400, 404, 405, 501])
@pytest.mark.parametrize("body", [b"<!doctype html><title>A wiki</title>", b'{"detail": "no"}'], ids=["page", "JSON"])
@pytest.mark.sweep(4)
def test_another_server_is_named_as_what_it_is_not(
    node: Node, package: str, service: InvenioService, status: int, body: bytes
) -> None:
    with web_address() as other:
        other.answer, other.body = status, b"" if status == 204 else body
        address = other.url.removesuffix("/hook")
        words = ("--as", "zenodo", "--option", "publisher=The Institute", "--node", node.path)
        told = said("export", package, address, *words, code=4)
        (asked,) = other.posted
    if (status, body[:1]) == (400, b"{"):  # it may be one, and has something against this request
        assert "answers POST with 400" in told
        return
    assert "no InvenioRDM answers at this address" in told
    assert "Zenodo" in told
    assert str(status) in told
    assert f"where: {address}/api/records" in told
    assert "https://zenodo.org" in told
    assert asked[0]["authorization"] == "Bearer the-token"


def test_what_is_missing_is_asked_for_before_anything_leaves(node: Node, package: str, service: InvenioService) -> None:
    with pytest.raises(Refused, match="who publishes it"):
        node.export(package, service.url, form="zenodo")
    assert not service.asked


def test_a_damaged_leaf_stops_it(node: Node, package: str, service: InvenioService, tmp_path: Path) -> None:
    (large,) = (tmp_path / "store").rglob("large.bin")
    large.chmod(0o600)
    with large.open("r+b") as stream:
        stream.seek(7 * MIB)
        stream.write(b"\x00")
        stream.seek(7 * MIB + 1)
        stream.write(b"\xff")
    with pytest.raises((DigestMismatch, IntegrityError)):
        deposited(node, package, service, publish=True)
    assert not service.records()[0]["is_published"]
    assert "data/raw/large.bin" not in service.content("r0001-abcde")


def test_another_spelling_of_the_address_is_the_same_deposit(node: Node, package: str, service: InvenioService) -> None:
    deposited(node, package, service)
    node.export(package, service.url + "/", form="zenodo", options={**OPTIONS, "publish": True})
    assert [one["is_published"] for one in service.records()] == [True]
    with pytest.raises(UsageError, match="without /api"):
        node.export(package, service.url + "/api", form="zenodo", options=OPTIONS)


@pytest.mark.parametrize("name", ["", "Institut Curie (Paris)"])
def test_an_affiliation_goes_by_its_ror_where_the_repository_lists_it(
    node: Node, package: str, service: InvenioService, name: str
) -> None:
    service.affiliations = {"01hcx6992": name} if name else {}
    deposited(node, package, service, publish=True)
    (record,) = service.records()
    place = {"name": "Institut Curie"} if not name else {"name": name, "id": "01hcx6992"}
    assert record["metadata"]["creators"][0]["affiliations"] == [place]
    assert record["is_published"]


def test_a_repository_that_shows_no_list_gets_the_name(node: Node, package: str, service: InvenioService) -> None:
    service.fail("status", "GET /api/affiliations/", 403)
    service.affiliations = {"01hcx6992": "Institut Curie (Paris)"}
    deposited(node, package, service)
    assert service.records()[0]["metadata"]["creators"][0]["affiliations"] == [{"name": "Institut Curie"}]


def test_what_was_edited_on_the_page_stays(node: Node, package: str, service: InvenioService) -> None:
    deposited(node, package, service)
    service.edit("r0001-abcde", title="A better title", funding=[{"funder": {"name": "DFG"}}])
    done = deposited(node, package, service, publish=True)
    (record,) = service.records()
    assert record["is_published"]
    assert (record["metadata"]["title"], len(record["metadata"]["funding"])) == ("A better title", 1)
    assert "edited" in dict(done.told)["description"]


def test_what_is_amended_before_publication_is_told_there(node: Node, package: str, service: InvenioService) -> None:
    for options in ({}, {"publish": True}):
        deposited(node, package, service, zip=True, **options)
        node.amend(package, {"session.title": "Another title"}, reason="it was wrong")
        if not options:
            assert service.records()[0]["metadata"]["title"] != "Another title"
    assert service.records()[0]["metadata"]["title"] == "Another title"
    assert service.records()[0]["is_published"]


def test_what_was_published_too_early_is_told(node: Node, package: str, service: InvenioService) -> None:
    service.fail("status", "PUT .*scan 1.bin/content", 500, times=9)
    with pytest.raises(Unreachable):
        deposited(node, package, service)
    service.mend()
    service.publish("r0001-abcde")
    with pytest.raises(IntegrityError, match=r"before all of it was there: .*scan 1\.bin"):
        deposited(node, package, service, publish=True)


def test_a_draft_that_was_removed_is_not_published_unseen(node: Node, package: str, service: InvenioService) -> None:
    deposited(node, package, service)
    service.remove("r0001-abcde")
    with pytest.raises(Refused, match="removed there"):
        deposited(node, package, service, publish=True)
    assert service.records() == []
    deposited(node, package, service)
    assert [one["is_published"] for one in service.records()] == [False]


@pytest.mark.parametrize("token", ["sec1\nsec2", "s\u00e9cret", "two words"])
def test_a_token_that_is_none_is_refused_without_being_shown(
    node: Node, package: str, service: InvenioService, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("DIADEM_ZENODO_TOKEN", token)
    with pytest.raises(UsageError, match="token is not one") as told:
        deposited(node, package, service)
    assert token not in repr(told.value)


def test_a_piece_that_the_service_lost_is_sent_anew(node: Node, package: str, service: InvenioService) -> None:
    service.fail("keep", "PUT /r0001-abcde/.*/2")
    with pytest.raises(Refused, match="not completed"):
        deposited(node, package, service)
    deposited(node, package, service)
    assert len(service.content("r0001-abcde")["data/raw/large.bin"]) == 12 * MIB + 3


def test_a_file_with_the_name_of_a_deed_goes_in_a_zip(node: Node, service: InvenioService, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "content").write_bytes(b"c")
    package = str(node.archive(folder, now=True, metadata=tomllib.loads(SESSION)).package.id)
    deposited(node, package, service)
    assert [key[-4:] for key in service.content("r0001-abcde")] == [".zip"]
    with pytest.raises(Refused, match="no file of such a name"):
        deposited(node, package, service, zip=False)


@pytest.mark.parametrize("place", ["", "/draft", "/draft/files", "/draft/pids/doi"])
def test_answers_of_no_sense_are_told_and_never_fall_over(
    node: Node, package: str, service: InvenioService, place: str
) -> None:
    for raw in (b"5", b'{"entries": 5}', b"[" * 200_000, b'{"pids": [1], "id": 7}', b"\xff"):
        service.say(rf"/api/records(/r[0-9a-e-]+)?{place}$", raw)
        with contextlib.suppress(Refused, Unreachable, IntegrityError):
            deposited(node, package, service)
