"""Models that turn text into vectors or score pairs of texts: trained with sentence-transformers, judged by ranking."""
