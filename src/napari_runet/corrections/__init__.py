"""What a person changed: corrections of an image plane, and the journal that keeps them on disk. No torch, no Qt."""
