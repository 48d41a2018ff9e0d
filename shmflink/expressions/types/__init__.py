"""Types: their names, which one comes out where they meet, casts from one to another."""
