"""Occluders: one file per kind, found by its name.

A kind is a module with two public names: `PLACEMENT`, a `Placement` that says which landmarks carry it, and
`draw(canvas, style, turn, rng)`, which returns a `Drawing` of it on the mean frontal face. Everything else (fitting it
to the face, light, shadow, blur and noise) is shared and lies in the modules whose names start with `_`.
"""
