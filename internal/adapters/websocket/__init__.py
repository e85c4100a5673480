"""Live events over WebSockets."""
