"""Facts: configuration, events, and pure folds and decisions over them."""
