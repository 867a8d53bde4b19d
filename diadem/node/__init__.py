"""The archive of one place: catalogue, policy, custody, copies. Sees archive and below."""
