"""From pairs of image and labels to a model."""
