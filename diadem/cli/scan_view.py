"""A scan on the terminal: the summary, the sessions, what deserves attention. Nothing is cut; long texts are folded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from diadem.cli.output import draw, duration_text
from diadem.model.plain_text import size_text
from diadem.model.scan import PlannedSession, ScannedDataset
from diadem.scan.scan import Scan
from diadem.scan.tables import text_of_cell
from diadem.scan.words import (
    Attention,
    attention,
    content_text,
    figures,
    folder_text,
    session_day,
    step_text,
    unusual,
    voltage_text,
    when_text,
)

#: Rows shown before the rest is counted.
_SESSIONS, _DATASETS, _EXAMPLES = 40, 25, 4
#: Columns of the terminal from which there is room for more.
_MEDIUM, _WIDE = 100, 150
#: Columns that the names in the summary take.
_NAME = 13


def show(scan: Scan, *, everything: bool, written: Sequence[Path]) -> None:
    """Print a scan."""
    console = Console(highlight=False, emoji=False)
    parts = [_summary(scan, console.width)]
    if scan.sessions:
        parts.append(_sessions(scan, console.width, None if everything else _SESSIONS))
    datasets = [dataset for dataset in scan.datasets if everything or dataset.known]
    if datasets and (everything or len(datasets) <= _DATASETS):
        parts.append(_datasets(datasets, console.width))
    if found := attention(scan):
        parts.append(_attention(found))
    parts.append(_end(scan, written))
    draw("\n\n".join(_text(console, part) for part in parts) + "\n", sys.stdout)


def _text(console: Console, part: RenderableType) -> str:
    """A part as text, without blanks at the ends of lines that nobody sees."""
    with console.capture() as capture:
        console.print(part)
    text = capture.get()
    if not console.is_terminal:
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    return text.rstrip()


def _summary(scan: Scan, width: int) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in figures(scan):
        shown = _filled(text, width - _NAME) if name in ("formats", "other files") else text
        table.add_row(name.ljust(_NAME - 2), Text(shown, style="bold" if name in ("found", "attention") else ""))
    return table


def _filled(text: str, width: int) -> str:
    """A list broken at its commas only, so that a number stays with its name."""
    lines = [""]
    for item in text.split(", "):
        longer = f"{lines[-1]}, {item}" if lines[-1] else item
        if len(longer) < width or not lines[-1]:
            lines[-1] = longer
        else:
            lines[-1] += ","
            lines.append(item)
    return "\n".join(lines)


def _frame(title: str) -> Table:
    return Table(
        title=Text(title, style="bold"), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim"
    )


def _sessions(scan: Scan, width: int, limit: int | None) -> RenderableType:
    table = _frame("Sessions that could be archived")
    table.add_column("", no_wrap=True)
    table.add_column("session", overflow="fold", ratio=3)
    table.add_column("date", no_wrap=True)
    if width >= _MEDIUM:
        table.add_column("content", overflow="fold", ratio=2)
    if width >= _WIDE:
        table.add_column("microscope, sample", overflow="fold", ratio=2)
        table.add_column("why", overflow="fold", ratio=3)
    table.add_column("data", justify="right", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    shown = scan.sessions[:limit]
    for session in shown:
        table.add_row(*_session(scan, session, width))
    rest = len(scan.sessions) - len(shown)
    more = Text(f"and {rest:,} more sessions: --all shows them, --plan FILE.xlsx writes them", style="dim")
    return Group(table, more) if rest else table


def _session(scan: Scan, session: PlannedSession, width: int) -> list[RenderableType]:
    mark = Text("yes", style="green") if session.archive else Text("no", style="dim")
    title = Text(text_of_cell(session.title), style="bold" if session.archive else "")
    folder = folder_text(scan, session)
    if folder not in (session.title, "."):
        title.append(f"\n{folder}", style="dim not bold")
    if width < _WIDE and (reason := unusual(session)):
        title.append(f"\n{text_of_cell(reason)}", style="dim not bold")
    cells: list[RenderableType] = [mark, title, Text(session_day(session) or "-")]
    if width >= _MEDIUM:
        cells.append(Text(session.formats))
    if width >= _WIDE:
        about = [text_of_cell(text) for text in (session.instrument, session.sample) if text]
        cells += [Text("\n".join(about)), Text(text_of_cell(session.why), style="dim")]
    return [*cells, Text(f"{session.datasets:,}"), Text(size_text(session.bytes))]


def _datasets(datasets: Sequence[ScannedDataset], width: int) -> RenderableType:
    table = _frame("Datasets")
    table.add_column("file", overflow="fold", ratio=3)
    table.add_column("recorded", no_wrap=True)
    table.add_column("content", overflow="fold", ratio=2)
    if width >= _MEDIUM:
        table.add_column("pixel, step", overflow="fold")
        table.add_column("voltage", justify="right", no_wrap=True)
    if width >= _WIDE:
        table.add_column("instrument", overflow="fold", ratio=2)
        table.add_column("format", overflow="fold")
    table.add_column("size", justify="right", no_wrap=True)
    folder = ""
    for dataset in datasets:
        place = dataset.path.rpartition("/")[0]
        if place != folder:
            folder = place
            table.add_row(Text(f"{text_of_cell(folder)}/", style="dim"))
        table.add_row(*_dataset(dataset, width))
    return table


def _dataset(dataset: ScannedDataset, width: int) -> list[RenderableType]:
    when = when_text(dataset)
    cells: list[RenderableType] = [Text(text_of_cell(dataset.name))]
    cells += [Text(when if width >= _MEDIUM else when[:10]), Text(content_text(dataset))]
    if width >= _MEDIUM:
        cells += [Text(step_text(dataset)), Text(voltage_text(dataset))]
    if width >= _WIDE:
        cells += [Text(text_of_cell(dataset.facts.instrument)), Text(dataset.facts.format)]
    return [*cells, Text(size_text(dataset.bytes))]


def _attention(found: Sequence[Attention]) -> RenderableType:
    parts: list[RenderableType] = [Text("Worth a look", style="bold")]
    heading = ""
    for item in found:
        if item.heading != heading:
            heading = item.heading
            parts += [Text(), Text(heading, style="yellow")]
        parts.append(Padding(_item(item), (0, 0, 0, 2)))
    return Group(*parts)


def _item(item: Attention) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for path, said in item.lines[:_EXAMPLES]:
        table.add_row("·", Text(path, style="bold").append(f"  {said}" if said else "", style="not bold"))
    if len(item.lines) > _EXAMPLES:
        table.add_row("", Text(f"and {len(item.lines) - _EXAMPLES:,} more", style="dim"))
    if item.next:
        table.add_row("→", Text(item.next, style="dim"))
    return Group(Text(item.title), table)


def _end(scan: Scan, written: Sequence[Path]) -> RenderableType:
    effort = scan.effort
    known = f", {effort.cached:,} known from an earlier scan" if effort.cached else ""
    read = f"{effort.read:,} dataset{'s' * (effort.read != 1)} read"
    text = Text(f"scanned in {duration_text(effort.seconds)}: {read}{known}", style="dim")
    for notice in scan.notices:
        text.append(f"\n! {text_of_cell(notice)}", style="yellow not dim")
    for path in written:
        text.append(f"\nwritten: {text_of_cell(str(path))}", style="not dim")
    if not written:
        text.append("\nnothing was written; --plan FILE.xlsx gives the sessions to edit, --xlsx or --html all tables")
    return text
