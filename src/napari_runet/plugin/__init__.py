"""All that knows napari and Qt."""
