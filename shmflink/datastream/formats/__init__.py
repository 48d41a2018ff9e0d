"""File formats (`pyflink.datastream.formats`)."""
