"""Which keys of a vendor's metadata name a person or a computer, and which values are nobody's name."""

from __future__ import annotations

import re
from typing import Final

PERSON: Final = "person"
COMPUTER: Final = "computer"

_PERSON_KEYS: Final = """
user username userid userlogin login loginname operator operatorname operatorid owner author authors creator createdby
modifiedby lastmodifiedby lastsavedby savedby acquiredby recordedby experimenter experimentalist investigator
principalinvestigator scientist analyst person contact contactname contactperson email mail emailaddress fullname
firstname lastname surname"""
_COMPUTER_KEYS: Final = """
computer computername host hostname machinename pcname workstation workstationname netbiosname userdomain"""
#: Keys whose value is a person or an account, in lower case without anything but letters and digits; and a computer.
_PERSONS, _COMPUTERS = frozenset(_PERSON_KEYS.split()), frozenset(_COMPUTER_KEYS.split())
#: The same at the end of a longer key: ``SV_USER_NAME``, ``Session Info.Operator Name``.
_PERSON_ENDS: Final = ("username", "operatorname", "createdby", "loginname")
_COMPUTER_ENDS: Final = ("computername", "hostname")
#: Where the value of a key stands, when it is an object.
_INNER: Final = frozenset({"value", "text", "data", "name"})
_PLAIN = re.compile(r"[^a-z0-9]")
_NOBODYS_NAMES: Final = """
user users operator admin administrator supervisor service customer guest default defaultuser root system test tester
unknown none null na anonymous public all allusers everyone nobody shared lab laboratory group team microscope tem sem
stem fib instrument owner staff student factory engineer demo temp localhost pc computer local standard new
jeol fei gatan zeiss hitachi tescan bruker edax oxford thermo thermofisher philips leica nion delmic phenom"""
#: Accounts, roles and makers that stand where a person should: the word is nobody's name, and would be found anywhere.
_NOBODY = frozenset(_NOBODYS_NAMES.split())


def meaning(key: str) -> str | None:
    """Whether a key names a person or a computer: `PERSON`, `COMPUTER` or None."""
    plain = _PLAIN.sub("", key.lower())
    if plain in _PERSONS or plain.endswith(_PERSON_ENDS):
        return PERSON
    if plain in _COMPUTERS or plain.endswith(_COMPUTER_ENDS):
        return COMPUTER
    return None


def holds_value(key: str) -> bool:
    """Whether a key inside an object stands for the object's own value: ``#text``, ``Value``."""
    return _PLAIN.sub("", key.lower()) in _INNER


def is_nobody(text: str) -> bool:
    """Whether a text that stands where a person should is nobody in particular: ``user_``, ``xxxx``."""
    plain = re.sub(r"[\W\d_]+", "", text).casefold()
    return len(plain) < 2 or plain in _NOBODY or len(set(plain)) == 1 or plain.replace("name", "") in _NOBODY
