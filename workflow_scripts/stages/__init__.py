"""The stages of the pipeline: `stages/X/` holds what the rules of `rules/X.smk` run, and nothing else."""
