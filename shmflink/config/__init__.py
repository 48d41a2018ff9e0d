"""Every option, declared once: key, type, default, documentation; and the Configuration that holds values.

Imports `core` and `errors`. Must not know who reads an option.
"""
