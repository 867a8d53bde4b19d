"""HTTP between nodes: the client that asks (`client`, over `wire`), and the listener, which needs the extra ``server``.

`serve` starts it, and a `worker` for each process; `app` takes a request through the `gate` to its handler in the table
of `routes`.
"""
