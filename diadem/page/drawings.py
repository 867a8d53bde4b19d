"""Pictures that are drawn while somebody looks: one after the other, of the dataset that was opened last.

One thread draws, so that a page of many pictures needs the memory of one, and what a dataset needs is open once for all
of them. What was read stays for a while: another contrast reads nothing.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from contextlib import ExitStack, suppress
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from diadem.api.tools import tools
from diadem.archive.picture import Part, Picture, Scene, opened
from diadem.archive.plot import Contrast
from diadem.errors import Interrupted

if TYPE_CHECKING:
    from diadem.api.nodes import Node
    from diadem.archive.package import Package

#: Bytes of what was read that are kept.
_MOST: Final = 8 << 20
#: Bytes of arrays that may stay in memory with an opened dataset.
_MOST_HELD: Final = 32 << 20
#: Packages of other kinds of arrays: sparse ones bring a compiler, those of xarray bring pandas.
_BESIDES: Final = ("sparse", "xarray")
#: Seconds for which a dataset stays open that nobody looks at.
_IDLE: Final = 10.0


class _Line:
    """Work that is done one after the other in a thread that keeps no process alive: a share may never answer."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._open: set[Future[Any]] = set()
        self._closed = False
        threading.Thread(target=self._run, name="drawing", daemon=True).start()

    def submit(self, work: Callable[..., Any], *of: Any) -> Future[Any]:
        """Have something done; raises `Interrupted` once it is closed."""
        done: Future[Any] = Future()
        self._open.add(done)
        done.add_done_callback(self._open.discard)
        if self._closed:
            raise Interrupted("the page is ending")
        self._waiting.put((done, partial(work, *of)))
        return done

    def close(self) -> None:
        """Begin nothing more; whoever waits for something is told that it does not come."""
        self._closed = True
        self._waiting.put(None)
        for done in list(self._open):
            with suppress(InvalidStateError):  # it has just come
                done.set_exception(Interrupted("the page is ending"))

    def _run(self) -> None:
        while (asked := self._waiting.get()) is not None and not self._closed:
            done, work = asked
            result: Any = None
            tell: Callable[[Any], None] = done.set_result
            try:
                result = work()
            except BaseException as error:  # whoever waits for it is told
                result, tell = error, done.set_exception
            with suppress(InvalidStateError):  # nobody waits for it any more
                tell(result)


class Drawings:
    """What is drawn for the pages of a node.

    Parameters
    ----------
    node : Node
        Opened.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._thread = _Line()
        self._parts: OrderedDict[tuple[str, str, str], Part] = OrderedDict()
        self._package: tuple[str, Package] | None = None
        self._open: tuple[str, str] | None = None
        self._scene: Scene | None = None
        self._until = ExitStack()
        self._timer: threading.Timer | None = None

    def part(self, package: str, dataset: str, shown: Mapping[str, Any]) -> Part:
        """What `Scene.part` reads of a dataset, now or a while ago; raises what it raises."""
        part: Part = self._thread.submit(self._part, package, dataset, shown).result()
        return part

    def picture(self, package: str, dataset: str, shown: Mapping[str, Any], contrast: Contrast) -> Picture:
        """A picture of a dataset; raises what `Package.picture` raises."""

        def draw() -> Picture:
            return self._part(package, dataset, shown).draw(shown["size"], contrast)

        picture: Picture = self._thread.submit(draw).result()
        return picture

    def prepare(self) -> None:
        """Load what pictures need, before somebody waits for the first."""

        def load() -> None:
            _import_arrays()
            gc.collect()
            gc.freeze()  # what is loaded stays: looking through it for cycles would hold up one search in some dozens

        self._thread.submit(load)

    def expect(self) -> None:
        """Have a reader ready, which takes a second to start: somebody looks at datasets, and may open one."""
        self._thread.submit(tools().warm)

    def forget(self) -> None:
        """Read anew whatever is drawn next: a correction may have changed the size of a pixel."""

        def clear() -> None:
            self._parts.clear()
            self._package = None
            self._close()

        with suppress(Interrupted):  # the page is ending
            self._thread.submit(clear)  # one thread: whatever is asked for later is drawn after it

    def close(self) -> None:
        """Draw nothing more: what waits is given up, and nobody waits for what is being drawn."""
        self._thread.close()

    def _part(self, package: str, dataset: str, shown: Mapping[str, Any]) -> Part:
        key = (package, dataset, repr(sorted(shown.items())))
        if (known := self._parts.get(key)) is None:
            known = self._parts[key] = self._opened(package, dataset).part(**shown)
            self._wait()
        self._parts.move_to_end(key)
        while len(self._parts) > 1 and sum(one.values.nbytes for one in self._parts.values()) > _MOST:
            self._parts.popitem(last=False)
        return known

    def _opened(self, package: str, dataset: str) -> Scene:
        if self._open != (package, dataset) or self._scene is None:
            self._close()
            _import_arrays()
            if self._package is None or self._package[0] != package:  # its readers are tried once, in a worker
                self._package = (package, self._node.get(package))
            found = self._package[1]
            self._scene = self._until.enter_context(opened(found, found.record.datasets[dataset].path))
            self._open = (package, dataset)
        return self._scene

    def _wait(self) -> None:
        """Close the dataset a while after it was last looked at; at once where its arrays are in memory."""
        if self._timer is not None:
            self._timer.cancel()
        if self._scene is not None and self._scene.held > _MOST_HELD:
            self._close()
            return
        self._timer = threading.Timer(_IDLE, self._close_soon)
        self._timer.daemon = True
        self._timer.start()

    def _close_soon(self) -> None:
        with suppress(Interrupted):  # the page is ending, and closes everything
            self._thread.submit(self._close)

    def _close(self) -> None:
        self._open, self._scene = None, None
        self._until.close()


def _import_arrays() -> None:
    """Import Dask's arrays without what it looks for besides: none of it is drawn, and it takes 100 MB."""
    if "dask.array" in sys.modules:
        return
    hidden = [name for name in _BESIDES if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        importlib.import_module("dask.array")
    finally:
        for name in hidden:
            del sys.modules[name]
