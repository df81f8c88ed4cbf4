"""From pictures with captions to latents and embeddings, to adapters, and to pictures of prompts."""
