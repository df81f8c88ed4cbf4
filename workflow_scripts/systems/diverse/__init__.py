"""`diverse`: many plausible completions of one face, guided by keypoints."""
