"""The genome command."""
