"""What the verbs need of a client: JSON to a node and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from diadem.model.peers import Contact
from diadem.trust.keys import PrivateKey


class Poster(Protocol):
    """A node that can be asked. Paths are below ``/diadem/v1/``."""

    def post_json(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """Post a JSON object; the answer is one too. Raises what the other node answered, or `Unreachable`."""
        ...

    def get_json(self, path: str) -> dict[str, Any]:
        """Get a JSON object."""
        ...


#: Makes one: whom to call, and the key that signs the requests.
Connect = Callable[[Contact, PrivateKey], Poster]
