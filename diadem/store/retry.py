"""Trying a request again, and what its failure means: the one place for both, so that waits do not multiply.

The clients' own retries are switched off. Errors of fsspec, botocore, aiohttp and the operating system become ours.
"""

from __future__ import annotations

import errno
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from diadem.errors import DiademError, NotFound, Refused, StoreError, Unreachable, UsageError

_CREDENTIALS = "Check the access key, its secret and rights (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE)."
_ADDRESS = "Check the network and the address (AWS_ENDPOINT_URL), then run the same command again."
_AGAIN = "Run the same command again."
_SERVER = "Look at the server's disk and its log, then run the same command again."
_SSH = "paramiko.ssh_exception"
_SSH_CREDENTIALS = "Check the user name and the key: does `ssh` to this server work without a password?"
_OTHER_KEY = "Ask its administrator before you continue: this may be another machine."

#: The wire changed the bytes: worth another try.
_DAMAGED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "IncompleteBody"}
_BUSY = {"SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict", "InternalError"}
_DENIED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "RequestTimeTooSkewed", "403"}
_ABSENT = {"NoSuchKey", "NoSuchBucket", "NoSuchUpload", "NotFound", "404"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "507"}
_TAKEN = {"PreconditionFailed", "412"}

#: Errors that say that no answer, or only a part of one, came back.
_LOST = (
    "socket.gaierror", "botocore.exceptions.ConnectionError", "botocore.exceptions.HTTPClientError",
    "botocore.exceptions.ResponseParserError", "botocore.exceptions.IncompleteReadError",
    "botocore.parsers.ResponseParserError", "aiohttp.ClientConnectionError", "aiohttp.ClientPayloadError",
    "aiohttp.ServerTimeoutError", "fsspec.exceptions.FSTimeoutError", f"{_SSH}.SSHException",
    f"{_SSH}.NoValidConnectionsError",
)  # fmt: skip

_FULL_NUMBERS = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_READ_ONLY_NUMBERS = {errno.EROFS, errno.EPERM}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store may fail before it counts as unreachable: requests in all, and seconds.

    The wait is doubled each time up to the longest, and varied by half so that many writers do not come back together.
    After `enough` seconds no further request is made; each may itself last as long as the client's time-out.
    """

    tries: int = 6
    first_wait: float = 0.2
    longest_wait: float = 10.0
    enough: float = 240.0


def persist(action: Callable[[], T], where: str, patience: Patience) -> T:
    """Do `action` until it succeeds, fails for good, or patience ends. Raises what the last failure means."""
    waits = [min(patience.first_wait * 2**step, patience.longest_wait) for step in range(patience.tries - 1)]
    end = time.monotonic() + patience.enough
    while True:
        try:
            return action()
        except DiademError:
            raise
        except Exception as error:
            if waits and time.monotonic() < end and is_transient(error):
                time.sleep(waits.pop(0) * random.uniform(0.5, 1.5))  # noqa: S311  a wait is no secret
                continue
            meaning = translate(error, where)
            if meaning is None:
                raise
            raise meaning from error


class Occupied(StoreError):
    """A conditional write found something else than it expected: another writer was faster."""

    code = "occupied"


def response_code(error: BaseException) -> tuple[str, int]:
    """Error code and HTTP status that an S3 server answered with; ``("", 0)`` where it did not answer at all."""
    link: BaseException | None = error
    while link is not None:
        response = getattr(link, "response", None)
        if isinstance(response, dict) and "Error" in response:
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return str(response["Error"].get("Code", "")), int(status or 0)
        link = link.__cause__
    return "", 0


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed a moment later."""
    code, status = response_code(error)
    if code or status:
        return code in _DAMAGED | _BUSY or (status >= 500 and status not in (501, 507))
    return _ssh(error, "") is None and _no_answer(error)


def translate(error: BaseException, where: str) -> DiademError | None:
    """The error of ours that says what one of a file system or its client means.

    None for what is no failure of a store: a mistake in a program must be seen as it is.
    """
    if isinstance(error, DiademError):
        return error
    code, status = response_code(error)
    if code or status:
        return _answered(code or str(status), status, error, where)
    if (meaning := _ssh(error, where)) is not None:
        return meaning
    if _no_answer(error):
        return Unreachable(f"the store does not answer: {_reason(error)}", where=where, next=_ADDRESS)
    if _is(error, "botocore.exceptions.NoCredentialsError", "botocore.exceptions.PartialCredentialsError"):
        return Refused("no credentials for this store were found", where=where, next=_CREDENTIALS)
    if _is(error, "botocore.exceptions.BotoCoreError"):
        return UsageError(f"the store cannot be addressed: {_reason(error)}", where=where, next=_ADDRESS)
    return _system(error, where) if isinstance(error, OSError) else None


def _answered(code: str, status: int, error: BaseException, where: str) -> DiademError:
    """What a server's refusal means."""
    if code == "NoSuchBucket":
        return NotFound("there is no such bucket", where=where, next="Create the bucket, or correct its name.")
    if code in _ABSENT or status == 404:
        return NotFound("nothing is there", where=where)
    if code in _TAKEN or status == 412:
        return Occupied("another writer was faster", where=where, next=_AGAIN)
    if code in _DENIED or status == 403:
        return Refused(f"the store refuses access ({code})", where=where, next=_CREDENTIALS)
    if code in _FULL:
        return StoreError(f"the store is full ({code})", where=where, next="Free space, or choose another store.")
    if code in _DAMAGED:
        return StoreError(f"the store received different bytes than were sent ({code})", where=where, next=_AGAIN)
    if code == "InvalidBucketName":
        return UsageError("the store does not accept this bucket name", where=where, next="Correct the name.")
    if code in _BUSY or status >= 500:
        return Unreachable(f"the store cannot answer now ({code}): {_reason(error)}", where=where, next=_AGAIN)
    return StoreError(f"the store refused the request ({code}): {_reason(error)}", where=where)


def _no_answer(error: BaseException) -> bool:
    """Whether no answer, or only a part of one, came back."""
    if isinstance(error, ConnectionError | TimeoutError | EOFError) or _is(error, *_LOST):
        return True
    return isinstance(error, OSError) and error.errno is None and str(error) == "Socket is closed"  # paramiko


def _ssh(error: BaseException, where: str) -> DiademError | None:
    """What an SSH server's refusal to let us in means; None for anything else."""
    if _is(error, f"{_SSH}.BadHostKeyException"):
        return Refused("the server's key is not the one that is known", where=where, next=_OTHER_KEY)
    without = _is(error, f"{_SSH}.SSHException") and "authentication" in str(error).lower()
    if without or _is(error, f"{_SSH}.AuthenticationException"):
        return Refused("the server does not let this user in", where=where, next=_SSH_CREDENTIALS)
    return None


def _system(error: OSError, where: str) -> DiademError:
    """What the operating system, or fsspec in its words, says."""
    if isinstance(error, FileNotFoundError):
        return NotFound("nothing is there", where=where)
    if isinstance(error, FileExistsError):
        return Occupied("another writer was faster", where=where, next=_AGAIN)
    if error.errno in _FULL_NUMBERS:
        return StoreError("the store is full", where=where, next="Free space, or choose another store.")
    if error.errno in _READ_ONLY_NUMBERS:
        return StoreError("the store is read-only", where=where, next="Choose a store that can be written to.")
    if type(error) is OSError and error.errno is None and len(error.args) == 1:  # paramiko: a server's own words
        return StoreError(f"the server refused the request: {_reason(error)}", where=where, next=_SERVER)
    if isinstance(error, PermissionError):
        return Refused("the store refuses access", where=where, next="Check the permissions.")
    return Unreachable(f"the store failed: {_reason(error)}", where=where, next=_AGAIN)


def _is(error: BaseException, *classes: str) -> bool:
    """Whether the error is of a class in a module that need not be installed: unless loaded, it cannot have raised."""
    named = (name.rpartition(".") for name in classes)
    kinds = (getattr(sys.modules.get(module), name, None) for module, _, name in named)
    return any(isinstance(kind, type) and isinstance(error, kind) for kind in kinds)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
