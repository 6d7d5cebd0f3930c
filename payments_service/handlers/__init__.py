"""What comes in by itself, and who is asked outside."""
