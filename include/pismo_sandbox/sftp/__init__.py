"""Serve Pismo's SFTP layer: OpenSSH, and a server with faults on demand."""

__all__ = ["files", "openssh", "server"]
