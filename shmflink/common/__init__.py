"""What a user imports, with PyFlink's module and class names (`pyflink.common`): types, time, configuration, job client."""
