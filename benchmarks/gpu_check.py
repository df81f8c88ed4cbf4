"""Trains networks of a configuration on another machine, which has a GPU, torch and neither Snakemake nor dlib.

    python -m benchmarks.gpu_check pack --folder RUN --config FILE --output PACK [--again] [--pictures FOLDER…] TARGET…
    python -m benchmarks.gpu_check run PACK --work FOLDER --output FOLDER [--peer CHECKOUT]
    python -m benchmarks.gpu_check unpack OUTPUT --folder RUN

`pack`, where the workflow runs: asks Snakemake which commands make the targets from what the folder `results/` of a run
has already, such as landmarks, and writes them with their input files to one zip, crops as lossless WebP. Where crops
are to be made there, the folders of the sources' pictures travel too.

`run`, on the other machine: measures the card and, given the peer of `benchmarks.training`, the speed of a step
of a training beside it; runs the commands, each as soon as its inputs are there; prints a table; and writes what the
trainings made, in pieces of 15 MiB.

`unpack`, again where the workflow runs: puts that into `results/`, from where the workflow goes on.
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import torch

from benchmarks.training import bf16_rate, compare
from workflow_scripts.core.shards import Shard
from workflow_scripts.training.device import tune

ROOT = Path(__file__).parent.parent
PIECE = 15 * 2**20
MADE = ("checkpoints", "curves", "previews", "records", "logs")  # folders of what a training makes
LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]


def pack(folder: Path, config: Path, targets: list[str], pictures: list[Path], again: bool, output: Path) -> None:
    """Write the commands that make the targets and the files that they read; `again`: all trainings among them."""
    command = [sys.executable, "-m", "snakemake", "-s", ROOT / "Snakefile", "-d", folder, "--configfile", config]
    command += ["--dry-run", "--printshellcmds", "--rerun-triggers", "mtime", "--set-resources", "train_network:gpu=1"]
    command += ["--forcerun", "train_network"] if again else []
    said = subprocess.run([*command, "--", *targets], capture_output=True, text=True, check=False)
    if said.returncode:
        sys.exit(said.stdout + said.stderr)
    jobs = []
    for told in re.split(r"\n\[[^\n]*\]\n", said.stdout)[1:]:
        shell = re.search(r"^Shell command: (.*)$", told, re.M)
        if shell:
            files = {key: _listed(told, key) for key in ("input", "output")}
            rule = re.search(r"rule (\w+):", told)[1]
            is_made = all((folder / path).exists() for path in files["output"])
            # What is made already is wanted for its input's date alone.
            if not is_made or (again and rule == "train_network"):
                jobs.append({"rule": rule, "command": shell[1], **files})
    for number, source in enumerate(pictures):  # the commands name them by where they lie here
        for job in jobs:
            job["command"] = job["command"].replace(str(source), f"sources/{number}")
    files = {path for job in jobs for path in job["input"] if (folder / path).is_file()}
    with zipfile.ZipFile(output, "w") as archive:
        archive.writestr("jobs.json", json.dumps(jobs, indent=1))
        for path in sorted(files):
            archive.writestr(path, _shrunk(folder / path))
        for number, source in enumerate(pictures):
            for path in sorted(source.rglob("*")):
                if path.is_file():
                    archive.write(path, f"sources/{number}/{path.relative_to(source)}")
    print(f"{len(jobs)} commands, {len(files)} files, {output.stat().st_size / 2**20:.1f} MiB")


def _listed(told: str, key: str) -> list[str]:
    """Return the files that Snakemake lists for a job."""
    found = re.search(rf"^    {key}: (.*)$", told, re.M)
    return found[1].split(", ") if found else []


def _is_pictures(field: pa.Field) -> bool:
    return isinstance(field.type, pa.FixedShapeTensorType) and (
        len(field.type.shape) == 3 and field.type.value_type == pa.uint8()
    )


def _shrunk(path: Path) -> bytes:
    """Return a file's bytes; of a shard, one whose pictures are compressed."""
    if path.suffix != ".arrow":
        return path.read_bytes()
    shard = Shard(path)
    table = pa.ipc.open_file(path).read_all()
    for number, field in enumerate(table.schema):
        if _is_pictures(field):
            coded = [
                cv2.imencode(".webp", np.ascontiguousarray(shard.tensor(field.name, row)), LOSSLESS)[1].tobytes()
                for row in range(len(shard))
            ]
            kept = pa.field(field.name, pa.binary(), metadata={"shape": json.dumps(field.type.shape)})
            table = table.set_column(number, kept, pa.array(coded, pa.binary()))
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _restore(content: bytes, path: Path) -> None:
    """Write what `_shrunk` returned as the shard that it was."""
    table = pa.ipc.open_file(content).read_all()
    for number, field in enumerate(table.schema):
        if field.type == pa.binary() and field.metadata:
            shape = json.loads(field.metadata[b"shape"])
            pictures = [
                cv2.imdecode(np.frombuffer(one.as_py(), np.uint8), cv2.IMREAD_UNCHANGED) for one in table[number]
            ]
            values = np.stack(pictures) if pictures else np.zeros((0, *shape), np.uint8)
            table = table.set_column(number, field.name, pa.FixedShapeTensorArray.from_numpy_ndarray(values))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=64)


def run(
    packs: list[Path], work: Path, output: Path, peer: Path | None, processes: int, seconds: float, limit: float
) -> None:
    """Measure the card, run the commands of all packs, and write what the trainings made.

    Args:
        packs: zips of `pack`.
        work: folder for the packs' files.
        output: folder for what is made.
        peer: of `benchmarks.training`.
        processes: commands at a time.
        seconds: of a round of the speed of steps.
        limit: `time.monotonic()` at which commands are ended.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tune(device, deterministic=False)
    output.mkdir(parents=True, exist_ok=True)
    found: dict = {"torch": torch.__version__, "device": name_of(device)}
    print(f"{found['device']}, torch {torch.__version__}", flush=True)
    if device.type == "cuda":
        found["bf16_tflops"] = bf16_rate(device) / 1e12
        print(f"bf16 matrix product: {found['bf16_tflops']:.0f} TFLOP/s", flush=True)
    if peer is not None:
        found["steps"] = compare(peer, device, rounds=3, seconds=seconds)
        if device.type == "cuda":
            torch.cuda.empty_cache()
    jobs = [job for one in packs for job in open_pack(one, work / one.stem)]
    found["jobs"] = _carry_out(jobs, processes, limit)
    (output / "gpu_check.json").write_text(json.dumps(found, indent=1))
    _write_pieces(work, output)


def name_of(device: torch.device) -> str:
    """Return what the device calls itself."""
    return torch.cuda.get_device_name() if device.type == "cuda" else "CPU"


def open_pack(pack: Path, folder: Path) -> list[dict]:
    """Write a pack's files below `folder`, and return its jobs with their names and their place there."""
    with zipfile.ZipFile(pack) as archive:
        jobs = json.loads(archive.read("jobs.json"))
        for name in archive.namelist():
            if name != "jobs.json":
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if name.endswith(".arrow"):
                    _restore(archive.read(name), folder / name)
                else:
                    (folder / name).write_bytes(archive.read(name))
    for job in jobs:
        network = re.search(r"--network (\w+)", job["command"])
        job["name"] = f"{pack.stem}/{job['rule']}" + (f"/{network[1]}" if network else "")
        job["folder"] = folder
    return jobs


def _carry_out(jobs: list[dict], processes: int, limit: float) -> list[dict]:
    """Run commands until `limit`, `processes` at a time, the first of those whose inputs are all there."""
    made = {job["folder"] / path for job in jobs for path in job["output"]}
    waiting, running, finished = list(jobs), {}, []
    with ThreadPoolExecutor(processes) as pool:
        while waiting or running:
            ready = [job for job in waiting if not made.intersection(job["folder"] / path for path in job["input"])]
            for job in ready[: processes - len(running)]:
                waiting.remove(job)
                running[pool.submit(_carry_out_one, job, limit)] = job
            if not running:  # what the others wait for has failed
                break
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                finished.append(future.result())
                if finished[-1]["code"] == 0:
                    made -= {job["folder"] / path for path in job["output"]}
    return finished


def _carry_out_one(job: dict, limit: float) -> dict:
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment |= {"OMP_NUM_THREADS": "1", "FACE_WORKFLOW_GPU_SHARED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for path in [*job["output"], *re.findall(r"results/[^\s'\"]+", job["command"])]:  # Snakemake makes these folders
        (job["folder"] / path).parent.mkdir(parents=True, exist_ok=True)
    left = max(1, limit - time.monotonic())
    command = ["timeout", "--kill-after=10", f"{left:.0f}", "bash", "-o", "pipefail", "-c", job["command"]]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=job["folder"], env=environment, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - start
    last = (done.stdout or done.stderr).strip().splitlines()[-1:] or [""]
    print(f"{job['name']}: {taken:.0f} s, code {done.returncode}: {last[0][:150]}", flush=True)
    said = (done.stdout + done.stderr)[-3000:]
    return {"job": job["name"], "seconds": taken, "code": done.returncode, "said": said}


def _write_pieces(work: Path, output: Path) -> None:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(work.rglob("*")):
            if path.is_file() and set(MADE) & set(path.relative_to(work).parts):
                archive.write(path, str(path.relative_to(work)))
    content = sink.getvalue()
    for number, start in enumerate(range(0, len(content), PIECE)):
        (output / f"made.zip.{number:02d}").write_bytes(content[start : start + PIECE])


def unpack(output: Path, folder: Path, name: str) -> None:
    """Put what the trainings of a pack made into the folder of a run."""
    content = b"".join(path.read_bytes() for path in sorted(output.glob("made.zip.*")))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for member in archive.namelist():
            pack_name, _, path = member.partition("/")
            if pack_name == name:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(archive.read(member))


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    packing = commands.add_parser("pack")
    packing.add_argument("--folder", type=Path, required=True, help="where a run has its `results/`")
    packing.add_argument("--config", type=Path, required=True)
    packing.add_argument("--output", type=Path, required=True, help="the zip")
    packing.add_argument("--pictures", type=Path, nargs="*", default=[], help="folders of sources whose crops are made")
    packing.add_argument("--again", action="store_true", help="also trainings whose networks are there")
    packing.add_argument("targets", nargs="+")
    running = commands.add_parser("run")
    running.add_argument("packs", nargs="*", type=Path)
    running.add_argument("--work", type=Path, required=True)
    running.add_argument("--output", type=Path, required=True)
    running.add_argument("--peer", type=Path, help="checkout of junyanz/pytorch-CycleGAN-and-pix2pix")
    running.add_argument("--processes", type=int, default=os.cpu_count(), help="commands at a time")
    running.add_argument("--limit", type=float, default=3600, help="seconds after which commands are ended")
    running.add_argument("--seconds", type=float, default=2.0, help="of a round of the speed of steps")
    unpacking = commands.add_parser("unpack")
    unpacking.add_argument("output", type=Path)
    unpacking.add_argument("--folder", type=Path, required=True)
    unpacking.add_argument("--pack", required=True, help="name of the zip, without .zip")
    chosen = parser.parse_args()
    if chosen.command == "pack":
        pictures = [path.resolve() for path in chosen.pictures]
        pack(chosen.folder.resolve(), chosen.config.resolve(), chosen.targets, pictures, chosen.again, chosen.output)
    elif chosen.command == "run":
        limit = time.monotonic() + chosen.limit
        run(chosen.packs, chosen.work.resolve(), chosen.output, chosen.peer, chosen.processes, chosen.seconds, limit)
    else:
        unpack(chosen.output, chosen.folder, chosen.pack)


if __name__ == "__main__":
    main()
