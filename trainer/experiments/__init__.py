"""The tables of papers, each made by one command from a corpus."""
