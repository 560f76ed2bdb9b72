"""`make fuzz`: every target, one after the other, each as long as it was told, led by which code its octets reach.

    python -m tests.fuzz SECONDS [TARGET…]

A reader would otherwise get wrong: the corpus of the tree is read and never written. What a run finds new goes to a folder
that it names when something was found; whoever mends the finding puts the octets into `corpus/<target>/finding-<what>`.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
TREE = Path(__file__).resolve().parents[2]
MAX_OCTETS = 4096  # of one input
MEMORY_MIB = 1024
INPUT_SECONDS = 10  # One input that takes longer is a finding too.
INSIDE = "POSTERN_FUZZ_TARGET"
COMMAND = (sys.executable, "-m", "tests.fuzz")  # becomes the child


def main(arguments: list[str]) -> int:
    """Run the targets named in *arguments* (all when none is); the exit status."""
    seconds, *wanted = arguments or ["60"]
    from tests.fuzz.targets import TARGETS

    unknown = set(wanted) - TARGETS.keys()
    if unknown or not seconds.isdigit():
        sys.stderr.write(f"usage: python -m tests.fuzz SECONDS [TARGET…]; targets: {' '.join(TARGETS)}\n")
        return 2
    found = [name for name in wanted or TARGETS if not run(name, int(seconds))]
    if found:
        print(f"findings: {' '.join(found)}")
    return 1 if found else 0


def run(name: str, seconds: int) -> bool:
    """One target in a process of its own; was nothing found?"""
    work = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    fresh = work / "corpus"
    fresh.mkdir()
    seeds = CORPUS / name
    command = [
        *COMMAND, f"-max_total_time={seconds}", f"-max_len={MAX_OCTETS}", f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={MEMORY_MIB}", f"-artifact_prefix={work}/", "-print_final_stats=1", str(fresh),
        *([str(seeds)] if seeds.is_dir() else []),
    ]  # fmt: skip
    with (work / "log").open("wb") as log:
        status = subprocess.run(
            command, stdout=log, stderr=log, env=os.environ | {INSIDE: name}, cwd=TREE, check=False
        ).returncode
    said = (work / "log").read_text(errors="replace")
    tried = next((line.rsplit(" ", 1)[1] for line in said.splitlines() if "number_of_executed_units" in line), "?")
    if status == 0:
        shutil.rmtree(work)
        print(f"{name}: {tried} inputs in {seconds} s, nothing found", flush=True)
        return True
    print(f"{name}: FOUND something after {tried} inputs, see {work}\n{said[-3000:]}", flush=True)
    return False


def inside(name: str) -> None:
    """Be the child: hand the target *name* to the fuzzer, which ends this process."""
    import atheris

    with atheris.instrument_imports(include=["mta"]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup(sys.argv, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    if INSIDE in os.environ:
        inside(os.environ[INSIDE])
    sys.exit(main(sys.argv[1:]))
