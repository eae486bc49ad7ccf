"""Errands as the daemon carries them: from the wish in the log to a published result."""
