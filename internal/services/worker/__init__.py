"""One worker process: a producer claims, executors run, a completer records, a heart beats."""
