"""Many workers for one suite: its tasks as text, done by processes here or elsewhere, met again in the store."""
