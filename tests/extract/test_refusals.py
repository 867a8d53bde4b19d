"""The walk through HDF5 files that lead out of themselves, loop, or lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from diadem.extract.refusals import Walk, walk


def look(path: Path, *members: str) -> Walk:
    with path.open("rb") as stream:
        return walk(stream, path.name, path.stat().st_size, members)


def external_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/hostname", "/")


def link_to_parent_folder(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("../member.h5", "/")


def soft_through_external(file: h5py.File) -> None:
    file["a"] = h5py.SoftLink("/z/inside")
    file["z"] = h5py.ExternalLink("other.h5", "/")


def external_storage(file: h5py.File) -> None:
    space = h5py.h5s.create_simple((8,))
    creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    creation.set_external(b"/etc/hostname", 0, 8)
    h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_UINT8, space, dcpl=creation)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "d", shape=(4,))
    file.create_virtual_dataset("x", layout)


def join(file: h5py.File, name: str, path: str) -> None:
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource(".", path, shape=(4,))
    file.create_virtual_dataset(name, layout)


def virtual_loop(file: h5py.File) -> None:
    join(file, "a", "/group/b")
    join(file.create_group("group"), "b", "a")


def virtual_through_a_link(file: h5py.File) -> None:
    file["inner/values"] = np.arange(4, dtype="u1")
    file["way"] = h5py.SoftLink("/inner/values")
    join(file, "a", "way")


def hard_loop(file: h5py.File) -> None:
    inner = file.create_group("a/b")
    inner["back"] = file["a"]


def soft_loop(file: h5py.File) -> None:
    file.create_group("a/b")["back"] = h5py.SoftLink("/a")


def diamonds(file: h5py.File) -> None:
    """Thirty groups, each reached twice from the one above: a billion paths."""
    above = file.create_group("g0")
    for number in range(1, 30):
        group = file.create_group(f"g{number}")
        above["left"] = above["right"] = group
        above = group


def deep(file: h5py.File) -> None:
    file.create_group("/".join("a" * 200))


@pytest.mark.parametrize(
    ("build", "code"),
    [
        (external_link, "external-link"),
        (link_to_parent_folder, "external-link"),
        (soft_through_external, "external-link"),
        (external_storage, "external-storage"),
        (virtual, "virtual-dataset"),
        (virtual_loop, "virtual-dataset"),
        (virtual_through_a_link, "virtual-dataset"),
        (hard_loop, "group-loop"),
        (soft_loop, "group-loop"),
        (diamonds, "too-many-objects"),
        (deep, "too-many-objects"),
    ],
)
def test_refused(tmp_path: Path, build: Callable[[h5py.File], None], code: str) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        build(file)
    found = look(path, "member.h5")
    assert found.refused
    assert [issue["code"] for issue in found.issues] == [code]


@pytest.mark.parametrize(
    ("name", "target", "missing", "refused"),
    [
        ("a_master.h5", "a_data_000001.h5", ["a_data_000001.h5"], False),
        ("a_master.h5", "b_data_000001.h5", [], True),
        ("a_master.h5", "a_/../../etc/passwd", [], True),
        ("a_master.h5", "a_\\b.h5", [], True),
        ("a.h5", "a_data_000001.h5", [], True),
    ],
)
def test_a_masters_part_that_is_lost(tmp_path: Path, name: str, target: str, missing: list[str], refused: bool) -> None:
    path = tmp_path / name
    with h5py.File(path, "w") as file:
        file["entry/data/x"] = h5py.ExternalLink(target, "/entry")
        file["way"] = h5py.SoftLink("/entry/data/x/y")
    found = look(path)
    assert (found.missing, found.refused) == (missing, refused)


def honest(file: h5py.File) -> None:
    file["a/b/c"] = np.arange(10)
    file["a/alias"] = h5py.SoftLink("/a/b/c")
    file["a/twin"] = file["a/b"]
    file["lost"] = h5py.SoftLink("/nowhere")


def members(file: h5py.File) -> None:
    file["data"] = h5py.ExternalLink("member.h5", "/entry")
    layout = h5py.VirtualLayout((4,), "u1")
    layout[:] = h5py.VirtualSource("member.h5", "d", shape=(4,))
    file.create_virtual_dataset("x", layout)


def towers(file: h5py.File) -> None:
    """Virtual datasets over virtual ones, with an end, and of one that is not there."""
    file["values"] = np.arange(4, dtype="u1")
    join(file, "first", "values")
    join(file, "second", "/first")
    join(file, "lost", "nowhere")


@pytest.mark.parametrize("build", [honest, members, towers])
def test_allowed(tmp_path: Path, build: Callable[[h5py.File], None]) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        build(file)
    found = look(path, "member.h5")
    assert (found.refused, found.issues) == (False, [])


def test_a_size_that_the_file_cannot_hold_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (1 << 20, 1 << 20), "f8", chunks=(64, 64))
    found = look(path)
    assert (found.refused, found.huge) == (False, True)
    assert [issue["code"] for issue in found.issues] == ["mostly-unwritten"]


def test_what_no_link_leads_to_is_found_by_reference(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        external_storage(file)
        place = h5py.h5o.get_info(file["x"].id).addr
        file["seen"] = np.arange(3)
        file["seen"].attrs["positions"] = file["x"].ref
    whole = bytearray(path.read_bytes())
    assert whole[place + 4] == 1  # how many links lead to it; said to be two, it outlives the only one
    whole[place + 4] = 2
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file["x"]
    with h5py.File(path) as file:
        assert file[file["seen"].attrs["positions"]].shape == (8,)
    assert [issue["code"] for issue in look(path).issues] == ["external-storage"]


def test_references_in_circles_are_no_fault(tmp_path: Path) -> None:
    """Scales of dimensions refer to what they scale, and the other way round."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["group/values"], file["scale"] = np.arange(3), np.arange(3)
        file["scale"].make_scale("x")
        file["group/values"].dims[0].attach_scale(file["scale"])
        file["group"].attrs["root"] = file.ref
        file["list"] = np.array([file["group"].ref, file["scale"].ref], h5py.ref_dtype)
        file["scale"].attrs["part"] = file["group/values"].regionref[:2]
        file["scale"].attrs.create("none", h5py.Empty(h5py.ref_dtype))
    found = look(path)
    assert (found.refused, found.issues) == (False, [])
