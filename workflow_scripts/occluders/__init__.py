"""Occluders: one file per kind, found by its name.

A kind is a module with three public names: `PLACEMENT`, a `Placement` that says which landmarks carry it; `COVERS`, a
`Covers` that says what it covers when it sits right; and `draw(canvas, style, face, rng)`, which returns a `Drawing` of
it on the mean frontal face. Everything else (fitting it to the face, light, shadow, blur and noise) is shared and lies
in the modules whose names start with `_`.
"""
