"""Free functions of columns, as opposed to methods of expressions: one module per family."""
