"""Where to look next: how doubtful each pixel of a prediction is, and the places that a person should see first."""
