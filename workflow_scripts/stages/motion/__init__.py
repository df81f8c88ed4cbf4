"""The stages of `rules/motion.smk`."""
