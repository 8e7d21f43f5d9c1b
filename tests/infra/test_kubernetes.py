"""Every manifest fits Kubernetes' own schema, and fits the pipeline."""

import gzip
import json
import os
import re
import shutil
import subprocess

import database_servers
import kubernetes_validate
import pytest
import yaml
from manifests import FOLDER, guide, ports_of
from ml_metadata import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.common import schema
from pipeline import cli

MONITORING = FOLDER.parent / "monitoring"
CUSTOM_KINDS = (
    *("Kustomization", "InferenceService", "Profile", "TFJob", "TrainJob", "TrainingRuntime"),
    *("PrometheusRule", "ServiceMonitor"),
)
DOCUMENTS = [
    pytest.param(document, id=f"{file.relative_to(FOLDER)}-{index}")
    for file in sorted(FOLDER.rglob("*.yaml"))
    for index, document in enumerate(yaml.safe_load_all(file.read_text()))
]
KUSTOMIZATIONS = [
    pytest.param(file.parent, id=str(file.parent.relative_to(FOLDER.parent)))
    for file in sorted([*FOLDER.rglob("kustomization.yaml"), *MONITORING.rglob("kust*.yaml")])
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_fits_the_schema(document):
    if document["kind"] not in CUSTOM_KINDS:
        kubernetes_validate.validate(document, "1.29", strict=True)


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_a_kustomization_lists_the_files_beside_it(folder):
    listed = set(yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"])
    beside = {other.name for other in folder.glob("*.yaml")} - {"kustomization.yaml"}
    assert listed - beside == ({"../../base"} if folder.parent.name == "overlays" else set())
    assert beside <= listed


def build(folder):
    if not shutil.which("kubectl"):
        pytest.skip("no kubectl here")
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.mark.parametrize("folder", KUSTOMIZATIONS)
def test_kustomize_builds_what_fits_the_schema(folder):
    documents = build(folder)
    assert len({(d["kind"], d["metadata"]["name"]) for d in documents}) == len(documents)
    for document in documents:
        if document["kind"] not in CUSTOM_KINDS:
            kubernetes_validate.validate(document, "1.29", strict=True)


@pytest.mark.parametrize(
    ("overlay", "namespace"), [("standalone", "kubeflow"), ("profile", "segline")]
)
def test_an_overlay_puts_everything_in_its_namespace(overlay, namespace):
    documents = build(FOLDER / "overlays" / overlay)
    assert {d["metadata"].get("namespace") for d in documents} <= {namespace, None}
    (claim,) = (d for d in documents if d["metadata"]["name"] == "segline-runs")
    assert claim["spec"]["storageClassName"]
    (binding,) = (d for d in documents if d["kind"] == "RoleBinding")
    assert binding["subjects"][0]["namespace"] == namespace


def pods(document):
    """The pod templates of a manifest, with their labels."""
    spec = document.get("spec", {})
    templates = [spec.get("template"), spec.get("jobTemplate", {}).get("spec", {}).get("template")]
    templates += [replica["template"] for replica in spec.get("tfReplicaSpecs", {}).values()]
    if document["kind"] == "TrainingRuntime":  # of a JobSet
        jobs = spec["template"]["spec"]["replicatedJobs"]
        templates = [job["template"]["spec"]["template"] for job in jobs]
    return [template for template in templates if template]


PODS = [
    pytest.param(pod, id=parameter.id)
    for parameter in DOCUMENTS
    for pod in pods(parameter.values[0])
]


# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
RESTRICTED_VOLUMES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral"),
    *("persistentVolumeClaim", "projected", "secret"),
}


@pytest.mark.parametrize("pod", PODS)
def test_pods_have_no_more_rights_than_they_need(pod):
    """Pod Security `restricted`, and a little more."""
    spec = pod["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
    for volume in spec.get("volumes", []):
        assert set(volume) - {"name"} <= RESTRICTED_VOLUMES
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        own = container["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and not own.get("privileged")
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert own.get("runAsUser", spec["securityContext"].get("runAsUser")) > 0
        assert not any("hostPort" in port for port in container.get("ports", []))
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        assert "memory" in container["resources"]["limits"]
        assert ":latest" not in container["image"]


@pytest.mark.parametrize("pod", PODS)
def test_no_pod_gets_a_sidecar(pod):
    """A profile's namespace has istio's; jobs would never end, and policies cut it off."""
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"


def selected(selector):
    """The pods of our manifests that a selector takes."""
    own = [pod.values[0] for pod in PODS]
    return [pod for pod in own if selector.items() <= pod["metadata"]["labels"].items()]


def of_kind(kind):
    return [found.values[0] for found in DOCUMENTS if found.values[0]["kind"] == kind]


def test_policies_select_pods_that_there_are():
    policies = of_kind("NetworkPolicy")
    assert len(policies) == 6
    for policy in policies:
        pods_ = selected(policy["spec"]["podSelector"]["matchLabels"])
        assert pods_, policy["metadata"]["name"]
        known = {name for pod in pods_ for name in ports_of(pod)}
        for rule in policy["spec"].get("ingress", []):
            assert {port["port"] for port in rule.get("ports", [])} <= known


def test_a_service_takes_pods_of_one_kind_and_their_ports():
    services = of_kind("Service")
    assert len(services) == 5
    for service in services:
        pods_ = selected(service["spec"]["selector"])
        assert len(pods_) == 1, service["metadata"]["name"]
        known = ports_of(pods_[0])
        for port in service["spec"]["ports"]:
            assert known[port["targetPort"]] == port["port"]


def test_kserves_pods_are_taken_for_nobody_elses():
    """They have their InferenceService's labels, and ports of other names."""
    (server,) = of_kind("InferenceService")
    labels = server["metadata"]["labels"].items()
    for document in of_kind("NetworkPolicy"):
        assert not document["spec"]["podSelector"]["matchLabels"].items() <= labels
    for document in of_kind("Service"):
        assert not document["spec"]["selector"].items() <= labels


def test_a_quota_refuses_no_container_of_argos():
    """Its init and wait containers ask for nothing, which a quota on requests refuses."""
    (profile,), (limits,) = of_kind("Profile"), of_kind("LimitRange")
    (rule,) = limits["spec"]["limits"]
    quota = profile["spec"]["resourceQuotaSpec"]["hard"]
    asked = {name.removeprefix("requests.") for name in quota if "nvidia" not in name}
    assert rule["type"] == "Container" and asked == set(rule["defaultRequest"])


def test_the_steps_folders_are_made_by_their_user(tmp_path):
    """The job's command, on a volume that it may write to; the steps' pods have no fsGroup."""
    (job,) = of_kind("Job")
    spec = job["spec"]["template"]["spec"]
    dockerfile = (FOLDER.parent / "docker" / "Dockerfile").read_text()
    user = spec["securityContext"]["runAsUser"]
    assert f"USER {user}" in dockerfile and spec["securityContext"]["fsGroup"] == user
    (container,) = spec["containers"]
    environment = {"PATH": os.environ["PATH"], "VOLUME": str(tmp_path)}
    subprocess.run([*container["command"], *container["args"]], env=environment, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["runs", "tfds"]
    config = guide("cluster.md")
    (volume,) = config.kubeflow.volumes
    for folder, used in (("runs", config.run.root), ("tfds", config.dataset.data_dir)):
        assert os.path.join(volume.mount_path, folder) == used


@pytest.mark.parametrize("pod", [pod for pod in PODS if pod.id.startswith("upkeep")])
def test_what_is_called_there_exists(pod):
    """The options of the commands; the port is the container's."""
    (container,) = pod["spec"]["containers"]
    words = [*container["command"], *container["args"]]
    assert words[0] == "segline"
    options = cli.make_parser().parse_args(words[1:])
    if "metrics" in words:
        assert options.serve == ports_of(pod)["metrics"]


def test_the_runtime_names_as_many_hosts_as_it_has_nodes():
    (runtime,), (job,) = of_kind("TrainingRuntime"), of_kind("TrainJob")
    (pod,) = pods(runtime)
    (container,) = pod["spec"]["containers"]
    hosts = next(e["value"] for e in container["env"] if e["name"] == "SEGLINE_WORKER_HOSTS")
    name = job["metadata"]["name"]
    number = runtime["spec"]["mlPolicy"]["numNodes"]
    port = ports_of(pod)["training"]
    assert hosts.split(",") == [f"{name}-node-0-{i}.{name}:{port}" for i in range(number)]
    assert job["spec"]["trainer"]["numNodes"] == number
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]


def test_alerts_and_dashboard_ask_for_numbers_that_there_are():
    source = (FOLDER.parents[1] / "pipeline/running/open_metrics.py").read_text()
    known = {f"segline_{name}" for name in re.findall(r'_gauge\("(\w+)"', source)}
    known |= set(re.findall(r'"(segline_\w+)"', source))
    assert '_gauge(f"blessed_{metric}"' in source
    known |= {f"segline_blessed_{name}" for name in (schema.MEAN_IOU, schema.CALIBRATION_ERROR)}
    rules = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["spec"]["groups"][0]["rules"]
    board = json.loads((MONITORING / "dashboard.json").read_text())
    asked = [rule["expr"] for rule in rules]
    asked += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for text in asked for name in re.findall(r"segline_\w+", text)}
    assert len(known) >= 8 and named <= known
    (monitor,) = yaml.safe_load_all((MONITORING / "service-monitor.yaml").read_text())
    chosen = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = (
        s for s in of_kind("Service") if chosen <= s["metadata"].get("labels", {}).items()
    )
    names = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= names


def test_the_only_secret_is_the_one_of_the_documentation():
    text = "".join(file.read_text() for file in FOLDER.rglob("*.yaml"))
    references = re.findall(r"secretKeyRef: \{name: ([\w-]+), key: ([\w-]+)\}", text)
    assert set(references) == {
        ("segline-metadata", "password"),
        ("segline-metadata", "root-password"),
    }
    text_ = (FOLDER.parents[1] / "docs/how-to/cluster.md").read_text()
    for name in ("secret generic segline-metadata", "password=", "root-password="):
        assert name in text_
    assert "kind: Secret" not in text


@pytest.mark.slow
def test_the_backup_can_be_restored(tmp_path):
    """The script of the CronJob, on a real server; then its dump, in an empty database."""
    if not database_servers.mariadb_path():
        pytest.skip("no MariaDB server here: infra/databases.sh installs it where it may")
    documents = yaml.safe_load_all((FOLDER / "base/metadata-backup.yaml").read_text())
    job = list(documents)[1]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = job["containers"]
    backups = tmp_path / "backups"
    backups.mkdir()
    for day in range(10, 30):
        (backups / f"segline-202601{day}T013000Z.sql.gz").write_bytes(b"")
    with database_servers.mariadb(tmp_path) as server:
        settings = server.create("segline")
        store = MetadataStore(server.connection("segline"))
        kept = store.put_artifact_type(mlmd.ArtifactType(name="Kept"))
        store.put_artifacts([mlmd.Artifact(type_id=kept, uri=f"/x/{i}") for i in range(50)])
        environment = {
            "PATH": os.environ["PATH"],
            "FOLDER": str(backups),
            "DB_HOST": "127.0.0.1",
            "DB_PORT": str(settings["port"]),
            "DATABASE": settings["database"],
            "MYSQL_PWD": database_servers.PASSWORD,
        }
        command = [*container["command"], *container["args"]]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        dumps = sorted(path.name for path in backups.iterdir())
        assert len(dumps) == 14 and dumps[0] == "segline-20260117T013000Z.sql.gz"

        server.create("restored")
        dump = gzip.decompress((backups / dumps[-1]).read_bytes())
        client = ["mariadb", "--host=127.0.0.1", f"--port={server.port}", "--user=segline"]
        subprocess.run([*client, "restored"], input=dump, env=environment, check=True)
        restored = MetadataStore(server.connection("restored"))
        assert len(restored.get_artifacts_by_type("Kept")) == 50

        broken = {**environment, "MYSQL_PWD": "wrong"}
        assert subprocess.run(command, env=broken, capture_output=True).returncode != 0
        assert sorted(p.name for p in backups.iterdir() if p.suffix == ".gz") == dumps
