"""The log: one writer, many readers, an anchor outside; how it is opened, kept sound, verified and exported."""
