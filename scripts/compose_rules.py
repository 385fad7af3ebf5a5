"""This project's rules for docker-compose.yml and Dockerfile: `compose_rules.py COMPOSE DOCKERFILE`.

A container engine would start a file that breaks every one of them. All violations are printed, one a
line; the exit code says whether there were any. To add a rule, add a function to one of the three
lists at the end.
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML

# A name in an environment whose value is a secret. With `_FILE` at the end it names a file instead.
SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|PRIVATE_KEY|API_KEY|DATABASE_URL", re.I)
# A URL that carries a password.
SECRET_URL = re.compile(r"\w://[^/\s:@]*:[^/\s@]+@")
# A tag that names a version: it has a digit.
VERSION_TAG = re.compile(r"^[^:\s]+(:\d+/[^:\s]+)?:[\w.-]*\d[\w.-]*(@sha256:[0-9a-f]{64})?$")
# The tag of what this repository builds itself and nobody may pull.
OWN_IMAGE = "lead-intake:local"


def environment(service):
    """The environment as (name, value), from either of the forms that Compose takes."""
    given = service.get("environment") or {}
    if isinstance(given, dict):
        return [(name, "" if value is None else str(value)) for name, value in given.items()]
    return [(name, value) for name, _, value in (entry.partition("=") for entry in given)]


def strings(node):
    """Every string in a tree, keys included."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def is_root(user):
    return str(user).partition(":")[0] in ("", "0", "root")


# --- One service -------------------------------------------------------------------------------


def image_pinned(name, service, _compose):
    image = service.get("image")
    if image is None:
        yield "has no `image`"
    elif "build" in service:
        if image != OWN_IMAGE:
            yield f"is built here and must be called {OWN_IMAGE}, not {image}"
    elif not VERSION_TAG.match(image):
        yield f"image {image} is not pinned to a version"


def hardened(_name, service, _compose):
    if service.get("read_only") is not True:
        yield "is not `read_only: true`"
    if [str(cap).upper() for cap in service.get("cap_drop") or []] != ["ALL"]:
        yield "does not drop ALL capabilities"
    if service.get("cap_add"):
        yield f"adds capabilities: {service['cap_add']}"
    if service.get("privileged"):
        yield "is privileged"
    if "no-new-privileges:true" not in (service.get("security_opt") or []):
        yield "lacks `no-new-privileges:true`"
    for key in ("network_mode", "pid", "ipc", "devices"):
        if key in service:
            yield f"shares `{key}` with the machine"


def not_root(_name, service, _compose):
    if is_root(service.get("user", "")):
        yield "names no `user` other than root"


def health_known(name, service, compose):
    check = service.get("healthcheck") or {}
    if check.get("test") and not check.get("disable"):
        return
    waited_for = [
        (other.get("depends_on") or {}).get(name)
        for other in compose["services"].values()
        if isinstance(other.get("depends_on"), dict)
    ]
    if service.get("restart") == "no" and {"condition": "service_completed_successfully"} in waited_for:
        return
    yield "has no healthcheck, nor does a service wait for it to complete"


def dependencies_conditional(_name, service, compose):
    given = service.get("depends_on") or {}
    if not isinstance(given, dict):
        yield "`depends_on` states no conditions"
        return
    for other, how in given.items():
        if other not in compose["services"]:
            yield f"depends on {other}, which is no service"
        elif how.get("condition") == "service_healthy":
            if not compose["services"][other].get("healthcheck"):
                yield f"waits for the health of {other}, which has no healthcheck"
        elif how.get("condition") != "service_completed_successfully":
            yield f"does not wait until {other} is ready"


def no_literal_secret(_name, service, _compose):
    for name, value in environment(service):
        if name.endswith("_FILE"):
            if not value.startswith("/run/secrets/"):
                yield f"{name} is no file under /run/secrets"
            elif value.removeprefix("/run/secrets/") not in (service.get("secrets") or []):
                yield f"{name} names a secret that the service is not given"
        elif SECRET_NAME.search(name):
            yield f"{name} is in the environment: secrets by file only"
    if "env_file" in service:
        yield "`env_file`: secrets by file only"


def ports_on_loopback(_name, service, _compose):
    for port in service.get("ports") or []:
        host = port.get("host_ip") if isinstance(port, dict) else str(port).rpartition(":")[0]
        if not (host == "127.0.0.1" or str(host).startswith("127.0.0.1:")):
            yield f"publishes {port} elsewhere than on 127.0.0.1"


def mounts_declared(_name, service, compose):
    for mount in service.get("volumes") or []:
        if isinstance(mount, dict):
            source, read_only = mount.get("source", ""), mount.get("read_only") is True
        else:
            source, _, rest = mount.partition(":")
            read_only = rest.endswith(":ro")
        if "docker.sock" in source:
            yield "is given the container engine"
        if source.startswith(("/", "~")):
            yield f"mounts {source}, a path of some machine"
        elif source.startswith("."):
            if not read_only:
                yield f"mounts {source} and could change it"
            if not Path(source).exists():
                yield f"mounts {source}, which does not exist"
        elif source not in (compose.get("volumes") or {}):
            yield f"mounts {source}, which is no declared volume"


# --- The whole file ----------------------------------------------------------------------------


def no_password_anywhere(compose):
    for text in strings(compose):
        if SECRET_URL.search(text):
            yield "a URL with a password is written out"


def secrets_from_ignored_files(compose):
    ignored = Path(".gitignore").read_text().split()
    for name, secret in (compose.get("secrets") or {}).items():
        if set(secret or {}) != {"file"} or not secret["file"].startswith("./secrets/"):
            yield f"secret {name} is no file under ./secrets"
    if "/secrets" not in ignored:
        yield "git does not ignore /secrets"


def names_declared(compose):
    for kind in ("secrets", "networks"):
        declared = compose.get(kind) or {}
        for name, service in compose["services"].items():
            for used in service.get(kind) or []:
                if used not in declared:
                    yield f"{name} uses {used}, which is not declared under `{kind}`"


# --- Dockerfile --------------------------------------------------------------------------------


def dockerfile(path):
    text = re.sub(r"\\\n", " ", Path(path).read_text())
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stages = set()
    last = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word.upper() == "FROM":
            last = []
            parts = [part for part in rest.split() if not part.startswith("--")]
            if parts[0] not in stages and not re.match(r"^[^:\s]+:[\w.-]+$", parts[0]):
                yield f"FROM {parts[0]} has no tag"
            if parts[0].endswith(":latest"):
                yield f"FROM {parts[0]} is not pinned"
            if len(parts) == 3:
                stages.add(parts[2])
        last.append((word.upper(), rest))
        if word.upper() == "ADD":
            yield "ADD fetches and unpacks: use COPY"
        if word.upper() in ("ENV", "ARG") and SECRET_NAME.search(rest):
            yield f"{word} {rest.split('=')[0]} would leave a secret in the image"
        if re.search(r"curl .*\| *(ba)?sh|chmod (-R )?777", rest):
            yield f"{word} {rest}"
    last_of = dict(last)
    if not re.match(r"^[1-9]\d*:[1-9]\d*$", last_of.get("USER", "")):
        yield "the last stage has no numeric USER other than root"
    if "HEALTHCHECK" not in last_of:
        yield "the last stage has no HEALTHCHECK"
    for word in ("ENTRYPOINT", "CMD"):
        if not last_of.get(word, "").startswith("["):
            yield f"{word} is not in the exec form: a shell would keep signals from the service"


SERVICE_RULES = [
    image_pinned,
    hardened,
    not_root,
    health_known,
    dependencies_conditional,
    no_literal_secret,
    ports_on_loopback,
    mounts_declared,
]
FILE_RULES = [no_password_anywhere, secrets_from_ignored_files, names_declared]
DOCKERFILE_RULES = [dockerfile]


def main(compose_path, dockerfile_path):
    compose = YAML(typ="safe", pure=True).load(Path(compose_path))
    found = []
    for name, service in compose["services"].items():
        for rule in SERVICE_RULES:
            found += [f"{compose_path}: {name} {what}" for what in rule(name, service, compose)]
    for rule in FILE_RULES:
        found += [f"{compose_path}: {what}" for what in rule(compose)]
    for rule in DOCKERFILE_RULES:
        found += [f"{dockerfile_path}: {what}" for what in rule(dockerfile_path)]
    for line in found:
        print(line)
    if found:
        return 1
    print(f"{compose_path}: {len(compose['services'])} services keep the rules; {dockerfile_path} too")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
