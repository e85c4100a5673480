"""Settings, wiring and the entry points: the only place that knows both ports and adapters."""
