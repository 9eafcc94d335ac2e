"""Data sets as plain arrays with a content hash, image folders, bounding boxes."""
