"""Handlers, one module for each family of paths: they read what is needed for a view, or start an operation."""
