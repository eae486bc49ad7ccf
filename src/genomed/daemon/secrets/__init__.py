"""Secrets by reference, and everything that keeps them out of sight."""
