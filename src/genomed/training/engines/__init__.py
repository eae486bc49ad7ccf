"""Programs of the worker for engines other than TRL, one for each, in environments of their own."""
