"""What is told of the daemon: logs, metrics, spans, and words for systemd."""
