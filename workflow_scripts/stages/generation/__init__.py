"""From pictures with objects to small squares with masks, to generated pictures and their scores."""
