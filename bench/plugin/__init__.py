"""Support for third-party detectors: a package to start from, the contract's checks, a trial on digits."""
