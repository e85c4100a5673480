"""Everything that is kept, in PostgreSQL 15 or newer."""
