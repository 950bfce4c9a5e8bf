"""From an image to a prediction, one iteration after another."""
