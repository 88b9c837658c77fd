"""What `python -m pismo doctor` looks at."""
