"""What is written as a function of columns, not as a method of one: a module for each family."""
