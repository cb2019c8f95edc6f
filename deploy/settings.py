"""Checks what the schemas of the manifests cannot know: that they fit the program, and each other."""

import re
import subprocess
import sys
from pathlib import Path

import yaml

root = Path(__file__).parent.parent
kubernetes = root / "deploy/kubernetes"
serve = subprocess.run([sys.argv[1], "serve", "--help"], check=True, capture_output=True, text=True).stdout
known = set(re.findall(r"\[env: (\w+)\]", serve))


def load(path: Path) -> list[dict]:
    return list(yaml.safe_load_all(path.read_text()))


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


compose = load(root / "compose.yaml")[0]["services"]["api"]["environment"]
config = load(kubernetes / "config.yaml")[0]["data"]
pod = load(kubernetes / "deployment.yaml")[0]["spec"]["template"]["spec"]
container = pod["containers"][0]
names = {
    "compose.yaml": list(compose),
    "deploy/kubernetes/config.yaml": list(config),
    "deploy/kubernetes/deployment.yaml": [variable["name"] for variable in container["env"]],
    "deploy/todo-api.env": re.findall(r"^#? ?(\w+)=", (root / "deploy/todo-api.env").read_text(), re.MULTILINE),
    "Dockerfile": re.findall(r"(\w+)=", re.findall(r"^ENV (.*)", (root / "Dockerfile").read_text(), re.MULTILINE)[0]),
}
for file, variables in names.items():
    assert variables, file
    unknown = set(variables) - known - {"mode"}
    assert not unknown, f"{file} sets {unknown}, which is no variable of the program"

stopping = seconds(config["SHUTDOWN_DELAY"]) + seconds(config["SHUTDOWN_GRACE"])
assert stopping < pod["terminationGracePeriodSeconds"], "the pod is killed before it has stopped"
readiness = container["readinessProbe"]
noticed = (readiness["failureThreshold"] + 1) * readiness["periodSeconds"]
assert noticed < seconds(config["SHUTDOWN_DELAY"]), "the pod stops before its readiness probe has failed"

resources = set(load(kubernetes / "kustomization.yaml")[0]["resources"])
files = {file.name for file in kubernetes.glob("*.yaml")} - {"kustomization.yaml"}
assert resources == files, f"kustomization.yaml has {resources}, the folder {files}"
