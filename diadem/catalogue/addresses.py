"""Addresses of catalogues on a server: ``postgresql://user@host/database?schema=name``."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from diadem.errors import UsageError

SCHEMES: Final = ("postgresql", "postgres")
#: The schema, where the address names none.
DEFAULT_SCHEMA: Final = "diadem"
_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,62}\Z")
_EXAMPLE: Final = "postgresql://diadem@db.example.org/diadem"


@dataclass(frozen=True, slots=True)
class ServerAddress:
    """Where a catalogue lies on a server.

    Attributes
    ----------
    server : str
        Server and database, as libpq reads them; no password.
    schema : str
        The schema of this catalogue.
    """

    server: str
    schema: str

    @classmethod
    def parse(cls, address: str, *, schema: str = DEFAULT_SCHEMA) -> Self:
        """Read an address.

        Parameters
        ----------
        address : str
            The full name.
        schema : str
            Where it names none.

        Raises
        ------
        UsageError
            It cannot be understood, or has a password in it.
        """
        try:
            parts = urlsplit(address)
            password = parts.password
            asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        except ValueError as error:
            raise UsageError(
                f"the address of the catalogue cannot be read: {error}", next=f"Write {_EXAMPLE}"
            ) from error
        if password is not None or any(name in ("password", "passfile") for name, _ in asked):
            raise UsageError(
                "a password must not be in the address of the catalogue: it is kept in node.toml and in every store",
                next="Leave it out. The password is found in ~/.pgpass, in PGPASSWORD, or in the keyring.",
            )
        named = [value for name, value in asked if name == "schema"]
        chosen = named[-1] if named else schema
        if not _SCHEMA.match(chosen):
            raise UsageError(
                f"'{chosen}' cannot be the name of a schema", next="Use small letters, digits and underscores."
            )
        if not unquote(parts.path).strip("/"):
            raise UsageError("the address of the catalogue names no database", next=f"Write {_EXAMPLE}")
        rest = urlencode([one for one in asked if one[0] != "schema"], quote_via=quote)
        return cls(f"postgresql://{parts.netloc}{parts.path}{'?' if rest else ''}{rest}", chosen)

    def with_schema(self, schema: str) -> Self:
        """Another schema of the same database."""
        return replace(self, schema=schema)

    def __str__(self) -> str:
        """The whole address."""
        return f"{self.server}{'&' if '?' in self.server else '?'}schema={self.schema}"


def is_on_server(address: str) -> bool:
    """Whether an address names a server and no file."""
    return address.partition("://")[0] in SCHEMES


def complete(address: str, *, schema: str) -> str:
    """An address with its schema, so that it means the same everywhere. Raises `UsageError`."""
    return str(ServerAddress.parse(address, schema=schema))
