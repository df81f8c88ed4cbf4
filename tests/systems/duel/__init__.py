"""A system of the tests: a generator that completes vectors from noise, and its discriminator."""
