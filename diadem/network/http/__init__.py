"""The listener: HTTP on one side, the handlers of the network room on the other. Needs the extra ``server``.

`serve` starts it, and a `worker` for each process; `app` takes a request through the `gate` to its handler in the table
of `routes`.
"""
