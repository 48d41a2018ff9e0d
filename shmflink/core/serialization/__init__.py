"""Values and user code as bytes, and back."""
