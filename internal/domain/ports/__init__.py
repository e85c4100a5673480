"""What the core needs from outside, as Protocols that adapters fit without inheriting them."""
