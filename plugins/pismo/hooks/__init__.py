"""Read from one service each, through the hook of its provider."""

__all__ = [
    "gcs",
    "loop_thread",
    "s3",
    "sftp",
    "sftp_errors",
    "sftp_keys",
    "sftp_list",
    "sftp_pieces",
    "sftp_read",
    "sftp_session",
]
