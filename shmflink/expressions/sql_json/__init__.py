"""SQL/JSON: validation, extraction, building."""
