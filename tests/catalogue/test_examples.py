"""The examples for clusters are read as Slurm's shell and Kubernetes would read them."""

import re
import shlex
import subprocess
from pathlib import Path

import ray
import yaml

from negclap.commands.embed import parser

CLUSTER = Path(__file__).parents[2] / "configs" / "cluster"


def test_the_slurm_script_is_valid_and_its_command_parses():
    path = CLUSTER / "embed.sbatch"
    subprocess.run(["bash", "-n", path], check=True)
    (line,) = re.findall(r"^\.venv/bin/negclap embed (.*)$", path.read_text(), re.MULTILINE)
    options = parser().parse_args(shlex.split(line))
    assert options.ray == "$HEAD:$PORT"
    assert options.approximate


def test_the_kubernetes_job_is_valid_and_its_command_parses():
    job = yaml.safe_load((CLUSTER / "kuberay.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    program, command, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("negclap", "embed")
    assert parser().parse_args(arguments).ray == "auto"
    cluster = job["spec"]["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__
    groups = {group["groupName"]: group for group in cluster["workerGroupSpecs"]}
    limits = {
        name: group["template"]["spec"]["containers"][0]["resources"]["limits"]
        for name, group in groups.items()
    }
    assert [name for name, its in limits.items() if "nvidia.com/gpu" in its] == ["encoders"]
