"""The manifests for Kubernetes.

They are held against the schemas of Kubernetes in kubernetes-validate, which refuse unknown
fields. It does not know the TFJob, which an operator brings: that is held against
tfjob.schema.json, written by hand, and its pods as those of a Pod.
"""

import copy
import json
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import yaml

from lcseg.training.cluster import DEFAULT_PORT, find_cluster

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
TFJOB_SCHEMA = json.loads((Path(__file__).parent / "tfjob.schema.json").read_text())
# successPolicy is there for good from this one on, as job.yaml says.
OLDEST, NEWEST = "1.33", kubernetes_validate.latest_version()


def load(name):
    """The documents of a manifest, by kind."""
    documents = yaml.safe_load_all((FOLDER / name).read_text())
    return {document["kind"]: document for document in documents}


JOB, TFJOB = load("job.yaml"), load("tfjob.yaml")
JOB_POD = JOB["Job"]["spec"]["template"]["spec"]
TFJOB_POD = TFJOB["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]["template"]["spec"]

both = pytest.mark.parametrize(
    ("manifest", "pod"), [(JOB, JOB_POD), (TFJOB, TFJOB_POD)], ids=["job", "tfjob"]
)


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize(
    "document",
    [
        *JOB.values(),
        TFJOB["ConfigMap"],
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "worker"}, "spec": TFJOB_POD},
    ],
    ids=lambda document: f"{document['kind']}-{document['metadata']['name']}",
)
def test_manifests_are_what_kubernetes_expects(document, version):
    kubernetes_validate.validate(document, version, strict=True)


def test_a_slip_in_a_manifest_is_found():
    slip = copy.deepcopy(JOB["Job"])
    slip["spec"]["backofLimit"] = 6
    with pytest.raises(kubernetes_validate.ValidationError, match="backofLimit"):
        kubernetes_validate.validate(slip, NEWEST, strict=True)


def test_the_tfjob_is_what_the_operator_expects():
    jsonschema.validate(TFJOB["TFJob"], TFJOB_SCHEMA)
    slip = copy.deepcopy(TFJOB["TFJob"])
    slip["spec"]["runPolicy"]["cleanPodPolici"] = "None"
    with pytest.raises(jsonschema.ValidationError, match="cleanPodPolici"):
        jsonschema.validate(slip, TFJOB_SCHEMA)


def test_every_worker_of_the_job_finds_itself_among_all_of_them():
    spec = JOB["Job"]["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["parallelism"] == spec["completions"]
    given = {entry["name"]: entry["value"] for entry in JOB_POD["containers"][0]["env"]}
    for index in range(spec["completions"]):
        cluster = find_cluster(given | {"JOB_COMPLETION_INDEX": str(index)})
        # As Kubernetes names the pods of an indexed Job, in the domain of their service.
        name = f"{JOB['Job']['metadata']['name']}-{index}.{JOB['Service']['metadata']['name']}"
        assert cluster.address == f"{name}:{DEFAULT_PORT}"
        assert (cluster.source, cluster.index) == ("LCSEG_HOSTS", index)
        assert cluster.size == spec["completions"]


def test_the_service_names_the_pods_of_the_job_before_they_are_ready():
    service = JOB["Service"]["spec"]
    assert service["clusterIP"] == "None"
    assert service["publishNotReadyAddresses"] is True
    assert service["selector"] == {"batch.kubernetes.io/job-name": JOB["Job"]["metadata"]["name"]}
    assert JOB_POD["subdomain"] == JOB["Service"]["metadata"]["name"]


def test_every_port_is_the_one_that_workers_listen_at():
    assert [port["port"] for port in JOB["Service"]["spec"]["ports"]] == [DEFAULT_PORT]
    for pod in (JOB_POD, TFJOB_POD):
        assert [port["containerPort"] for port in pod["containers"][0]["ports"]] == [DEFAULT_PORT]


def test_the_operator_finds_its_container_and_its_port():
    (container,) = TFJOB_POD["containers"]
    assert container["name"] == "tensorflow"
    assert [port["name"] for port in container["ports"]] == ["tfjob-port"]


def test_a_gang_is_all_workers_of_the_tfjob():
    spec = TFJOB["TFJob"]["spec"]
    gang = spec["runPolicy"]["schedulingPolicy"]["minAvailable"]
    assert gang == spec["tfReplicaSpecs"]["Worker"]["replicas"]


@pytest.mark.parametrize(
    ("status", "action"),
    [
        (1, "Count"),
        (2, "FailJob"),
        (130, "Ignore"),
        (137, "Count"),
        (138, "Ignore"),
        (143, "Ignore"),
    ],
)
def test_the_job_counts_only_what_is_a_workers_own_fault(status, action):
    assert action_on(status) == action


def action_on(status):
    """What the Job does when a worker ends so; to count it is what Kubernetes does by itself."""
    for rule in JOB["Job"]["spec"]["podFailurePolicy"]["rules"]:
        codes = rule.get("onExitCodes", {"values": []})
        if status in codes["values"]:
            assert codes["operator"] == "In"
            assert codes["containerName"] == JOB_POD["containers"][0]["name"]
            return rule["action"]
    return "Count"


def test_the_failure_policy_is_one_that_kubernetes_takes():
    # What the API server asks for beyond the schema.
    assert JOB_POD["restartPolicy"] == "Never"
    for rule in JOB["Job"]["spec"]["podFailurePolicy"]["rules"]:
        values = rule.get("onExitCodes", {"values": []})["values"]
        assert values == sorted(set(values))


@both
def test_what_is_mounted_is_there(manifest, pod):
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == set(volumes)
    assert volumes["flags"]["configMap"]["name"] == manifest["ConfigMap"]["metadata"]["name"]


@both
def test_the_flags_are_those_of_train_and_name_what_is_mounted(manifest, pod, train_flags):
    (container,) = pod["containers"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    *command, flagfile = container["command"]
    assert command == ["lcseg", "train"]
    name = flagfile.removeprefix(f"--flagfile={mounts['flags']}/")
    lines = manifest["ConfigMap"]["data"][name].splitlines()
    flags = dict(line.removeprefix("--").split("=", 1) for line in lines)
    assert set(flags) <= train_flags
    assert flags["data"].startswith(f"{mounts['data']}/")
    assert flags["run"].startswith(f"{mounts['runs']}/")
    assert flags["cache_dir"] == mounts["scratch"]


def test_both_manifests_train_the_same():
    assert JOB["ConfigMap"]["data"] == TFJOB["ConfigMap"]["data"]
    assert JOB_POD["containers"][0]["command"] == TFJOB_POD["containers"][0]["command"]
