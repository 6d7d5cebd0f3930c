"""What compliance decides, over plain values."""
