"""Runs of recipes: planned, asked, counted, and gone on with after a crash."""
