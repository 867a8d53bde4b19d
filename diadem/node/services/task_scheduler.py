"""The Task Scheduler of Windows: a task for each service, in XML by Microsoft's schema of tasks 1.2.

The tasks belong to one account and need no administrator; so they run while it is logged on. The Task Scheduler sets no
variables of the environment and takes ``%NAME%`` for one: Python sets them itself, and such a path is refused.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.sax.saxutils import escape

from diadem.errors import UsageError
from diadem.node.services.service import Service, call
from diadem.store.system import account_name

_TASK: Final = """\
<?xml version="1.0" encoding="UTF-16"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>{title}</Description>
  </RegistrationInfo>
  <Triggers>
    {trigger}
  </Triggers>
  <Principals>
    <Principal id="Author">
      <UserId>{user}</UserId>
      <LogonType>InteractiveToken</LogonType>
      <RunLevel>LeastPrivilege</RunLevel>
    </Principal>
  </Principals>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <StartWhenAvailable>true</StartWhenAvailable>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <Priority>{priority}</Priority>{restart}
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>{program}</Command>
      <Arguments>{arguments}</Arguments>
    </Exec>
  </Actions>
</Task>
"""
_LOGON: Final = "<LogonTrigger><UserId>{user}</UserId></LogonTrigger>"
_DAILY: Final = (
    "<CalendarTrigger><StartBoundary>2026-01-01T{hour}:00:00</StartBoundary>"
    "<ScheduleByDay><DaysInterval>1</DaysInterval></ScheduleByDay></CalendarTrigger>"
)
_RESTART: Final = """
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>255</Count>
    </RestartOnFailure>"""
#: What the Task Scheduler fills in.
_FILLED: Final = re.compile(r"%[^%]+%|\$\(Arg\d+\)")
#: Columns of ``schtasks /Query /V``, which are called otherwise in each language.
_NEXT, _STATUS, _LAST, _RESULT = 2, 3, 5, 6


class TaskScheduler:
    """The tasks of this account. Their files lie in the node's folder; the Task Scheduler keeps copies of its own."""

    name = "Task Scheduler"
    encoding = "utf-16"
    comment = ("<!-- ", " -->")
    comment_line = 1  # below the declaration of XML

    def texts(self, service: Service) -> Mapping[Path, str]:
        """A task."""
        program, _, _, _, *words = service.command
        code = f"import os; os.environ.update({dict(service.environment)!r}); from diadem.__main__ import main; main()"
        arguments = subprocess.list2cmdline(["-P", "-c", code, *words])
        for text in (program, arguments):
            if found := _FILLED.search(text):
                raise UsageError(
                    f"the Task Scheduler would put something else in the place of {found[0]}",
                    where=text,
                    next="Rename the folder, then: diadem service install",
                )
        user = escape("\\".join(filter(None, (os.environ.get("USERDOMAIN", ""), account_name()))))
        trigger = _LOGON.format(user=user) if service.hour is None else _DAILY.format(hour=f"{service.hour:02}")
        text = _TASK.format(
            title=escape(service.title),
            trigger=trigger,
            user=user,
            priority={0: 6, 10: 7, 19: 9}[service.nice],  # normal, below normal, idle
            restart=_RESTART if service.hour is None else "",
            program=escape(program),
            arguments=escape(arguments),
        )
        return {service.folder / "services" / f"{service.key}.xml": text}

    def start_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Registered; and run, if it always runs."""
        (path,) = self.texts(service)
        made = ("schtasks", "/Create", "/TN", service.key, "/XML", str(path), "/F")
        return (made, ("schtasks", "/Run", "/TN", service.key)) if service.hour is None else (made,)

    def stop_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Ended, and removed."""
        return ("schtasks", "/End", "/TN", service.key), ("schtasks", "/Delete", "/TN", service.key, "/F")

    def state(self, service: Service) -> tuple[bool | None, str]:
        """What ``schtasks /Query`` says, in the language of the machine."""
        if not (every := call(("schtasks", "/Query", "/FO", "CSV", "/NH")))[0]:
            return None, every[1]
        known, text = call(("schtasks", "/Query", "/TN", service.key, "/V", "/FO", "CSV", "/NH"))
        row = next(csv.reader(text.splitlines()), []) if known else []
        if len(row) <= _RESULT:
            return known, "" if known else "no such task"
        return True, f"{row[_STATUS]}, last {row[_LAST]} with code {row[_RESULT]}, next {row[_NEXT]}"

    def forget(self, service: Service) -> None:
        """The folder of the files, once it is empty."""
        folder = service.folder / "services"
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def notes(self) -> Sequence[str]:
        """When the tasks run."""
        always = 'schtasks /Change /TN NAME /RU "DOMAIN\\user" /RP *'
        return (f"they run while this account is logged on; to let one run always, as administrator: {always}",)
