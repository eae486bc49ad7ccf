"""What makes rows fit to be trained on: formats, cleaning, splits, conversion. Pure: no files, no clock, no chance."""
