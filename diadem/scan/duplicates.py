"""Files with one content: the same size first, then a sample of the bytes, then BLAKE3 of all of them."""

from __future__ import annotations

import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Literal

from blake3 import blake3

from diadem.model.ports import Listener, Progress
from diadem.model.scan import Concern, DuplicateGroup, ScanIssue, SingleCopies
from diadem.pack.plan import text_of
from diadem.scan.cache import ScanCache, state_of
from diadem.scan.tree import ScanTree, Stamp
from diadem.store.system import READ_FLAGS, long_path
from diadem.work import in_order

#: Bytes taken at the start, in the middle and at the end for the sample. Frames of one camera have one size and often
#: one header, so that the start alone would tell nothing.
_SAMPLE = 16 << 10
_CHUNK = 1 << 20
_THREADS = 4
#: Files that the threads have ahead of the caller.
_AHEAD = 512


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A file, and where its dataset stands among all: `path` as the file system has it, relative to the root."""

    tree: ScanTree
    path: str
    stamp: Stamp
    owner: int


@dataclass(slots=True)
class Comparison:
    """Which files have one content: groups of those that lie on disk more than once, by the BLAKE3 of their content.

    `issues` are files that could not be read, or changed while they were; `unread` the absolute paths of those, of
    which nobody knows whether their content lies elsewhere. Bytes were hashed, and digests taken from the cache.
    """

    groups: dict[str, list[Candidate]] = field(default_factory=dict)
    issues: list[ScanIssue] = field(default_factory=list)
    unread: set[bytes] = field(default_factory=set)
    hashed_bytes: int = 0
    cached: int = 0


def compare(candidates: Iterable[Candidate], cache: ScanCache, listener: Listener) -> Comparison:
    """Find files with one content. Only files that may be equal are read, and large ones only where a sample is.

    Empty ones are all alike, and no duplicates. The listener is told of the bytes read.
    """
    comparison = Comparison()
    same_size = _by((file for file in candidates if file.stamp.size), lambda file: file.stamp.size)
    samples = _digests("sample", [file for group in same_size for file in group], comparison, cache, listener)
    same_sample = [group for part in same_size for group in _by(part, samples.get)]
    large = {file for group in same_sample if group[0].stamp.size > 3 * _SAMPLE for file in group}
    whole = [file for group in same_sample for file in group if file in large]
    digests = _digests("whole", whole, comparison, cache, listener)
    for part in same_sample:
        for group in _by(part, digests.get if part[0] in large else samples.get):
            comparison.groups[(digests.get(group[0]) or samples[group[0]]).hex()] = group
    return comparison


def _by(files: Iterable[Candidate], key: Callable[[Candidate], object]) -> list[list[Candidate]]:
    """Groups of at least two files with one key; files whose key is None are in none."""
    groups: dict[object, list[Candidate]] = defaultdict(list)
    for file in files:
        groups[key(file)].append(file)
    groups.pop(None, None)
    return [group for group in groups.values() if len(group) > 1]


def _digests(
    kind: Literal["sample", "whole"],
    files: Sequence[Candidate],
    comparison: Comparison,
    cache: ScanCache,
    listener: Listener,
) -> dict[Candidate, bytes]:
    """The digest of every file that can be read, on a few threads; what cannot be is an issue."""
    found: dict[Candidate, bytes] = {}
    waiting: list[tuple[Candidate, bytes]] = []
    for file in files:
        state = state_of(*file.stamp)
        kept = cache.get(_key(file), kind, state)
        if kept is None:
            waiting.append((file, state))
        else:
            found[file] = kept
    comparison.cached += len(found)
    stage, most = ("compare", 3 * _SAMPLE) if kind == "sample" else ("hash", sys.maxsize)
    total, done, stop = sum(min(file.stamp.size, most) for file, _ in waiting), 0, threading.Event()
    digest = _sample if kind == "sample" else _whole
    answers = in_order(
        lambda item: _attempt(digest, item[0], stop),
        waiting,
        threads=_THREADS,
        ahead=_AHEAD,
        stop=stop.set,
        name="diadem-compare",
    )
    try:
        with closing(answers):
            for (file, state), answer in zip(waiting, answers, strict=True):
                size = min(file.stamp.size, most)
                done += size
                listener(Progress(stage, done, total, file.path))
                if isinstance(answer, ScanIssue):
                    comparison.issues.append(answer)
                    comparison.unread.add(_key(file))
                else:
                    comparison.hashed_bytes += size
                    found[file] = answer
                    cache.put(_key(file), kind, state, answer)
    finally:
        cache.flush()
    return found


def _key(file: Candidate) -> bytes:
    return os.fsencode(file.tree.absolute(file.path))


def _attempt(
    digest: Callable[[int, int, threading.Event], bytes], file: Candidate, stop: threading.Event
) -> bytes | ScanIssue:
    """The digest of a file, or why there is none."""
    try:
        descriptor = os.open(long_path(file.tree.absolute(file.path)), READ_FLAGS)
        try:
            before = os.fstat(descriptor)
            found = digest(descriptor, before.st_size, stop)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return _issue(file, "vanished", "it was there when its folder was listed, but is gone now")
    except OSError as error:
        return _issue(file, "unreadable", f"its content cannot be read: {error.strerror}")
    if {(status.st_size, status.st_mtime_ns) for status in (before, after)} != {file.stamp[:2]}:
        return _issue(file, "changing", "it changed while it was read")
    return found


def _issue(file: Candidate, code: str, message: str) -> ScanIssue:
    root, path = (text_of(os.fsencode(text)) for text in (file.tree.root, file.path))
    return ScanIssue(Concern.UNSEEN, code, root, path, message, "Scan again.")


def _whole(descriptor: int, size: int, stop: threading.Event) -> bytes:  # noqa: ARG001
    """BLAKE3 of everything. A buffer and no mapping: a mapped file that is cut short would end the process."""
    hasher, buffer = blake3(), memoryview(bytearray(_CHUNK))
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
        while (count := file.readinto(buffer)) and not stop.is_set():
            hasher.update(buffer[:count])
    return hasher.digest()


def _sample(descriptor: int, size: int, stop: threading.Event) -> bytes:
    """BLAKE3 of a small file, or of three places of a large one."""
    if size <= 3 * _SAMPLE:
        return _whole(descriptor, size, stop)
    hasher = blake3()
    with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
        for start in (0, (size - _SAMPLE) // 2, size - _SAMPLE):
            file.seek(start)
            hasher.update(file.read(_SAMPLE) or b"")
    return hasher.digest()


def duplicates(comparison: Comparison) -> list[DuplicateGroup]:
    """Contents that take room more than once, those that waste most first.

    Equal files inside one dataset are its own affair and are left out, as are several names of one file on disk.
    """
    found = []
    for digest, group in comparison.groups.items():
        copies = len({_place(file) for file in group})
        if copies > 1 and len({file.owner for file in group}) > 1:
            paths = tuple(sorted(text_of(_key(file)) for file in group))
            found.append(DuplicateGroup(digest, group[0].stamp.size, paths, copies))
    return sorted(found, key=lambda group: (-group.spare, group.paths))


def _place(file: Candidate) -> object:
    """What is the same for two names of one file on disk, where listing a folder tells."""
    return file.stamp.file_id if file.stamp.file_id[1] else _key(file)


def single_copies(trees: Sequence[ScanTree], comparison: Comparison) -> list[SingleCopies]:
    """For each of several roots, the files whose content lies nowhere else in any of them."""
    if len(trees) < 2:
        return []
    groups = [group for group in comparison.groups.values() if len(set(map(_place, group))) > 1]
    shared = {_key(file) for group in groups for file in group}
    known, result = shared | comparison.unread, []
    for tree in trees:
        alone = [
            (path, stamp.size)
            for path, stamp in sorted(tree.files.items())
            if stamp.size and os.fsencode(tree.absolute(path)) not in known
        ]
        paths = tuple(text_of(os.fsencode(path)) for path, _ in alone)
        result.append(SingleCopies(text_of(os.fsencode(tree.root)), len(alone), sum(size for _, size in alone), paths))
    return result
