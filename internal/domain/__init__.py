"""What Windlass is about, without any technology: jobs, accounts, handlers and their rules."""
