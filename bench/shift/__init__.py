"""A track on top of detection: false alarms on clean images that weather, lenses, sensors or files have changed."""
