"""The localisation track: saliency maps, boxes, its entries and tables."""
