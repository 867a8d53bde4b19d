"""Each defence is switched off in turn, in a copy of the code: the harness must then see a loss, or it proves nothing.

A defence that can be taken away without anybody noticing counts as untested.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diadem
from tests.faults.kinds import KINDS
from tests.faults.workers import outcomes


@dataclass(frozen=True, slots=True)
class Patch:
    """A text of a file that is replaced by another; it must stand there exactly once."""

    file: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Defence:
    """Something that keeps data from being lost, the kind of cases that should miss it, and what removes it."""

    name: str
    kind: str
    patches: Sequence[Patch]


class Unfit(Exception):
    """A patch does not fit the code any more."""


DEFENCES: Sequence[Defence] = (
    Defence(
        "leaves are compared with their digests",
        "disk",
        [
            Patch(
                "package/prove.py",
                "        if leaf_digest(view) == self._digests[job.first_leaf + leaf]:\n",
                "        if view is not None:\n",
            )
        ],
    ),
    Defence(
        "the tag manifest is written last (object store)",
        "object",
        [
            Patch(
                "store/upload.py",
                "    _send(client, root, job)\n    _check",
                "    commit(client, root, job)\n    _send(client, root, job)\n    _check",
            ),
            Patch("store/upload.py", "    _check_listing(client, root, job.sizes)\n", ""),
        ],
    ),
    Defence(
        "the tag manifest is removed first (object store)",
        "object",
        [
            Patch(
                "store/objects.py",
                '        self.client.delete(f"{path}/{TAGMANIFEST}")\n',
                "",
            )
        ],
    ),
    Defence(
        "a package is forced to disk before it gets its name",
        "power",
        [
            Patch(
                "store/system.py",
                '    if _LIBC is not None and hasattr(_LIBC, "syncfs"):\n        descriptor',
                '    return\n    if _LIBC is not None and hasattr(_LIBC, "syncfs"):\n        descriptor',
            )
        ],
    ),
    Defence(
        "the name of a package is forced to disk before its statement",
        "power",
        [
            Patch(
                "store/folder.py",
                "            flush_folder(long_path(folder))\n",
                "            pass\n",
            )
        ],
    ),
    Defence(
        "a file that is exchanged is forced to disk first",
        "power",
        [Patch("store/mend.py", "        os.fsync(sink.descriptor)\n", "")],
    ),
    Defence(
        "a leaf is forced to disk before it counts as mended",
        "power",
        [Patch("store/mend.py", "memoryview(data))\n    os.fsync(descriptor)\n", "memoryview(data))\n")],
    ),
    Defence(
        "the intent is on disk before a leaf is written",
        "power",
        [Patch("store/mend.py", "    intents.announce(intent)\n    descriptor", "    descriptor")],
    ),
    Defence(
        "batches of the log are forced to disk in the mirrors",
        "power",
        [Patch("store/whole.py", "            os.fsync(sink.fileno())\n", "")],
    ),
    Defence(
        "two drops of one package take turns",
        "race",
        [
            Patch(
                "node/keep/drop.py",
                "        return _give_up_adopted("
                "context, package_id, reason=reason, dry_run=dry_run, listener=listener)\n"
                "    copies = PackageCopies(context, package_id)\n    with copies.locked():\n",
                "        return _give_up_adopted("
                "context, package_id, reason=reason, dry_run=dry_run, listener=listener)\n"
                "    copies = PackageCopies(context, package_id)\n    with contextlib.nullcontext():\n",
            )
        ],
    ),
    Defence(
        "the copies that remain are read before one is dropped",
        "kill",
        [
            Patch(
                "node/keep/drop.py",
                "        if report.ok:\n            proofs.append(",
                "        if True:\n            proofs.append(",
            )
        ],
    ),
    Defence(
        "a removal that was cut short is finished",
        "kill",
        [
            Patch(
                "node/keep/removal.py",
                "    if said is None:\n        return []\n    context",
                "    if said is None or note.name:\n        return []\n    context",
            )
        ],
    ),
    Defence(
        "good bytes are proven before they replace damaged ones",
        "disk",
        [
            Patch(
                "node/keep/mend_sources.py",
                "            if self._opened.leaves.proves(entry, leaf, data):\n",
                "            if data:\n",
            ),
        ],
    ),
    Defence(
        "a mended copy is read whole before it counts",
        "disk",
        [
            Patch(
                "node/repair.py",
                "            if report.ok:\n                copies.state_proven(",
                "            if report:\n                copies.state_proven(",
            )
        ],
    ),
    Defence(
        "a copy is compared with its digests while it is copied",
        "disk",
        [
            Patch(
                "store/package_copy.py",
                "    if item.leaves is not None and leaves is not None and leaves != item.leaves:\n",
                "    if size >= 0:\n        return\n"
                "    if item.leaves is not None and leaves is not None and leaves != item.leaves:\n",
            )
        ],
    ),
    Defence(
        "another package in the place of a damaged one is not overwritten",
        "disk",
        [
            Patch("node/keep/mend.py", "    _refuse_another(bundle, opened)\n", ""),
            Patch(
                "node/repair.py",
                "    return not files or bool(copies.another_at(bundle))\n",
                "    return not files\n",
            ),
        ],
    ),
    Defence(
        "a store is known by its id, not by its place",
        "store",
        [
            Patch(
                "node/stores.py",
                '    if settings.id and (found is None or found["store"] != settings.id):\n',
                "    if settings is None:\n",
            )
        ],
    ),
    Defence(
        "the log is compared with its mirrors before it is written",
        "backup",
        [
            Patch(
                "custody/log_mirrors.py",
                "        new = [mirror for mirror in self._listed() if mirror.url not in self._met "
                "and not self._rests(mirror.url)]\n",
                "        new = []\n",
            )
        ],
    ),
    Defence(
        "what is said to be archived already was read just now",
        "again",
        [
            Patch(
                "pack/pack.py",
                "            judged[bundle.url] = verify(bundle, level=level).ok\n",
                "            judged[bundle.url] = True\n",
            )
        ],
    ),
    Defence(
        "the catalogue follows the log after a crash between the two",
        "kill",
        [
            Patch(
                "node/follow/follow.py",
                "self._catch_up(count) if count else 0",
                "self._catch_up(count) if count < 0 else 0",
            )
        ],
    ),
)


def check_defences(work: Path, *, cases: int, seed: int, names: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Switch off one defence after the other, and tell at which of so many cases, if any, its absence was noticed.

    `names` are words of the names of those that are tried; all by default.
    """
    for defence in DEFENCES:
        if names and not any(name in defence.name for name in names):
            continue
        code = work / "sabotaged"
        try:
            sabotaged(defence, code)
            yield _tried(defence, code, work / "sabotage", cases, seed)
        except Unfit as error:
            yield {**_row(defence, cases), "problem": str(error)}
        finally:
            shutil.rmtree(code, ignore_errors=True)


def sabotaged(defence: Defence, target: Path) -> None:
    """Copy DIADEM, and what tries it, and switch one of its defences off in the copy."""
    source, tests = Path(diadem.__file__).parent, Path(__file__).parents[1]
    for folder, copy in ((source, "diadem"), (tests / "faults", "tests/faults")):
        shutil.copytree(folder, target / copy, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "zygote.py"):
        shutil.copy(tests / name, target / "tests" / name)
    schemas = source.parent / "schemas"
    if schemas.is_dir():
        shutil.copytree(schemas, target / "schemas")
    for file, text in weakened(defence).items():
        (target / "diadem" / file).write_text(text, "utf-8")


def weakened(defence: Defence) -> dict[str, str]:
    """The files of DIADEM without a defence, by their paths. Raises `Unfit` where a patch does not fit the code."""
    texts: dict[str, str] = {}
    for patch in defence.patches:
        path = Path(diadem.__file__).parent / patch.file
        if not path.is_file():
            raise Unfit(f"there is no {patch.file}")
        text = texts.get(patch.file) or path.read_text("utf-8")
        if text.count(patch.old) != 1:
            raise Unfit(f"the text to be replaced stands {text.count(patch.old)} times in {patch.file}")
        texts[patch.file] = text.replace(patch.old, patch.new)
    return texts


def _tried(defence: Defence, code: Path, work: Path, cases: int, seed: int) -> dict[str, Any]:
    """Cases until one is broken; the same case must be whole with the defence in place."""
    found = _row(defence, cases)
    telling = outcomes(work / "without", first=seed, count=cases, kind=defence.kind, code=code)
    with closing(telling):
        for number, outcome in enumerate(telling, 1):
            if outcome["seed"] < 0:
                found |= {"problem": f"not tried: {outcome['problems'][0]}"}
                break
            if outcome["problems"]:
                found |= {"noticed": number, "seed": outcome["seed"], "problem": outcome["problems"][0]}
                break
    if found["noticed"]:
        (control,) = outcomes(work / "with", first=found["seed"], count=1, kind=defence.kind)
        if control["problems"]:
            found |= {"noticed": None, "problem": f"broken with the defence too: {control['problems'][0]}"}
    shutil.rmtree(work, ignore_errors=True)
    return found


def _row(defence: Defence, cases: int) -> dict[str, Any]:
    assert defence.kind in KINDS
    row = {"defence": defence.name, "kind": defence.kind, "cases": cases}
    return {**row, "noticed": None, "seed": None, "problem": "no case noticed"}
