"""Answers from a model and its layers: a worker that lives as long as somebody asks it."""
