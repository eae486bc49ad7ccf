"""What the log means for the tables: one module per subject, made one in `read_models`."""
