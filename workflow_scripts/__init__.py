"""Stages of the workflow: each module is one stage, each package what stages share."""
