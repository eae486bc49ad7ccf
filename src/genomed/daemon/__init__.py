"""The process: journal, courier, triggers, socket and the root that composes them."""
