"""From faces in videos to a driven face, its scores and its videos."""
