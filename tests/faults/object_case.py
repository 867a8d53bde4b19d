"""A store without renames: a package is visible whole or not at all, whenever its writer or remover dies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from diadem.errors import DiademError
from tests.faults.case import Case
from tests.faults.disk_case import put_right
from tests.faults.promises import judge_log, judge_untouched, log_lines
from tests.faults.sealed import TAGMANIFEST, Files, identity, wounds

_URL, _ROOT = "memory://node-faults-cloud", "/node-faults-cloud"
#: Requests that change something in the store.
_CHANGING = ("pipe_file", "cp_file", "rm_file", "mv")
#: About how many of these four packages take, written and removed.
_REQUESTS = {"writing": 110, "removing": 20}


def object_case(case: Case) -> None:
    """Copies in an object store: their writer dies, objects are damaged, their remover dies."""
    _store().clear()
    try:
        lines = log_lines(case)
        policy = case.place.node / "policy.toml"
        case.close()
        policy.write_text("[copies]\nminimum = 3\n" + policy.read_text("utf-8"), "utf-8")
        case.node.stores.add(_URL, name="cloud", kind="object", place="a server")
        before = case.world()
        _until_it_dies(case, "writing", case.node.repair)
        _damage(case)
        package = case.chance.choice(case.packages)
        _until_it_dies(case, "removing", lambda: _drop(case, package.id))
        judge_untouched(case, before, case.world())
        judge_log(case, lines)
        put_right(case)
    finally:
        case.close()
        _store().clear()


def _drop(case: Case, package: str) -> None:
    case.node.drop(package, "cloud", reason="a trial", below_minimum=True)


def _until_it_dies(case: Case, what: str, act: Callable[[], object]) -> None:
    """Do it, die at a request, look at what is visible, and do it to the end."""
    moment = case.chance.randint(1, _REQUESTS[what])
    with _dying(moment) as died:
        try:
            act()
        except (KeyboardInterrupt, DiademError) as error:
            case.history.append(f"{type(error).__name__} while {what}")
    case.did(f"kill of {what} in an object store", f"request {moment}: {'died' if died() else 'done'}")
    _judge_visible(case)
    _forget_claims()
    case.reopen()
    repaired = case.node.repair()
    if not (repaired.ok or repaired.left or repaired.debts):  # what the dead one had ended, nobody has read yet
        case.require(case.node.scrub("cloud", due=True).ok, "what is visible is not whole")
        repaired = case.node.repair()
    case.require(repaired.ok, f"the next repair is not the end of it: {repaired.to_dict()}")
    _judge_visible(case)
    _judge_complete(case)


def _damage(case: Case) -> None:
    """Some objects are other ones, or gone; a scrub names them and a repair mends them."""
    objects = sorted(path for path in _store() if "/.diadem/" not in path and path.startswith(f"{_ROOT}/2"))
    hurt: dict[str, str] = {}
    for path in case.chance.sample(objects, 3):
        data = _store()[path].getvalue()
        if data and case.chance.random() < 0.6:
            place = case.chance.randrange(len(data))
            _put(path, data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        else:
            del _store()[path]
        hurt[path] = path.split("/data/")[0]
    case.did("damaged objects", ", ".join(hurt))
    scrubbed = case.node.scrub("cloud")
    named = {
        f"{_ROOT}/{damage.path}/{finding.path}" for damage in scrubbed.damaged for finding in damage.report.findings
    }
    for path in hurt:
        without_root = any(path.startswith(f"{_ROOT}/{one.path}/") for one in scrubbed.damaged)
        lost_root = any(other.endswith(TAGMANIFEST) and path.startswith(other.rpartition("/")[0]) for other in hurt)
        case.require(path in named or (lost_root and without_root), f"damage not named: {path}")
    case.require(case.node.repair().ok, "objects are not mended")
    _judge_complete(case)


def _judge_visible(case: Case) -> None:
    """Every folder with a tag manifest is a whole package."""
    for path, files in _world().items():
        package = identity(files)
        if package is None:
            continue
        known = case.sealed.get(package)
        case.require(known and not wounds(known, files), f"visible in the object store, and not whole: {path}")


def _judge_complete(case: Case) -> None:
    """Every package is there."""
    whole = {identity(files) for files in _world().values()}
    case.require(set(case.sealed) <= whole, f"not in the object store: {set(case.sealed) - whole}")


def _world() -> dict[str, Files]:
    found: dict[str, dict[str, bytes | None]] = {}
    for path, file in _store().items():
        year, _, rest = path.removeprefix(f"{_ROOT}/").partition("/")
        name, _, inner = rest.partition("/")
        if path.startswith(_ROOT) and year != ".diadem" and inner:
            found.setdefault(f"{year}/{name}", {})[inner] = file.getvalue()
    return dict(found)


def _store() -> dict[str, Any]:
    """What fsspec's memory file system holds: path to file."""
    from fsspec.implementations.memory import MemoryFileSystem

    store: dict[str, Any] = MemoryFileSystem.store
    return store


def _put(path: str, data: bytes) -> None:
    from fsspec.implementations.memory import MemoryFileSystem

    MemoryFileSystem().pipe_file(path, data)


def _forget_claims() -> None:
    """The claims of a dead writer have become old."""
    for path in [path for path in _store() if "/.diadem/claims/" in path]:
        del _store()[path]


@contextmanager
def _dying(moment: int) -> Iterator[Callable[[], bool]]:
    """From the given request on nothing reaches the store: whoever writes is dead."""
    from fsspec.implementations.memory import MemoryFileSystem

    count = 0
    real = {name: getattr(MemoryFileSystem, name) for name in _CHANGING}

    def wrapped(name: str) -> Callable[..., Any]:
        def request(*arguments: Any, **options: Any) -> Any:
            nonlocal count
            count += 1
            if count >= moment:
                raise KeyboardInterrupt
            return real[name](*arguments, **options)

        return request

    for name in _CHANGING:
        setattr(MemoryFileSystem, name, wrapped(name))
    try:
        yield lambda: count >= moment
    finally:
        for name, function in real.items():
            setattr(MemoryFileSystem, name, function)
