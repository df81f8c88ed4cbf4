"""Learn the statistical head of `faces/heads.py` from landmark tables: `--source index.parquet landmarks.parquet …`.

    python -m workflow_scripts.commands.learn_heads --output workflow_scripts/faces/head_numbers.py \\
      --source results/people/index.parquet results/people/landmarks/00000.parquet --source …

How `workflow_scripts/faces/head_numbers.py` was made: docs/methods.md. Photographs of many people are needed, and of a
hundred of them several, whose `identity` the index tells. The steps:

1. Every face is used as it is and mirrored. Poses, mean and modes are learned by expectation maximisation (Torresani,
   Hertzmann & Bregler, "Nonrigid Structure-from-Motion", IEEE PAMI 30(5), 2008), beginning with the poses that a
   generic head of 14 points has. A mode cannot turn, grow or move the `STABLE` points as a whole, since this is the
   pose's part.
2. The mean photograph looks straight ahead: its pitch is 0.
3. By how much the modes change with yaw and pitch (`heads.slip_of`) is a linear regression. What follows uses the modes
   less this.
4. The mean neutral face is that of calm photographs: seen from ahead, lips closed, eyes open, the mouth no wider than
   that of every second photograph.
5. Differences between photographs of one person are expressions, those between calm photographs are identities. The
   modes are turned and scaled so that the covariance of expressions is 1 and that of identities is diagonal.
6. The limits of a real face are those that 995 of 1,000 photographs keep.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from workflow_scripts.core import cli
from workflow_scripts.core.files import atomic_path
from workflow_scripts.core.tables import landmark_points, read_table
from workflow_scripts.faces import landmark_groups as groups
from workflow_scripts.faces.heads import (
    STABLE,
    HeadModel,
    Heads,
    distances,
    fit_heads,
    modes_of,
    poses_of,
    rotations,
    shapes_of,
    slip_of,
    turns_of,
)
from workflow_scripts.faces.pose import GENERIC_HEAD

MODES = 16  # leave .007 of the distance of the outer eye corners unexplained; 12 leave .009, 24 .005
ROUNDS, RIGID_ROUNDS = 25, 10
FIRST_NOISE = 0.03
LEAST_PEOPLE, LEAST_CALM = 20, 40  # people with several photographs; calm faces
MOST_PHOTOGRAPHS = 12  # of one person; the weight of further ones is shared among them
AHEAD, SHUT, OPEN = 15.0, 0.03, 0.06  # degrees; opening of lips and lids over the distance of the outer eye corners
KEPT = 99.5  # percent of the photographs within the limits
_GENERIC = np.array(list(GENERIC_HEAD.values()))


class Photographs(NamedTuple):
    """Landmarks of faces.

    Attributes:
        points: float64 (n, 68, 2).
        people: length n, the person's name; None where it is not known.
    """

    points: np.ndarray
    people: list[str | None]


def learn_heads(photographs: Photographs) -> tuple[HeadModel, np.ndarray]:
    """Return the statistical head that photographs show, and the limits (2,) of `heads.distances`.

    Raises:
        UserError: of too few people there are several photographs.
    """
    both = np.concatenate([photographs.points, photographs.points[:, groups.MIRRORED] * (-1, 1)])
    model = _look_ahead(_learn_modes(both), photographs.points)
    heads = fit_heads(both, model)
    people = np.array([f"{person} {side}" if person else None for side in (0, 1) for person in photographs.people])
    modes = heads.modes - slip_of(turns_of(heads.turn), model._replace(slip=_slip(heads)))
    expressions = _expressions(modes, people)
    model = _in_basis(model, modes[_are_calm(modes, heads, model)], expressions)
    heads = fit_heads(both, model)
    model = model._replace(slip=_slip(heads))
    limits = np.percentile(distances(both, heads, model), KEPT, axis=0)
    return model, limits


def _learn_modes(points: np.ndarray) -> HeadModel:
    """Return mean and modes by expectation maximisation; identities have no variance yet, and expressions 1."""
    scale, turn, place = poses_of(points[:, list(GENERIC_HEAD)], _GENERIC)
    heads = Heads(scale, turn, place, np.zeros((len(points), 0)))
    model = HeadModel(
        np.zeros((groups.COUNT, 3)), np.zeros((groups.COUNT, 3, 0)), np.zeros(0), np.zeros((2, 0)), FIRST_NOISE
    )
    for _ in range(RIGID_ROUNDS):
        model = _maximised(points, heads, np.zeros((len(points), 0, 0)), model)
        heads = Heads(*poses_of(points, model.neutral), heads.modes)
    first = np.random.default_rng(0).normal(0, 0.01, (groups.COUNT, 3, MODES))
    model = model._replace(
        modes=_without_pose(first, model.neutral), identity=np.zeros(MODES), slip=np.zeros((2, MODES))
    )
    heads = heads._replace(modes=np.zeros((len(points), MODES)))
    for _ in range(ROUNDS):
        modes, covariances = modes_of(points, heads, model)
        model = _maximised(points, heads._replace(modes=modes), covariances, model)
        modes, covariances = modes_of(points, Heads(*poses_of(points, shapes_of(modes, model)), modes), model)
        heads = Heads(*poses_of(points, shapes_of(modes, model)), modes)
        spread = np.linalg.cholesky(modes.T @ modes / len(modes) + covariances.mean(axis=0))
        noise = float(np.sqrt((distances(points, heads, model)[:, 1] ** 2).mean()))
        model = model._replace(modes=model.modes @ spread, noise=noise)
    return model


def _maximised(points: np.ndarray, heads: Heads, covariances: np.ndarray, model: HeadModel) -> HeadModel:
    """Return the model with the mean and the modes that explain the points best, given the posterior of the modes."""
    count = heads.modes.shape[1] + 1
    rows = heads.turn[:, :2]
    known = np.column_stack([np.ones(len(points)), heads.modes])
    products = known[:, :, None] * known[:, None, :]
    products[:, 1:, 1:] += covariances
    views = (points - heads.place[:, None]) / heads.scale[:, None, None]
    normal = np.einsum("nkl,nij->kilj", products, rows.transpose(0, 2, 1) @ rows).reshape(3 * count, 3 * count)
    normal += 1e-9 * np.trace(normal) / len(normal) * np.eye(len(normal))
    right = np.einsum("nk,npj->kjp", known, views @ rows).reshape(3 * count, -1)
    solved = np.linalg.solve(normal, right).reshape(count, 3, -1)
    neutral, modes = _symmetric(solved[0].T), solved[1:].transpose(2, 1, 0)
    unit = np.linalg.norm(neutral[groups.LEFT_EYE_OUTER] - neutral[groups.RIGHT_EYE_OUTER])
    neutral = (neutral - neutral[STABLE].mean(axis=0)) / unit
    return model._replace(neutral=neutral, modes=_without_pose(modes / unit, neutral))


def _symmetric(shape: np.ndarray) -> np.ndarray:
    return (shape + shape[groups.MIRRORED] * (-1, 1, 1)) / 2


def _without_pose(modes: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return modes (68, 3, K) less the movements that a turn, a size and a place give the `STABLE` points."""
    movements = [*(np.cross(axis, mean) for axis in np.eye(3)), mean]
    movements += [np.broadcast_to(axis, mean.shape) for axis in np.eye(3)]
    basis = np.stack(movements, axis=-1)  # (68, 3, 7)
    flat = modes[STABLE].reshape(3 * len(STABLE), -1)
    amounts = np.linalg.lstsq(basis[STABLE].reshape(3 * len(STABLE), -1), flat, rcond=None)[0]
    return modes - basis @ amounts


def _look_ahead(model: HeadModel, points: np.ndarray) -> HeadModel:
    """Return the model turned so that the photographs look neither up nor down at the median."""
    pitch = np.median(turns_of(fit_heads(points, model).turn)[:, 1])
    turn = rotations(np.array([[0.0, pitch, 0.0]]))[0]
    return model._replace(neutral=model.neutral @ turn.T, modes=np.einsum("ij,pjk->pik", turn, model.modes))


def _slip(heads: Heads) -> np.ndarray:
    """Return the regression (2, K) of modes on yaw and pitch in radians."""
    known = np.column_stack([np.radians(turns_of(heads.turn)[:, :2]), np.ones(len(heads.modes))])
    return np.linalg.lstsq(known, heads.modes, rcond=None)[0][:2]


def _are_calm(modes: np.ndarray, heads: Heads, model: HeadModel) -> np.ndarray:
    """Return whether photographs, with modes (n, K) less the slip, show calm faces, bool (n,)."""
    faces = shapes_of(modes, model)[:, :, :2]

    def gap(pairs: list[tuple[int, int]]) -> np.ndarray:
        upper, lower = np.array(pairs).T
        return np.linalg.norm(faces[:, upper] - faces[:, lower], axis=-1).mean(axis=1)

    width = gap([(groups.RIGHT_MOUTH_CORNER, groups.LEFT_MOUTH_CORNER)])
    calm = (gap(groups.LIP_PAIRS) < SHUT) & (gap(groups.RIGHT_LID_PAIRS + groups.LEFT_LID_PAIRS) > OPEN)
    calm &= (width <= np.median(width)) & (np.abs(turns_of(heads.turn)[:, 0]) < AHEAD)
    if calm.sum() < LEAST_CALM:
        raise cli.UserError(f"{calm.sum()} faces are calm and look ahead, {LEAST_CALM} are needed; add photographs")
    return calm


def _expressions(modes: np.ndarray, people: np.ndarray) -> np.ndarray:
    """Return the covariance (K, K) of a person's photographs."""
    within, freedom, known = 0.0, 0.0, 0
    for person in sorted(set(people[people != None])):  # noqa: E711, of an array
        members = modes[people == person]
        if len(members) < 2:
            continue
        apart = members - members.mean(axis=0)
        weight = min(len(members), MOST_PHOTOGRAPHS) / len(members)
        within = within + weight * apart.T @ apart
        freedom += weight * (len(members) - 1)
        known += 1
    if known < 2 * LEAST_PEOPLE:  # each is there twice, once mirrored
        raise cli.UserError(
            f"several photographs of one person are there of {known // 2} people, and {LEAST_PEOPLE} are needed; add "
            "such photographs, and name their people by the key `identity` of the source"
        )
    return within / freedom


def _in_basis(model: HeadModel, calm: np.ndarray, expressions: np.ndarray) -> HeadModel:
    """Return the model about the mean calm face, in the basis of step 5, the modes that tell people apart first.

    Args:
        model: as it was learned.
        calm: (n, K), modes of calm faces.
        expressions: (K, K), their covariance.
    """
    root = np.linalg.cholesky(expressions)
    inverse = np.linalg.inv(root)
    variances, axes = np.linalg.eigh(inverse @ np.cov(calm.T) @ inverse.T)
    neutral = _symmetric(shapes_of(calm.mean(axis=0)[None], model)[0])
    return HeadModel(
        neutral,
        np.einsum("pxk,kl->pxl", model.modes, (root @ axes)[:, ::-1]),
        variances[::-1],
        model.slip,
        model.noise,
    )


def read_photographs(sources: list[list[Path]]) -> Photographs:
    """Return the chosen faces of landmark tables.

    Args:
        sources: for each source its `index` table and its `landmarks` tables.

    Raises:
        UserError: a table is damaged, or of another source than the index before it.
    """
    points, people = [], []
    for number, (index, *tables) in enumerate(sources):
        person_of = read_table(index, ["item", "identity"]).set_index("item")["identity"]
        for table in tables:
            faces = read_table(table)
            faces = faces[faces["face"] == 0]
            if strange := next((item for item in faces["item"] if item not in person_of.index), None):
                raise cli.UserError(f"{table}: {strange} is not in {index}; name the tables of one source together")
            points.append(landmark_points(faces).astype(np.float64))
            people += [person and f"{number} {person}" for person in person_of.loc[faces["item"]]]
    return Photographs(np.concatenate(points), people)


def write_numbers(model: HeadModel, limits: np.ndarray, path: Path) -> None:
    """Write the model as a Python module."""
    rows = np.rint(1e4 * np.concatenate([model.neutral[:, :, None], model.modes], axis=2)).astype(int)
    variances, yaw, pitch = (", ".join(f"{value:.2f}" for value in values) for values in (model.identity, *model.slip))
    lines = [
        '"""The numbers of the statistical head (`heads.py`), written by `commands/learn_heads.py`."""',
        "",
        "import numpy as np",
        "",
        f"NOISE = {model.noise:.5f}  # of the distance of the outer eye corners",
        f"LIMITS = ({limits[0]:.2f}, {limits[1]:.4f})  # of `heads.distances`",
        "# fmt: off",
        f"IDENTITY_VARIANCE = ({variances})",
        f"SLIP = (({yaw}),",
        f"        ({pitch}))",
        "# For x, y and z of each point in turn: the mean neutral head, and its modes, in 1/10000.",
        "HEAD_NUMBERS = np.array([",
        *(f"    [{', '.join(map(str, row))}]," for row in rows.reshape(3 * groups.COUNT, -1)),
        "])",
        "# fmt: on",
    ]
    with atomic_path(path) as temporary:
        Path(temporary).write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--source",
        type=Path,
        nargs="+",
        action="append",
        required=True,
        metavar="TABLE",
        help="the index of a source, then its landmark tables; once for each source",
    )
    parser.add_argument("--output", type=Path, required=True, help="the Python module to write")
    args = parser.parse_args(argv)
    if any(len(tables) < 2 for tables in args.source):
        parser.error("--source: name an index and, behind it, the landmark tables of the same source")
    photographs = read_photographs(args.source)
    model, limits = learn_heads(photographs)
    write_numbers(model, limits, args.output)
    print(f"{len(photographs.points)} faces, noise {model.noise:.4f}, limits {np.round(limits, 4)}")


if __name__ == "__main__":
    cli.run(main)
