"""How long a test waits for what is sure to come: only a hang takes longer, however slow and busy the machine."""

PATIENCE_S = 240.0
