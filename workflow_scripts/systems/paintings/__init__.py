"""A text-to-picture model, taught on pictures with captions by adapters of low rank."""
