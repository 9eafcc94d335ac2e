"""A third-party detector: a package to start from, the contract's checks, a trial on digits."""
