"""What batches of rows add to the figures, when days close, and which reports are due: pure functions."""
