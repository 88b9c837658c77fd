"""Serve Pismo's SFTP layer: OpenSSH, rclone over the bucket, a server with faults on demand."""

__all__ = ["files", "openssh", "policy", "rclone", "server"]
