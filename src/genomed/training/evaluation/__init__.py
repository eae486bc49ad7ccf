"""Two sides judged on the same held-out rows, row by row, and how sure one may be that they differ."""
