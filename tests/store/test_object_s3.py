"""The upload protocol against a real S3 server."""

from __future__ import annotations

import hashlib
import io
import os
import random
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from diadem.errors import DigestMismatch, IntegrityError, NotFound, Refused, StoreError, Unreachable
from diadem.model.manifest import TAGMANIFEST
from diadem.model.report import Level
from diadem.package.verify import verify
from diadem.store.claim import ClaimTiming, Leftovers
from diadem.store.client import PART_SIZE, PROBES
from diadem.store.contract import Capabilities
from diadem.store.objects import ObjectStore
from diadem.store.remote import open_remote
from diadem.store.retry import Occupied, Patience
from diadem.store.s3 import S3Client
from diadem.store.upload import Job, commit
from tests import zygote
from tests.services import CountingProxy, CuttingProxy, S3Server, free_ports
from tests.store.object_samples import Gate, id_at, make_sample

pytest.importorskip("botocore", reason="the extra [s3] is not installed")

QUICK = ClaimTiming(heartbeat=0.2, stale=60, look=0.1)
BRIEF = Patience(tries=3, first_wait=0.05)


@pytest.fixture
def url(s3_server: S3Server) -> str:
    """A prefix of its own for every test."""
    return s3_server.url(uuid.uuid4().hex)


@pytest.fixture
def store(s3_server: S3Server, url: str) -> ObjectStore:
    """A store on the server."""
    return ObjectStore(url, s3_server.storage_options, timing=QUICK)


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[CountingProxy]:
    """Stands before the server, and counts."""
    proxy = CountingProxy(s3_server.endpoint)
    yield proxy
    proxy.close()


def through(proxy: CountingProxy, store: ObjectStore) -> ObjectStore:
    """The same store, reached through a proxy."""
    return ObjectStore(store.url, {**store._fs.storage_options, "endpoint_url": proxy.endpoint}, timing=QUICK)


@pytest.fixture
def aws(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server as the ordinary AWS variables say it."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def keys(store: ObjectStore) -> set[str]:
    """Everything in a store."""
    return {stat.key for stat in store.client.list("")}


def s3(store: ObjectStore) -> S3Client:
    """Its client, with the requests that only S3 has."""
    assert isinstance(store.client, S3Client)
    return store.client


def is_visible(store: ObjectStore) -> bool:
    """Whether any package is there."""
    return any(key.endswith(TAGMANIFEST) for key in keys(store))


def uploads(store: ObjectStore) -> int:
    """Open multi-part uploads of packages below the store."""
    return len(list(store.client.uploads("2026")))


def test_probe(store: ObjectStore, proxy: CountingProxy) -> None:
    """SeaweedFS 4.48 does all four; the probe leaves nothing."""
    assert through(proxy, store).probe() == Capabilities(True, True, True, True)
    assert 0 < len(proxy.take()) <= 11  # with the question whether the bucket is there
    assert keys(store) == set()
    assert uploads(store) == 0


def test_upload_verify_read(store: ObjectStore) -> None:
    """A package with an empty file and difficult names, in one request for each object."""
    sample = make_sample()
    done = sample.upload(store, tree="ab" * 32)
    assert (done.created, done.proof, done.path) == (True, "server", sample.path)
    bundle = store.bundle(done.path)
    report = verify(bundle, level=Level.FULL, expected_id=id_at(store, done.path))
    assert report.ok, report.findings
    for path, data in sample.contents.items():
        assert bundle.read(path, 1 << 24) == data
    again = make_sample(date="2026-05-05", name="20260505-zno").upload(store)
    assert (again.created, id_at(store, again.path)) == (False, id_at(store, done.path))
    assert store.knows_tree("ab" * 32)


def test_ordinary_configuration(aws: None, url: str) -> None:
    """No options: AWS_ENDPOINT_URL and the rest of the environment count."""
    sample = make_sample({"data/a": 10})
    done = sample.upload(ObjectStore(url))
    assert verify(open_remote(f"{url}/{done.path}"), level=Level.FULL).ok


def test_multipart(store: ObjectStore, proxy: CountingProxy) -> None:
    """More than 100 MB in parts: proven by the server, then by us; a range costs what it is long."""
    size = 104_857_600 + 12_345
    sample = make_sample({"data/large.raw": size})
    done = sample.upload(store)
    assert done.proof == "server"
    assert uploads(store) == 0
    bundle = store.bundle(done.path)
    assert verify(bundle, level=Level.LEAVES).ok
    fresh = through(proxy, store).bundle(done.path)
    with fresh.open("data/large.raw") as reader:
        assert reader.size == size
        assert (
            reader.read_at(50_000_000, 1 << 20)
            == sample.contents["data/large.raw"][50_000_000 : 50_000_000 + (1 << 20)]
        )
        assert reader.read_at(size - 3, 100) == sample.contents["data/large.raw"][-3:]
    heads = 2000  # bytes of each answer
    assert (1 << 20) + 3 < proxy.received < (1 << 20) + 3 + 3 * heads
    assert len(proxy.take()) == 3


@pytest.mark.program("hundreds of requests to a real server")
def test_many_small_files(store: ObjectStore) -> None:
    """More objects than one page of a listing shows."""
    sample = make_sample({f"data/{number % 7}/frame {number:05}.tif": number % 50 for number in range(1200)})
    done = sample.upload(store)
    assert verify(store.bundle(done.path), level=Level.FULL).ok
    assert len(store.bundle(done.path).listing().files) == 1200 + len(sample.tag_files)


def test_source_that_changed_leaves_no_open_upload(store: ObjectStore) -> None:
    """A leaf that changes between the two reads of a large file."""
    sample = make_sample({"data/large.raw": 5 * PART_SIZE})
    data = bytearray(sample.contents["data/large.raw"])
    data[-1] ^= 1
    sample.contents["data/large.raw"] = bytes(data)
    with pytest.raises(DigestMismatch) as caught:
        sample.upload(store)
    assert caught.value.leaf == 39
    assert uploads(store) == 0
    assert not is_visible(store)
    assert not [key for key in keys(store) if "/claims/" in key]


def test_interrupt_aborts_parts(store: ObjectStore) -> None:
    """Ctrl-C in the middle of the parts."""
    sample = make_sample({"data/large.raw": 6 * PART_SIZE})

    class Stopping(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= 4 * PART_SIZE:
                raise KeyboardInterrupt
            return super().read(size)

    with pytest.raises(KeyboardInterrupt):
        sample.upload(store, open_source=lambda entry: Stopping(sample.contents[entry.path]))
    assert uploads(store) == 0
    assert not is_visible(store)
    assert sample.upload(store).created


def test_object_that_changes_while_it_is_read(store: ObjectStore) -> None:
    """The same size, other bytes: the server itself refuses the next range."""
    sample = make_sample({"data/a": 2000})
    sample.upload(store)
    reader = store.bundle(sample.path).open("data/a")
    assert reader.read_at(0, 100) == sample.contents["data/a"][:100]
    store.client.put(f"{sample.path}/data/a", bytes(2000))
    with pytest.raises(IntegrityError, match="changed"):
        reader.read_at(100, 100)


def test_wrong_digest_is_refused(store: ObjectStore) -> None:
    """A digest that is not that of the bytes: tried again, then an error, and nothing is stored."""
    client = store.client.once()
    with pytest.raises(StoreError, match="different bytes than were sent"):
        client.put("x", b"these", sha256=bytes(32))
    assert client.stat("x") is None


def test_retried_create_finds_its_own(store: ObjectStore) -> None:
    """The answer to the tag manifest was lost: the second try is refused by the first, and that is fine."""
    sample = make_sample({"data/a": 10})
    job = Job(sample.path, sample.entries, sample.sealed.leaves, sample.open_source, sample.tag_files)
    store.client.put(f"{sample.path}/{TAGMANIFEST}", sample.tag_files[TAGMANIFEST])
    commit(store.client, sample.path, job)
    store.client.put(f"{sample.path}/{TAGMANIFEST}", b"of another")
    with pytest.raises(Refused):
        commit(store.client, sample.path, job)
    with pytest.raises(Occupied):
        store.client.put(f"{sample.path}/{TAGMANIFEST}", b"", create=True)


def test_two_uploads_at_once(s3_server: S3Server, url: str) -> None:
    """Four writers of one payload with four dates: one package, three reports of it, all the same."""
    samples = [make_sample(date=f"2026-05-0{day}", name=f"2026050{day}-zno") for day in range(1, 5)]
    results = []

    def write(index: int) -> None:
        results.append(samples[index].upload(ObjectStore(url, s3_server.storage_options, timing=QUICK)))

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done.created for done in results) == [False, False, False, True]
    store = ObjectStore(url, s3_server.storage_options)
    assert len({id_at(store, done.path) for done in results}) == 1
    assert len([key for key in keys(store) if key.endswith(TAGMANIFEST)]) == 1
    assert verify(store.bundle(results[0].path), level=Level.FULL).ok
    assert not [key for key in keys(store) if "/claims/" in key]


def test_writer_whose_claim_was_taken_over_publishes_nothing(s3_server: S3Server, url: str, store: ObjectStore) -> None:
    """A writer that slept past its time wakes up and stops."""
    first = make_sample({"data/a": 10})
    gate = Gate(first)
    sleepy = ObjectStore(url, s3_server.storage_options, timing=ClaimTiming(heartbeat=3600, stale=3600, look=0.1))
    errors: list[BaseException] = []

    def write() -> None:
        try:
            first.upload(sleepy, open_source=gate.open_source)
        except Refused as error:
            errors.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    assert gate.reached.wait(60)
    time.sleep(2)
    second = make_sample({"data/a": 10}, date="2026-06-01", name="20260601-zno")
    eager = ObjectStore(url, s3_server.storage_options, timing=ClaimTiming(heartbeat=0.2, stale=1, look=0.1))
    done = second.upload(eager)
    gate.go.set()
    writer.join()
    assert done.created
    assert "took over" in str(errors[0])
    assert len([key for key in keys(store) if key.endswith(TAGMANIFEST)]) == 1


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.sweep(1)
def test_kill_at_a_random_moment(s3_server: S3Server, url: str, store: ObjectStore, seed: int) -> None:
    """kill -9: no package, or a whole one; the next writer succeeds at once, and nothing is left open."""
    process = _start_writer(s3_server, url)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(random.Random(seed).uniform(0.0, 1.6))
    process.kill()
    rest = process.stdout.read()
    process.wait()
    process.stdout.close()
    if is_visible(store):
        path = next(key for key in keys(store) if key.endswith(TAGMANIFEST)).rpartition("/")[0]
        assert verify(store.bundle(path), level=Level.FULL).ok
    else:
        assert rest == ""
    second = _start_writer(s3_server, url)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert '"path"' in output
    tagmanifests = [key for key in keys(store) if key.endswith(TAGMANIFEST)]
    assert len(tagmanifests) == 1
    assert verify(store.bundle(tagmanifests[0].rpartition("/")[0]), level=Level.FULL).ok
    assert uploads(store) == 0
    assert [key for key in keys(store) if "/by-payload/" in key]


def _start_writer(server: S3Server, url: str) -> zygote.Process:
    checkout = Path(__file__).resolve().parents[2]
    environment = {**os.environ, **server.environment}
    command = [sys.executable, "-m", "tests.store.object_writer", url, "5", str(40 << 20)]
    return zygote.start(command, cwd=checkout, env=environment, stdout=subprocess.PIPE)


def test_line_that_breaks_for_a_moment(s3_server: S3Server, url: str) -> None:
    """Connections cut in the middle of parts are made up for."""
    proxy = CuttingProxy(s3_server.endpoint, after=3_000_000, cuts=4)
    options = {**s3_server.storage_options, "endpoint_url": proxy.endpoint}
    try:
        done = make_sample({"data/large.raw": 5 * PART_SIZE, "data/b": 100}).upload(ObjectStore(url, options))
    finally:
        proxy.close()
    assert proxy.cuts_left == 0
    assert verify(open_remote(f"{url}/{done.path}", s3_server.storage_options), level=Level.FULL).ok


@pytest.mark.parametrize("stalls", [False, True])
@pytest.mark.program("the limit of an answer is waited for")
def test_an_answer_that_breaks_off_or_stops_is_asked_for_again(s3_server: S3Server, url: str, *, stalls: bool) -> None:
    done = make_sample({"data/large.raw": 3 * PART_SIZE, "data/b": 100}).upload(
        ObjectStore(url, s3_server.storage_options)
    )
    proxy = CuttingProxy(s3_server.endpoint, after=1_500_000, cuts=3, answers=True, stalls=stalls)
    options = {**s3_server.storage_options, "endpoint_url": proxy.endpoint, "config_kwargs": {"read_timeout": 1}}
    try:
        assert verify(open_remote(f"{url}/{done.path}", options), level=Level.FULL).ok
    finally:
        proxy.close()
    assert proxy.cuts_left == 0


def test_an_answer_that_always_breaks_off_is_no_answer(s3_server: S3Server, url: str) -> None:
    done = make_sample({"data/large.raw": PART_SIZE}).upload(ObjectStore(url, s3_server.storage_options))
    proxy = CuttingProxy(s3_server.endpoint, after=500_000, cuts=1_000_000, answers=True)
    options = {**s3_server.storage_options, "endpoint_url": proxy.endpoint}
    store = ObjectStore(url, options, patience=BRIEF)
    try:
        with pytest.raises(Unreachable), store.bundle(done.path).open("data/large.raw") as reader:
            reader.read_at(0, PART_SIZE)
    finally:
        proxy.close()


def test_line_that_stays_broken(s3_server: S3Server, url: str, store: ObjectStore) -> None:
    """An error that says so, and no package; the next run on a good line succeeds."""
    proxy = CuttingProxy(s3_server.endpoint, after=3_000_000, cuts=1_000_000)
    options = {**s3_server.storage_options, "endpoint_url": proxy.endpoint}
    sample = make_sample({"data/large.raw": 5 * PART_SIZE})
    try:
        with pytest.raises(Unreachable) as caught:
            sample.upload(ObjectStore(url, options, patience=BRIEF))
    finally:
        proxy.close()
    assert caught.value.exit_code == 5
    assert "run the same command again" in str(caught.value)
    assert not is_visible(store)
    assert uploads(store) == 0
    assert sample.upload(store).created


def test_server_down(s3_server: S3Server) -> None:
    """Nobody listens: exit code 5, with the address."""
    port = free_ports(1)[0]
    options = {**s3_server.storage_options, "endpoint_url": f"http://127.0.0.1:{port}"}
    with pytest.raises(Unreachable) as caught:
        make_sample({"data/a": 10}).upload(ObjectStore("s3://bucket/x", options, patience=BRIEF))
    assert caught.value.exit_code == 5
    assert str(port) in str(caught.value)
    assert caught.value.next


def test_wrong_bucket(s3_server: S3Server) -> None:
    """A missing bucket is not made in silence."""
    sample = make_sample({"data/a": 10})
    with pytest.raises(NotFound, match="no such bucket"):
        sample.upload(ObjectStore("s3://no-such-bucket/x", s3_server.storage_options))
    with pytest.raises(NotFound):
        open_remote("s3://no-such-bucket/x", s3_server.storage_options).listing()
    with pytest.raises(NotFound):
        open_remote(s3_server.url("nothing/here"), s3_server.storage_options).listing()


@pytest.mark.parametrize("change", [{"key": "nobody"}, {"secret": "wrong"}])
def test_wrong_credentials(s3_server: S3Server, url: str, change: dict[str, str]) -> None:
    """Refused, exit code 4, and where credentials come from; the secret is not repeated."""
    with pytest.raises(Refused) as caught:
        make_sample({"data/a": 10}).upload(ObjectStore(url, {**s3_server.storage_options, **change}))
    assert caught.value.exit_code == 4
    assert "AWS_ACCESS_KEY_ID" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_reader_without_rights_to_write(s3_server: S3Server, url: str, store: ObjectStore) -> None:
    """May verify, may not upload."""
    done = make_sample({"data/a": 10}).upload(store)
    options = {**s3_server.storage_options, "key": s3_server.reader_key, "secret": s3_server.reader_secret}
    assert verify(open_remote(f"{url}/{done.path}", options), level=Level.FULL).ok
    with pytest.raises(Refused):
        make_sample({"data/b": 11}).upload(ObjectStore(url, options))


@pytest.mark.parametrize("able", [True, False])
def test_stores_that_can_less(store: ObjectStore, proxy: CountingProxy, able: bool) -> None:
    """No digests checked, or no conditions at all: every leaf is read back, and the claim is best effort."""
    store = through(proxy, store)
    store._capabilities = Capabilities(able, False, False, False)
    sample = make_sample({"data/large.raw": 3 * PART_SIZE, "data/empty": 0})
    done = sample.upload(store)
    assert (done.created, done.proof) == (True, "read-back")
    assert proxy.received > 3 * PART_SIZE
    assert verify(store.bundle(done.path), level=Level.FULL).ok
    assert not [key for key in keys(store) if "/claims/" in key]


def test_sweep(store: ObjectStore) -> None:
    """Open uploads and unfinished folders by the server's clock; nothing goes unless asked."""
    make_sample({"data/a": 10}).upload(store)
    half = "2026/20260101-half-0123456789ab"
    store.client.put(f"{half}/data/a b", b"12345")
    s3(store).begin(f"{half}/data/large.raw")
    s3(store).begin("thesis/film.mov")
    s3(store).begin(f"{PROBES}/killed")
    assert store.leftovers() == Leftovers()
    time.sleep(1.1)
    found = store.leftovers(older=timedelta(0))
    assert [(each.path, each.bytes) for each in found.packages] == [(half, 5)]
    ours = {f"{half}/data/large.raw", f"{PROBES}/killed"}
    assert {each.key for each in found.uploads} == ours
    assert uploads(store) == 1
    store.leftovers(older=timedelta(0), delete=True)
    assert store.leftovers(older=timedelta(0)).packages == ()
    assert [each.key for each in store.client.uploads("")] == ["thesis/film.mov"]
    assert len([key for key in keys(store) if key.endswith(TAGMANIFEST)]) == 1


def test_an_upload_that_is_gone_is_not_the_object_that_was_there(store: ObjectStore) -> None:
    """A request that is repeated is told that the upload is gone: then the key has the new object, or an older one."""
    client, key = s3(store), "2026/large.bin"

    def sent(data: bytes) -> tuple[str, list[tuple[int, str, bytes]]]:
        upload, digest = client.begin(key), hashlib.sha256(data).digest()
        return upload, [(1, client.part(key, upload, 1, data, digest), digest)]

    client.complete(key, *(first := sent(b"old")))
    client.complete(key, *first)  # as if the answer had been lost
    upload, parts = sent(b"new")
    client.abort(key, upload)
    with pytest.raises(NotFound):
        client.complete(key, upload, parts)
    assert client.get(key, 0, 3) == b"old"
