"""Where a run's numbers also go: files beside the result, for people who read them with other tools."""
