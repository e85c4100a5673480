"""The use cases: what Windlass can do, in terms of the domain and its ports."""
