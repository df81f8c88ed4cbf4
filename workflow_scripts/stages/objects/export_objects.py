"""Stage: write the objects of a source as one file in COCO's format, which `read_objects` and other tools read."""

from workflow_scripts.core import cli
from workflow_scripts.core.coco_files import write_coco
from workflow_scripts.core.tables import read_table
from workflow_scripts.provenance.stage import Input, Inputs, Output, stage_command


def export_objects(index: Input, objects: Inputs, output: Output) -> None:
    """Write `images`, `categories` and `annotations`; what is read again is equal, row by row.

    Pictures are numbered in the order of their names, categories likewise. Masks are compressed run lengths. The names
    of keypoints are not in the table, so they are numbered too.

    Args:
        index: the index of the source; every item of it is a picture, also one without objects.
        objects: the tables of objects of all its shards.
        output: the JSON file, UTF-8.
    """
    pictures = read_table(index, ["item", "height", "width"]).sort_values("item")
    numbers = {item: number for number, item in enumerate(pictures["item"], 1)}
    categories = _categories(objects)
    ids = {name: number for number, name in enumerate(sorted(categories), 1)}
    images = (
        {"id": numbers[row.item], "file_name": row.item, "width": int(row.width), "height": int(row.height)}
        for row in pictures.itertuples()
    )
    annotations = (
        _annotation(row, numbers[row.item], ids[row.category])
        for path in objects
        for row in read_table(path).itertuples()
    )
    names = ({"id": ids[name], "name": name} | categories[name] for name in sorted(categories))
    write_coco(output, images, names, annotations)


def _categories(objects: Inputs) -> dict[str, dict]:
    """Return name -> the other keys of each category that occurs."""
    found: dict[str, dict] = {}
    for path in objects:
        for row in read_table(path, ["category", "supercategory", "keypoints"]).itertuples():
            entry = found.setdefault(row.category, {})
            if row.supercategory is not None:
                entry["supercategory"] = row.supercategory
            if row.keypoints is not None:
                entry["keypoints"] = [f"point {number}" for number in range(1, len(row.keypoints) + 1)]
    return found


def _annotation(row, image: int, category: int) -> dict:
    left, top, right, bottom = (float(side) for side in (row.left, row.top, row.right, row.bottom))
    entry = {
        "id": int(row.annotation),
        "image_id": image,
        "category_id": category,
        "bbox": [left, top, right - left, bottom - top],
        "iscrowd": int(row.crowd),
    }
    if row.counts is not None:
        entry |= {
            "segmentation": {"size": [int(row.height), int(row.width)], "counts": row.counts.decode()},
            "area": int(row.area),
        }
    if row.keypoints is not None:
        entry["keypoints"] = [float(number) for point in row.keypoints for number in point]
        entry["num_keypoints"] = sum(bool(point[2]) for point in row.keypoints)
    return entry


main = stage_command(export_objects)


if __name__ == "__main__":
    cli.run(main)
