"""Custody: the signed log of a node, its mirrors, and the chains of statements that others can check.

The room, in the order in which it reads:

`statements`
    What can be stated: one builder a kind. Who may sign it stands in `diadem.model.statement_kinds`.
`log`
    The log: append, read, prove, check. Below it `log_tables`, its file and all SQL; `log_entry`, one entry at its
    place; `log_mirrors`, its copies in stores; `log_recovery`, a lost log made again from one of them.
`keyring`, `grant_book`
    Whose key is whose, and what the signatures on an entry are worth. And who may what, as the log has it.
`chain`
    ``chain.json``: what the log says of one subject, written from a log and read from anywhere.
`verify`
    Checking chains offline. Below it `node_evidence`, what files say of one node; `subject_order`, how its statements
    follow each other; `tree_views`, whether its trees are one; `two_sided`, nodes and hubs held against each other.
`report`, `sentences`
    What a check found, and each statement in one plain sentence.
`corrections`, `remedies`
    The sheet of corrections that goes with a package; the commands that bring a node's lost files back.
"""
