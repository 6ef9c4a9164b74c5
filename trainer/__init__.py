"""Everything that learns: corpora, senones, teachers, students, and the training loop."""
