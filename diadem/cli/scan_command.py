"""The command that looks at existing folders and writes nothing in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from diadem.cli.options import Argument, Json, Option, Quiet
from diadem.cli.output import print_json, progress
from diadem.cli.verb import Commands
from diadem.errors import UsageError

root = Commands()


@root.verb()
def scan(
    folders: Annotated[list[Path], Argument("One folder or several; they are only read.", metavar="FOLDER")],
    csv: Annotated[Path | None, Option("Write the datasets as a table.")] = None,
    xlsx: Annotated[Path | None, Option("Write all tables as sheets, the plan too.")] = None,
    html: Annotated[Path | None, Option("Write one page to look at.")] = None,
    plan: Annotated[Path | None, Option("Write the sessions as a sheet to edit: .xlsx or .csv.")] = None,
    everything: Annotated[bool, Option("Show every session and dataset here.", "--all")] = False,
    no_cache: Annotated[bool, Option("Read everything again, and keep nothing for the next scan.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Look at the folders you have; nothing is written. What is there, which sessions it makes, what is odd."""
    import diadem

    outputs = _outputs(folders, csv=csv, xlsx=xlsx, html=html)
    plans = _outputs(folders, plan=plan)
    with progress(quiet=quiet or json) as listener:
        found = diadem.scan(*folders, cache=not no_cache, listener=listener)
    written = [found.save(path) for path in outputs] + [found.save_plan(path) for path in plans]
    if json:
        print_json({**found.to_dict(), "written": [str(path) for path in written]})
    else:
        from diadem.cli.scan_view import show

        show(found, everything=everything, written=written)
    return 0 if found.complete else 1


_ENDINGS = {"csv": (".csv",), "xlsx": (".xlsx",), "html": (".html", ".htm"), "plan": (".xlsx", ".csv")}


def _outputs(folders: list[Path], **named: Path | None) -> list[Path]:
    """The outputs that were asked for; one that cannot be is refused now, not after an hour."""
    from diadem.scan.scan import keep_out

    chosen = []
    for option, path in named.items():
        if path is None:
            continue
        if path.suffix.lower() not in _ENDINGS[option]:
            wanted = " or ".join(_ENDINGS[option])
            raise UsageError(f"--{option} writes {wanted}", where=str(path), next=f"Let its name end in {wanted}.")
        keep_out(path, [str(folder) for folder in folders])
        if not path.absolute().parent.is_dir():
            raise UsageError("there is no such folder to write in", where=str(path.parent), next="Make it first.")
        chosen.append(path)
    return chosen
