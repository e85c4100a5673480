"""Windlass: a hosted, multi-user job queue on PostgreSQL."""
