"""Who asks, and what and whom they may ask for."""
