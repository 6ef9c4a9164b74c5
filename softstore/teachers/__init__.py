"""What a teacher is, and one file for every kind of it."""
