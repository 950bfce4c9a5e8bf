"""What is computed on: axes, images, predictions, thresholds. No torch and no Qt."""
