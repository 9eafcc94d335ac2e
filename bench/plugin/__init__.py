"""Support for plug-ins: packages to start from, the checks of detectors' and attacks' contracts, trials on digits."""
