"""Pismo's SFTP layer: OpenSSH and a server with faults on demand."""
