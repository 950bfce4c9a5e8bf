"""What a person changed, and where."""
