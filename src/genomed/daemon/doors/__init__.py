"""What listens and answers: sockets, HTTP, the bus, the event stream."""
