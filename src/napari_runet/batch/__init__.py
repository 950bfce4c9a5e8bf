"""Many images at once: what there is to do, what is done already, and the record of it; neither torch nor Qt."""
