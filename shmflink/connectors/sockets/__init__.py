"""Text from TCP servers."""
