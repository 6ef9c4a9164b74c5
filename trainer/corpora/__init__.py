"""Corpora: speech in, one `softstore.Corpus` of features, senone labels and text out."""
