"""genomed: a daemon that lets AI personas learn from their own work. Knows its version and imports nothing."""

__version__ = "0.1.0"
