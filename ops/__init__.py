"""The `langsense` command: runs the platform locally, prepares databases and brokers, drives and proves."""
