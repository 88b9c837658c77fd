"""Send messages to queues, topics, endpoints and folders."""
