"""Parity: whatever is lost within its capacity comes back byte for byte; beyond it, nothing wrong comes back."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass

import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from diadem.errors import DigestMismatch, IntegrityError
from diadem.model.manifest import RECORD_PATH, TAGMANIFEST, FileEntry, leaf_count
from diadem.package.examine import TagFiles, open_tag_files
from diadem.package.parity.build import build, plan
from diadem.package.parity.format import MAX_BLOCK, MIN_BLOCK, block_size, region_size
from diadem.package.parity.rebuild import Parity, Rebuilder, Suspect
from diadem.package.tags import seal
from diadem.store.bags import MemoryBundle
from tests.package.sample_bags import EMPTY_ZIP, hashed

SLOW = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Sample:
    """A package in memory, its parity file, and the stream that is protected."""

    files: dict[str, bytes]
    opened: TagFiles
    parity: bytes
    stream: bytes

    def open_parity(self, data: bytes | None = None) -> Parity:
        return Parity(MemoryBundle({"pq": self.parity if data is None else data}).open("pq"))

    def rebuilt(
        self, damaged: Mapping[str, bytes], *, parity: bytes | None = None, suspects: tuple[Suspect, ...] = ()
    ) -> dict[str, bytes]:
        """Every file of the payload, made from a damaged package and parity."""
        rebuilder = Rebuilder(self.open_parity(parity), MemoryBundle(damaged), self.opened, suspects)
        return {entry.path: whole(rebuilder, entry, self.opened) for entry in self.opened.manifest}

    def payload(self) -> dict[str, bytes]:
        return {entry.path: self.files[entry.path] for entry in self.opened.manifest}


def whole(rebuilder: Rebuilder, entry: FileEntry, opened: TagFiles) -> bytes:
    count = leaf_count(entry.size, opened.manifest.leaf_size)
    return b"".join(rebuilder.leaf(entry, leaf) for leaf in range(count))


def sample(payload: Mapping[str, bytes], *, block: int | None = None) -> Sample:
    files = {f"data/{path}": content for path, content in payload.items()} | {RECORD_PATH: b"{}\n"}
    contents = (hashed(path, content) for path, content in files.items())
    sealed = seal(contents, vendor=EMPTY_ZIP, date="2026-03-14", software="DIADEM tests")
    files |= sealed.tag_files
    bundle = MemoryBundle(files)
    opened = open_tag_files(bundle)
    parity = b"".join(bytes(piece) for piece in build(bundle, opened, block=block))
    return Sample(files, opened, parity, b"".join(files[entry.path] for entry in opened.manifest))


def of_sizes(sizes: list[int], seed: int, *, block: int | None = None) -> Sample:
    source = random.Random(seed)
    return sample({f"{number:03d}.dat": source.randbytes(size) for number, size in enumerate(sizes)}, block=block)


def spoilt(one: Sample, ranges: list[tuple[int, int]], seed: int) -> dict[str, bytes]:
    """The files with some ranges of the stream overwritten: every byte there is another one."""
    source = random.Random(seed)
    stream = bytearray(one.stream)
    for start, stop in ranges:
        stream[start:stop] = bytes(byte ^ source.randrange(1, 256) for byte in stream[start:stop])
    files, start = dict(one.files), 0
    for entry in one.opened.manifest:
        files[entry.path] = bytes(stream[start : start + entry.size])
        start += entry.size
    return files


# -- what comes back ---------------------------------------------------------------------------------------------------

shapes = st.lists(st.one_of(st.sampled_from([0, 1, 2, 63, 64, 65, 4096]), st.integers(0, 60_000)), max_size=12)


@SLOW
@given(sizes=shapes, seed=st.integers(0, 2**32), count=st.integers(0, 2), block=st.sampled_from([None, MIN_BLOCK]))
def test_up_to_two_lost_regions_of_each_stripe_come_back(
    sizes: list[int], seed: int, count: int, block: int | None
) -> None:
    one = of_sizes(sizes, seed, block=block)
    source = random.Random(seed)
    header = one.open_parity().header
    lost = []
    for number in range(header.stripes):
        stripe = header.stripe(number)
        for region in source.sample(range(20), count):
            start = min(stripe.start + region * stripe.region, stripe.start + stripe.length)
            lost.append((start, min(start + stripe.region, stripe.start + stripe.length)))
    assert one.rebuilt(spoilt(one, lost, seed)) == one.payload()


@SLOW
@given(sizes=shapes, seed=st.integers(0, 2**32), damage=st.lists(st.tuples(st.floats(0, 1), st.integers(1, 30_000))))
def test_any_damage_comes_back_right_or_is_refused(
    sizes: list[int], seed: int, damage: list[tuple[float, int]]
) -> None:
    one = of_sizes(sizes, seed)
    total = len(one.stream)
    files = spoilt(one, [(int(at * total), min(total, int(at * total) + length)) for at, length in damage], seed)
    rebuilder = Rebuilder(one.open_parity(), MemoryBundle(files), one.opened)
    for entry in one.opened.manifest:
        try:
            assert whole(rebuilder, entry, one.opened) == one.files[entry.path]
        except IntegrityError as refused:
            assert refused.where == entry.path  # noqa: PT017
            assert files[entry.path] != one.files[entry.path]


def test_many_stripes() -> None:
    one = of_sizes([3_000_000, 0, 17, 2_500_000, 100], 1, block=MIN_BLOCK)
    header = one.open_parity().header
    assert header.stripes == 3
    lost = []
    for number in range(header.stripes):
        stripe = header.stripe(number)
        start = stripe.start + stripe.region // 3
        lost.append((start, start + 2 * stripe.region - stripe.block))
    assert one.rebuilt(spoilt(one, lost, 5)) == one.payload()


@pytest.mark.parametrize("seed", range(12))
def test_one_burst_of_a_tenth_comes_back_wherever_it_begins(seed: int) -> None:
    source = random.Random(seed)
    one = of_sizes([source.randrange(1_000_000, 1_500_000), 5, 333], seed)
    length = len(one.stream) // 10
    start = source.randrange(len(one.stream) - length + 1)
    assert one.rebuilt(spoilt(one, [(start, start + length)], seed)) == one.payload()


@pytest.mark.parametrize("seed", range(6))
def test_missing_and_short_and_long_files_come_back(seed: int) -> None:
    source = random.Random(seed)
    one = of_sizes([900, 0, 30_000, 400_000, 1, 12_000], seed)
    files = dict(one.files)
    del files["data/002.dat"]
    files["data/000.dat"] = files["data/000.dat"][: source.randrange(900)]
    files["data/005.dat"] += b"more"
    del files["data/001.dat"]
    rebuilt = one.rebuilt(files)
    assert rebuilt == one.payload()


def test_more_than_parity_can_tell_is_refused_and_the_rest_still_comes_back() -> None:
    one = of_sizes([100_000] * 10, 3)
    files = dict(one.files)
    for number in (1, 2, 3):
        del files[f"data/{number:03d}.dat"]
    rebuilder = Rebuilder(one.open_parity(), MemoryBundle(files), one.opened)
    with pytest.raises(IntegrityError, match="too much of its stripe") as refused:
        rebuilder.leaf(one.opened.manifest["data/002.dat"], 0)
    assert refused.value.where == "data/002.dat"
    assert whole(rebuilder, one.opened.manifest["data/007.dat"], one.opened) == one.files["data/007.dat"]


def test_the_parity_of_another_package_is_refused() -> None:
    one, other = of_sizes([1000], 1), of_sizes([1000], 2)
    with pytest.raises(IntegrityError, match="belongs to"):
        Rebuilder(other.open_parity(), MemoryBundle(one.files), one.opened)


# -- a parity file that is itself damaged ------------------------------------------------------------------------------


def with_flips(data: bytes, places: list[int]) -> bytes:
    changed = bytearray(data)
    for place in places:
        changed[place] ^= 0x40
    return bytes(changed)


@SLOW
@given(seed=st.integers(0, 2**32), flips=st.lists(st.integers(0, 2**30), min_size=1, max_size=6))
def test_flips_in_the_parity_file_are_found_and_never_do_harm(seed: int, flips: list[int]) -> None:
    one = of_sizes([20_000, 70_000, 3], 7)
    data = with_flips(one.parity, sorted({place % len(one.parity) for place in flips}))
    start = random.Random(seed).randrange(len(one.stream))
    files = spoilt(one, [(start, min(len(one.stream), start + 500))], seed)
    try:
        parity = one.open_parity(data)
    except IntegrityError:
        return  # both copies of the header were hit
    assert not parity.check().ok
    rebuilder = Rebuilder(parity, MemoryBundle(files), one.opened)
    for entry in one.opened.manifest:
        try:
            assert whole(rebuilder, entry, one.opened) == one.files[entry.path]
        except IntegrityError:
            assert files[entry.path] != one.files[entry.path]


def test_either_copy_of_the_header_is_enough() -> None:
    one = of_sizes([5000], 1)
    lost = spoilt(one, [(0, 200)], 1)
    for data in (
        bytes(40) + one.parity[40:],
        one.parity[:-60] + bytes(60),
        one.parity[:-1],
    ):
        assert not one.open_parity(data).check().ok
        assert one.rebuilt(lost, parity=data) == one.payload()
    with pytest.raises(IntegrityError, match="both copies"):
        one.open_parity(bytes(40) + one.parity[40:-1])


def test_a_lost_p_leaves_one_region_and_a_lost_table_the_leaves_that_are_known() -> None:
    one = of_sizes([2_000_000, 900_000], 4)
    header = one.open_parity().header
    stripe = header.stripe(0)
    lost = spoilt(one, [(100_000, 100_000 + stripe.region - stripe.block)], 4)
    without_p = one.parity[: stripe.offset] + bytes(stripe.region) + one.parity[stripe.offset + stripe.region :]
    assert one.rebuilt(lost, parity=without_p) == one.payload()

    table = stripe.offset + 2 * stripe.region
    without_table = one.parity[:table] + bytes(stripe.table_size) + one.parity[table + stripe.table_size :]
    small = of_sizes([2_000_000, 900_000], 4)
    files = spoilt(small, [(1_500_000, 1_500_100)], 4)
    entry = one.opened.manifest["data/000.dat"]
    with pytest.raises(IntegrityError):
        one.rebuilt(files, parity=without_table)  # nothing says which blocks are lost, and the leaf spans ten regions
    tiny = of_sizes([3_000] * 200, 4)
    stripe = tiny.open_parity().header.stripe(0)
    table = stripe.offset + 2 * stripe.region
    without_table = tiny.parity[:table] + bytes(stripe.table_size) + tiny.parity[table + stripe.table_size :]
    files = dict(tiny.files)
    del files["data/007.dat"]
    files["data/150.dat"] = bytes(3_000)
    entry = tiny.opened.manifest["data/150.dat"]
    suspects: tuple[Suspect, ...] = ((entry, 0), (tiny.opened.manifest["data/007.dat"], None))
    assert tiny.rebuilt(files, parity=without_table, suspects=suspects) == tiny.payload()


def test_what_is_damaged_is_named() -> None:
    one = of_sizes([500_000], 2)
    header = one.open_parity().header
    stripe = header.stripe(0)
    table = stripe.offset + 2 * stripe.region
    named = {
        20: "parity-header-damaged",
        header.tag_offset("bag-info.txt") + 3: "parity-tag-file-damaged",
        header.tag_offset(TAGMANIFEST) + 3: "parity-tag-file-damaged",
        stripe.offset + 9: "parity-block-damaged",
        stripe.offset + stripe.region + 9: "parity-block-damaged",
        table + 2: "parity-table-damaged",
        len(one.parity) - 20: "parity-header-damaged",
    }
    assert one.open_parity().check().ok
    for place, code in named.items():
        report = one.open_parity(with_flips(one.parity, [place])).check()
        assert code in {finding.code for finding in report.findings}, place
        assert not report.ok
    cut = one.open_parity(one.parity[: stripe.offset]).check()
    assert {finding.code for finding in cut.findings} >= {"parity-header-damaged", "parity-truncated"}


@given(st.binary(max_size=3000))
def test_garbage_is_no_parity_file(data: bytes) -> None:
    for content in (data, b"DIADEMPQ" + data, data + b"QPMEDAID"):
        with pytest.raises(IntegrityError):
            Parity(MemoryBundle({"pq": content}).open("pq"))


def test_a_header_that_lies_is_refused_even_with_a_right_digest() -> None:
    one = of_sizes([500], 2)
    text = one.open_parity().header.to_bytes()
    lies: list[dict[str, object]] = [
        {"total": -5}, {"block": 3}, {"block": 1 << 40}, {"package": "x"}, {"tags": [["a", -1, "b"]]}, {"tags": 7},
        {"k": 3}, {"total": None},
    ]  # fmt: skip
    for lie in lies:
        said = json.dumps(json.loads(text) | lie, sort_keys=True, separators=(",", ":")).encode()
        data = struct.pack("<8sII", b"DIADEMPQ", 1, len(said)) + said + blake3(said).digest()
        with pytest.raises(IntegrityError, match="header"):
            Parity(MemoryBundle({"pq": data}).open("pq"))


# -- writing -----------------------------------------------------------------------------------------------------------


def test_there_is_no_parity_of_damage() -> None:
    one = of_sizes([3_000_000, 50], 1)
    for path in ("data/000.dat", "data/001.dat"):
        good = one.files[path]
        for bad in (good[:-1], good + b"x", good[:-1] + bytes([good[-1] ^ 1])):
            files = one.files | {path: bad}
            with pytest.raises(DigestMismatch) as refused:
                list(build(MemoryBundle(files), one.opened))
            assert refused.value.where == path
    without = {path: data for path, data in one.files.items() if path != "data/000.dat"}
    with pytest.raises(DigestMismatch):
        list(build(MemoryBundle(without), one.opened))
    flipped = one.files | {"diadem/vendor.zip": b"PK\x05\x06" + bytes(17) + b"\1"}
    with pytest.raises(DigestMismatch, match="tag file"):
        list(build(MemoryBundle(flipped), one.opened))


def test_copies_of_the_tag_files_give_the_package_id() -> None:
    one = of_sizes([10], 1)
    parity = one.open_parity()
    assert parity.proves_id()
    tags = {path: b"".join(parity.tag_blocks(path)) for path in parity.tag_files()}
    assert hashlib.sha256(tags[TAGMANIFEST]).hexdigest() == one.opened.id.hex
    assert tags == {path: data for path, data in one.files.items() if not path.startswith("data/")}
    damaged = one.open_parity(with_flips(one.parity, [parity.header.tag_offset("bagit.txt")]))
    with pytest.raises(DigestMismatch, match="copy of the tag file"):
        list(damaged.tag_blocks("bagit.txt"))


@settings(deadline=None, max_examples=300)
@given(st.integers(1, 1 << 44))
def test_overhead_is_ten_to_twelve_percent_at_any_size(total: int) -> None:
    block = block_size(total)
    assert MIN_BLOCK <= block <= MAX_BLOCK
    full = 20 * 65 * block
    sizes = [full] * min(1, total // full) + [total % full] * (total < full or total % full > 0)
    for length in sizes:
        region = region_size(length, block)
        assert 20 * region >= length
        columns = -(-region // block)
        cost = 2 * region + 22 * columns * 16 + 32
        if length >= 32_000 or total < full:
            assert cost <= 0.12 * length + 520  # the constant matters in packages of some kilobytes
            assert cost >= 0.1 * length


def test_size_is_known_beforehand_and_equal_packages_have_equal_parity() -> None:
    one = of_sizes([123_456, 7], 9)
    assert plan(MemoryBundle(one.files), one.opened).size == len(one.parity)
    assert of_sizes([123_456, 7], 9).parity == one.parity


# -- against the arithmetic, written down once more --------------------------------------------------------------------


def times(one: int, other: int) -> int:
    """Product in GF(2^8) modulo x^8 + x^4 + x^3 + x^2 + 1, bit by bit."""
    product = 0
    while other:
        product ^= one * (other & 1)
        one, other = one << 1, other >> 1
        one ^= 0x11D * (one >> 8)
    return product


def test_a_reader_that_knows_only_the_description_finds_the_same_parity() -> None:
    one = of_sizes([700, 0, 1501], 6)
    data = one.parity
    magic, version, length = struct.unpack_from("<8sII", data)
    assert (magic, version) == (b"DIADEMPQ", 1)
    header = json.loads(data[16 : 16 + length])
    assert data[16 + length : 48 + length] == blake3(data[16 : 16 + length]).digest()
    place = 48 + length
    for path, size, sha256 in header["tags"]:
        assert data[place : place + size] == one.files[path]
        assert hashlib.sha256(data[place : place + size]).hexdigest() == sha256
        place += size
    total = header["total"]
    assert total == len(one.stream)
    region = -(-total // (20 * 64)) * 64
    regions = [one.stream[number * region : (number + 1) * region] for number in range(20)]
    padded = [part.ljust(region, b"\0") for part in regions]
    weights = [1]
    for _ in range(19):
        weights.insert(0, times(weights[0], 2))
    p, q = bytearray(region), bytearray(region)
    for weight, part in zip(weights, padded, strict=True):
        for number, byte in enumerate(part):
            p[number] ^= byte
            q[number] ^= times(weight, byte)
    assert data[place : place + 2 * region] == p + q
    place += 2 * region
    table = b"".join(blake3(bytes(part)).digest()[:16] for part in (*regions, p, q))
    assert data[place : place + len(table) + 32] == table + blake3(table).digest()
    place += len(table) + 32
    assert data[place : place + length] == data[16 : 16 + length]
    assert data[place + length + 32 :] == struct.pack("<I8s", length, b"QPMEDAID")
