"""How sessions come in: archived once, continued, handed over, derived."""
