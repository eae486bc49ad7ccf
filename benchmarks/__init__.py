"""What genomed costs, beside what one would use instead. `python -m benchmarks` prints the tables."""
