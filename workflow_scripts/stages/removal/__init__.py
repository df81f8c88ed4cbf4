"""From faces to pairs with an occluder, to edited faces and their scores."""
