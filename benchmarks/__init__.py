"""Speed and size against peers in the same run: ``python -m benchmarks.NAME --json FILE [--quick]``."""
