"""What the page shows of a system that colours grey tiles: one gallery of test items."""

from workflow_scripts.reporting.galleries import Row, choose_by_rank, draw_first_look, draw_gallery


def draw(experiment, rows, pictures, index, folder) -> None:
    """Draw `gallery.png`: input and truth of test items, from the best to the worst."""
    test = rows[rows["split"] == "test"]
    chosen = test.loc[choose_by_rank(test["psnr_output"], experiment.gallery)]
    lines = [
        Row([[row.item]], [pictures.get("tiles", name, row.source, row.item) for name in ("input", "target")])
        for row in chosen.itertuples()
    ]
    draw_first_look(
        [dict(zip(["grey", "truth"], row.pictures, strict=True)) for row in lines], folder / "first_look.png"
    )
    draw_gallery(["grey", "truth"], lines, folder / "gallery.png")
