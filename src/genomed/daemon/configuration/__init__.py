"""Where settings come from, what they are, and what a reload takes."""
