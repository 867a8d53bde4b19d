"""systemd, for one account: a unit for each service, and a timer for those that run daily.

Written from systemd.service(5), systemd.timer(5), systemd.exec(5) and systemd.syntax(7).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from diadem.node.services.service import Service, call
from diadem.store.system import account_name

_ALWAYS: Final = """\
[Unit]
Description={title}

[Service]
ExecStart={command}
{environment}
Restart=on-failure
RestartSec=30
SuccessExitStatus=6
TimeoutStopSec=60
Nice={nice}

[Install]
WantedBy=default.target
"""
# What was read once is not read again: its pages must not drive out those of the programs that people work with.
_DAILY: Final = """\
[Unit]
Description={title}

[Service]
Type=oneshot
ExecStart={command}
{environment}
SuccessExitStatus=6
Nice={nice}
IOSchedulingClass=idle
MemoryHigh=1G
"""
_TIMER: Final = """\
[Unit]
Description={title}, daily

[Timer]
OnCalendar=*-*-* {hour:02}:00:00
Persistent=true

[Install]
WantedBy=timers.target
"""
_SHOWN: Final = "ActiveState,SubState,UnitFileState,Result,ExecMainStatus,ExecMainExitTimestamp,NextElapseUSecRealtime"


class Systemd:
    """The systemd of this account."""

    name = "systemd"
    encoding = "utf-8"
    comment = ("# ", "")
    comment_line = 0

    def texts(self, service: Service) -> Mapping[Path, str]:
        """A unit, and a timer for what runs daily."""
        words = [_quoted(word) for word in service.command]
        # Before 244 systemd knows no ":", after which "$" means nothing; so it stands only where there is one.
        command = (":" if any("$" in word for word in words) else "") + " ".join(words)
        environment = "\n".join(
            f"Environment={_quoted(f'{key}={value}')}" for key, value in service.environment.items()
        )
        title = service.title.replace("%", "%%")
        unit = _ALWAYS if service.hour is None else _DAILY
        text = unit.format(title=title, command=command, environment=environment, nice=service.nice)
        texts = {self._folder / f"{service.key}.service": text}
        if service.hour is not None:
            texts[self._folder / f"{service.key}.timer"] = _TIMER.format(title=title, hour=service.hour)
        return texts

    def start_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Enabled, so that it starts with the account, and started."""
        return _systemctl("daemon-reload"), _systemctl("enable", "--now", _unit(service))

    def stop_commands(self, service: Service) -> Sequence[Sequence[str]]:
        """Disabled and stopped; what a timer has started goes on to its end."""
        return (_systemctl("disable", "--now", _unit(service)),)

    def state(self, service: Service) -> tuple[bool | None, str]:
        """What ``systemctl --user show`` says."""
        answers, text = call(_systemctl("show", "-p", _SHOWN, _unit(service)))
        if not answers:
            return None, text
        shown = _values(text)
        words = [f"{shown.get('ActiveState', '')} ({shown.get('SubState', '')})", shown.get("UnitFileState", "")]
        if service.hour is not None:
            words.append(next_ := shown.get("NextElapseUSecRealtime", ""))
            words[-1] = f"next {next_}" if next_ else ""
            shown |= _values(call(_systemctl("show", "-p", _SHOWN, f"{service.key}.service"))[1]) | {
                key: shown.get(key, "") for key in ("ActiveState", "UnitFileState")
            }
        if ended := shown.get("ExecMainExitTimestamp"):
            words.append(f"ended {ended} with code {shown.get('ExecMainStatus')} ({shown.get('Result')})")
        started = shown.get("ActiveState") in ("active", "activating", "reloading")
        return started and shown.get("UnitFileState") == "enabled", ", ".join(filter(None, words))

    def forget(self, service: Service) -> None:
        """Links to a unit that is gone, which ``disable`` left where systemd did not answer."""
        for target in ("default.target.wants", "timers.target.wants"):
            link = self._folder / target / _unit(service)
            with contextlib.suppress(OSError):
                if link.is_symlink() and not link.exists():
                    link.unlink()
        call(_systemctl("daemon-reload"))

    def notes(self) -> Sequence[str]:
        """Whether services of this account go on without it."""
        if (Path("/var/lib/systemd/linger") / account_name()).exists():
            return ()
        return ("they run while this account is logged in; to let them run always, type once: loginctl enable-linger",)

    @property
    def _folder(self) -> Path:
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def _systemctl(*words: str) -> Sequence[str]:
    return ("systemctl", "--user", *words)


def _unit(service: Service) -> str:
    """The unit that is enabled."""
    return f"{service.key}.{'service' if service.hour is None else 'timer'}"


def _quoted(word: str) -> str:
    """A word in double quotation marks, in which systemd takes backslashes, and everywhere per cent signs."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def _values(text: str) -> dict[str, str]:
    """``Key=value``, a line each."""
    return {key: value for key, _, value in (line.partition("=") for line in text.splitlines()) if value}
