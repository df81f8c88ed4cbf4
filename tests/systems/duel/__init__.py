"""A system of the tests: adapters of low rank on a pretrained linear layer, trained on float columns."""
