"""What runs inside a worker process: the only room that imports an engine. Talks to the daemon by files alone."""
