"""From annotation files in COCO's format to objects and captions."""
