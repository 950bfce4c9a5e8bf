"""What a model is: its card, where it is kept, and its tensors."""
