"""Backups, restoring, archives, and what may go."""
