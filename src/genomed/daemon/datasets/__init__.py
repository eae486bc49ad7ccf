"""Datasets on disk: drafts, freezing, cleaning, splitting, exporting, erasing."""
