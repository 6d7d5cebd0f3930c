"""What the fraud service decides, over plain values: features, readings, rules, scores, flags."""
