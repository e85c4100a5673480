"""Everything that knows a technology, one package each."""
