"""The archive of one place, over its log, catalogue, policy and stores: `node.py` says what can be asked."""
