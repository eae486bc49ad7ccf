"""What is done to rows before they are frozen: pure steps over one row, and the arithmetic of those over many."""
