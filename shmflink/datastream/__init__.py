"""What a user imports, with PyFlink's module and class names (`pyflink.datastream`)."""
