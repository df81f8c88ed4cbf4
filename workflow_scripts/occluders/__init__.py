"""Occluders: one file per kind, found by its name; what all kinds share lies in the modules with `_` in front.

A kind is a module that has three names: `PLACEMENT`, a `Placement` that says which landmarks carry it; `COVERS`, a
`Covers` that says how much of mouth, eyes and nostrils it covers when it sits right; and `draw(canvas, style, wearer,
rng)`, which returns a `DrawnOccluder`: the occluder on the mean frontal face, before light.

Where to find what decides the look:

| what | where |
|---|---|
| which kinds are drawn, how often, and what the user may set | `_config.py` |
| a mask's outline, pleats and seams | `surgical.py`, `cloth.py`, `kn95.py` |
| a mask's fabrics: the colours of a kind and their weights | `PLAIN_FABRICS`, `VARIED_FABRICS` in its file |
| how a colour, a weave, a print is drawn | `pick_color`, `any_color`, `weave`, `draw_print` in `_fabric.py` |
| straps, creases, and how carelessly masks are worn | `add_straps`, `creases`, `wear`, `disarrange` in `_mask.py` |
| what lies in front of an occluder | `_front.py`; `fingers.py`, `strands.py`, `scarf.py` |
| a moustache's shape: outline, grain, length, density | `CUT` in `chevron.py`, `handlebar.py`, `pencil.py`, … |
| a moustache's colour | `moustache_color` in `_moustache.py`; from the brows: `Wearer.hair_color` in `_wearer.py` |
| single hairs, thin places, the free lip | `draw_moustache` in `_moustache.py` |
| the user's own pictures | `moustache_picture.py`, `mask_picture.py`, read and checked by `_pictures.py` |
| the face that an occluder is drawn for | `Wearer` in `_wearer.py` |
| how a drawing is fitted to a face | `_placement.py` |
| light, shadow, blur and noise | `_light.py` measures them on the face, `_apply.py` puts them on the occluder |
| when an occluder counts as badly placed | `_fit.py`, the kind's `COVERS` and the user's `fit` |

Left and right of the canvas are those of the picture, so that the person's right side is at the canvas's left.
"""
