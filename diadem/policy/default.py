"""The `policy.toml` that `diadem init` writes: the defaults, and what each rule is for."""

from __future__ import annotations

from typing import Final

#: The text; `read_policy(DEFAULT_POLICY) == Policy()`.
DEFAULT_POLICY: Final = """\
# The policy of this archive. `diadem status` checks every rule here, says for which packages
# it does not hold, and names the command that mends it. Change what does not suit the group;
# a line that is taken out has the value that stands here now.
# Durations: "10 min", "12 h", "90 days", "2 years". Sizes: "200 MB", "500 GB", "2 TB".

[copies]
# Copies of each package on different disks, shares or buckets (1 to 10). Two stores on one disk
# are one copy. Only a copy whose bytes were proven counts.
minimum = 2
# Whether a folder that was adopted where it lies (`diadem archive --in-place`) counts as a copy
# while nobody has changed it.
adopted_counts = true

[copies.kinds]
# How many of the copies at least must be on stores of a kind. Kinds: disk, nas, object,
# offsite (in another building), cold (a disk or tape in a drawer). For example:
# offsite = 1

[stores]
# Longest time for which a store may not answer before `diadem status` is red. Its copies cannot be
# seen meanwhile. One of kind cold (in a drawer) is never expected to answer.
unseen = "24 h"

[scrub]
# Longest time between two readings of a copy. A disk loses bits without a word; a copy that
# nobody has read for years is a hope.
interval = "90 days"
# What is compared: "leaves" (BLAKE3 of each 1 MiB leaf, fast) or "full" (SHA-256 of files too).
level = "leaves"

[scrub.kinds]
# Another interval for stores of a kind.
cold = "365 days"

[parity]
# Whether parity is written beside the packages: it mends damage without another copy and takes some
# more space. stores = [] means on all of them; else their names.
enabled = false
stores = []

[metadata]
# What must be known of a session before it is archived, from its files or from a person.
# Keys as in the record: "sample.name", "person.operator", "session.title", "instrument.name" ...
required = []

[retention]
# Years from the day of archiving in which the last copies of a package cannot be deleted.
# Ten years is what the DFG's code of good research practice asks for.
years = 10

[archive]
# A session is finished when nothing in its folder has changed for so long.
quiet = "10 min"
# Licence of the data and short name of its owner where the command names none.
# license = "https://creativecommons.org/licenses/by/4.0/"
license = ""
owner = ""

[watch]
# Longest time that a session in a watched folder may wait for being archived, and that nobody may
# look there where a timer starts `diadem watch --once`, before `diadem status` is red.
waiting = "24 h"

[access]
# Who may find and read a new package: "private" (its owner, and whom the owner grants it)
# or "node" (everybody who has an account here).
default = "private"

[transfer]
# How things go to other nodes where an entry below says "auto": "direct" (straight to the other
# node), "hub" (over a node that relays what it cannot read) or "auto" (the first that works).
# A group that moves behind a hub changes this one line.
route = "auto"

# Who may send packages away, to whom, and by which route. The first entry that fits decides;
# where none fits, nothing is sent. who: "owner" (of the package), "*" (every user here) or a
# user's name. to: "marie@nmi", "*@nmi" or "*". route: "direct", "hub" or "auto" (as above).
[[transfer.allow]]
who = "owner"
to = "*"
route = "auto"

[incoming]
# What others may offer to us: the largest package, the most that may be on its way here,
# and the most offers that one node may make in a day.
max_size = "500 GB"
max_waiting = "2 TB"
max_per_day = 100

[hub]
# What this node carries for others while it is a hub (`diadem serve --hub`): the most bytes of
# all these nodes together, and of one; the most sealed windows and messages that wait for one; how
# long they wait; and what stays free on the disk whatever the rest allows.
max_size = "500 GB"
max_per_spoke = "100 GB"
max_objects = 20000
max_messages = 1000
keep = "14 days"
free = "10 GB"

[quality.schemes]
# Lists of criteria by which data are assessed for a purpose. What is assessed by a scheme
# (`diadem assess ID accept --scheme eels --criterion drift`) must use one of its criteria.
# For example:
# [quality.schemes.eels]
# purpose = "EELS"
# criteria = ["thickness", "drift", "saturation"]
"""
