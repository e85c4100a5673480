"""The settings of our sessions, sent after each connect: a pooler refuses most of them before."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

STATEMENT_TIMEOUT: Final = timedelta(seconds=15)

# Of every session, migrations and LISTEN included. What a database or role has as its default must
# not change what a statement means. Whether it may write is left as it is: `default_transaction_
# read_only` is how an operator, or a provider whose disk is nearly full, stops all writing.
SESSION: Final = {
    "default_transaction_deferrable": "off",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
    "jit": "off",
    "standard_conforming_strings": "on",
    "statement_timeout": "0",
    "timezone": "UTC",
}
# Of those that serve.
SERVICE: Final = SESSION | {
    "idle_in_transaction_session_timeout": "30000",
    "lock_timeout": "0",
    "statement_timeout": str(STATEMENT_TIMEOUT // timedelta(milliseconds=1)),
}
# How hot statements are planned: once, not with each call (a millisecond and a half with two weeks
# of partitions), and never by reading a table whole: tables of places are empty at times, a plan
# made then outlives that, and a flush of 500 took 50 ms instead of 5.
HOT: Final = SERVICE | {"enable_seqscan": "off", "plan_cache_mode": "force_generic_plan"}
