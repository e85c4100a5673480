"""Passwords and tokens: bcrypt, JWT and HMAC."""
