"""Tests of what makes rows fit to be trained on."""
