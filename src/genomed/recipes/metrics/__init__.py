"""How good answers to a task are, against what was expected: pure functions over texts. No recipe lies here."""
