"""S3, SNS and SQS on moto."""
