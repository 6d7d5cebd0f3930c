"""What payments decide, over plain values."""
