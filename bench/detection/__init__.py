"""The detection track: attacked images, protocols, scores, cells, its entries and tables."""
