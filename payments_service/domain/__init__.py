"""What is decided about payments, over plain values."""
