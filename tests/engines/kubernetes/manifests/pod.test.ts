import { describe, expect, test } from "vitest";

import type { BatchStage } from "../../../../src/core/project.ts";
import type { BatchTask } from "../../../../src/core/run-state.ts";
import { at, fieldsOf, listAt } from "../../../../src/engines/kubernetes/client/objects.ts";
import { pullPolicy, stagePodSpec } from "../../../../src/engines/kubernetes/manifests/pod.ts";
import type { PodContext } from "../../../../src/engines/kubernetes/manifests/pod-context.ts";
import { batchTask, podContext, podSettings, settings } from "./support/tasks.ts";

const bare = { pod: {}, container: {}, variables: {} };
const podOf = (
  stage: Partial<BatchStage> = {},
  task: Partial<BatchTask> = {},
  context: Partial<PodContext> = {},
): unknown => stagePodSpec(batchTask(stage, task), podContext(context), bare);
const containerOf = (pod: unknown): unknown => at(pod, "containers", 0);
const variablesOf = (pod: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    listAt(containerOf(pod), "env").map((variable) => {
      const { name, value, valueFrom } = fieldsOf(variable);
      return [name, value ?? valueFrom];
    }),
  );
const volumesOf = (pod: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    listAt(pod, "volumes").map((volume) => {
      const { name, ...source } = fieldsOf(volume);
      return [name, source];
    }),
  );
const specificationOf = (pod: unknown): unknown =>
  JSON.parse(String(variablesOf(pod).BODYWORK_STAGE_SPECIFICATION).replaceAll("$$", "$"));

describe("the image of a stage", () => {
  test("is pulled anew each time, as in the original, unless its name is a digest or the settings say otherwise", () => {
    const digest = `me/image@sha256:${"0".repeat(64)}`;
    expect(pullPolicy("me/image:1", settings())).toBe("Always");
    expect(pullPolicy(digest, settings())).toBe("IfNotPresent");
    expect(pullPolicy("me/image:1", settings({ image_pull_policy: "Never" }))).toBe("Never");
    expect(pullPolicy(digest, settings({ image_pull_policy: "Always" }))).toBe("Always");
  });

  test("must be known", () => {
    expect(() => podOf({}, { image: undefined })).toThrow('Stage "stage_1" was to start in a pod');
  });
});

describe("the variables of a stage", () => {
  test("are those that it has on this machine", () => {
    const pod = podOf(
      { outputs: { "raw-model": "model.joblib" } },
      {
        inputs: [
          { name: "data", path: "../data", artifact: { digest: "sha256:00", kind: "folder", bytes: 1 } },
        ],
      },
    );
    expect(variablesOf(pod)).toMatchObject({
      GIT_COMMIT_HASH: "1234567",
      PYTHONUNBUFFERED: "1",
      BODYWORK_RUN_ID: "20261123-190512000-k3f9",
      BODYWORK_DEPLOYMENT: "my-project",
      BODYWORK_NAMESPACE: "space",
      BODYWORK_STAGE: "stage_1",
      BODYWORK_OUTPUT_RAW_MODEL: "/bodywork/work/bodywork_project/stages/model.joblib",
      BODYWORK_INPUT_DATA: "/bodywork/work/bodywork_project/data",
    });
  });

  test("have a secret's value from its copy in the pipeline's namespace", () => {
    const secrets = { DB_KEY: { group: "dev", name: "db-login", version: 3, key: "KEY" } };
    expect(variablesOf(podOf({}, { secrets })).DB_KEY).toEqual({
      secretKeyRef: { name: "db-login", key: "KEY" },
    });
  });

  test("that hold secrets are named for the masking, and none that another value has taken", () => {
    const secret = { group: "dev", name: "login", version: 1 };
    const secrets = { TOKEN: { ...secret, key: "TOKEN" }, GIT_COMMIT_HASH: { ...secret, key: "HASH" } };
    const pod = podOf(
      {},
      { secrets },
      { settings: settings({ variables: { TOKEN: "of-all", PLAIN: "1" } }) },
    );
    expect(specificationOf(pod)).toMatchObject({ secretVariables: ["TOKEN"] });
    expect(variablesOf(pod).GIT_COMMIT_HASH).toBe("1234567");
  });

  test("of the settings are for every stage; the stage's own secrets and the run's variables win", () => {
    const pod = podOf(
      {},
      { secrets: { TOKEN: { group: "dev", name: "login", version: 1, key: "TOKEN" } } },
      {
        settings: settings({
          variables: { HTTPS_PROXY: "http://proxy:3128", TOKEN: "of-all", GIT_COMMIT_HASH: "of-all" },
        }),
      },
    );
    expect(variablesOf(pod)).toMatchObject({
      HTTPS_PROXY: "http://proxy:3128",
      TOKEN: { secretKeyRef: { name: "login", key: "TOKEN" } },
      GIT_COMMIT_HASH: "1234567",
    });
    const names = listAt(containerOf(pod), "env").map((variable) => at(variable, "name"));
    expect(names).toHaveLength(new Set(names).size);
  });

  test("and arguments mean what they say: Kubernetes puts nothing in place of $(NAME)", () => {
    const pod = podOf(
      { name: "a$(HOME)$$b", args: ["$(PASSWORD)"] },
      {},
      { settings: settings({ variables: { PRICE: "5$(TOKEN)" } }) },
    );
    expect(at(containerOf(pod), "args", 1)).toBe("a$$(HOME)$$$$b");
    expect(variablesOf(pod).PRICE).toBe("5$$(TOKEN)");
    expect(variablesOf(pod).BODYWORK_STAGE_SPECIFICATION).toContain('"$$(PASSWORD)"');
  });

  test("tell the program in the pod all that it needs", () => {
    const pod = podOf({ args: ["--fast"], requirementsFile: "requirements.txt" });
    expect(specificationOf(pod)).toEqual({
      stage: "stage_1",
      kind: "batch",
      url: "https://forge.test/me/my-project",
      branch: "main",
      commit: "1234567890abcdef1234567890abcdef12345678",
      module: "stages/train.py",
      args: ["--fast"],
      requirements: ["scikit-learn==1.5.2"],
      requirementsFile: "requirements.txt",
      timeoutSeconds: 30,
      outputs: {},
      inputs: [],
      cacheIsShared: false,
      secretVariables: [],
    });
  });

  test("tell the program which Python the project asks for", () => {
    const environment = { key: "e", folder: "/f", python: "python3.11" };
    expect(specificationOf(podOf({}, { environment }))).toMatchObject({ python: "3.11" });
  });
});

describe("what a stage gets of a node", () => {
  test.each([
    [{ cpuRequest: 0, memoryRequestMb: 0 }, undefined],
    [{ cpuRequest: 0, memoryRequestMb: 250 }, { requests: { memory: "250M" } }],
    [
      { cpuRequest: 1, memoryRequestMb: 250, cpuLimit: 2, memoryLimitMb: 500 },
      { requests: { cpu: "1", memory: "250M" }, limits: { cpu: "2", memory: "500Mi" } },
    ],
    [{ cpuRequest: 0, memoryRequestMb: 0, gpuRequest: 1 }, { limits: { "nvidia.com/gpu": "1" } }],
  ])("%j is %j", (stage, resources) => {
    expect(at(containerOf(podOf(stage)), "resources")).toEqual(resources);
  });
});

describe("the rights of a stage's pod", () => {
  test("let an image run as root, as in the original, and gain nothing more", () => {
    expect(podOf()).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { seccompProfile: { type: "RuntimeDefault" } },
      containers: [{ securityContext: { allowPrivilegeEscalation: false } }],
    });
    expect(at(podOf(), "securityContext")).not.toHaveProperty("runAsNonRoot");
  });

  test("are those of the standard `restricted` when the project asks for that", () => {
    expect(podOf({ pod: podSettings({ security: "restricted" }) })).toMatchObject({
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [{ securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ["ALL"] } } }],
    });
  });

  test("include the token of its account when the project asks for that", () => {
    const pod = podSettings({ serviceAccountToken: true });
    expect(podOf({ pod })).toMatchObject({ automountServiceAccountToken: true });
  });
});

describe("what the project says of pods", () => {
  test("goes into the pod", () => {
    const pod = podSettings({
      nodeSelector: { pool: "gpu" },
      tolerations: [{ key: "gpu", operator: "Exists" }],
      imagePullSecrets: ["registry"],
      extra: {
        priorityClassName: "high",
        containers: [{ name: "bodywork", env: [{ name: "LEVEL", value: "3" }] }],
      },
    });
    expect(podOf({ pod })).toMatchObject({
      nodeSelector: { pool: "gpu" },
      tolerations: [{ key: "gpu", operator: "Exists" }],
      imagePullSecrets: [{ name: "registry" }],
      priorityClassName: "high",
      containers: [{ name: "bodywork", command: ["/bin/sh", "/bodywork/program/start.sh"] }],
    });
    expect(variablesOf(podOf({ pod }))).toMatchObject({ LEVEL: "3", BODYWORK_STAGE: "stage_1" });
  });

  test("is left out where it says nothing", () => {
    for (const field of ["nodeSelector", "tolerations", "imagePullSecrets"]) {
      expect(podOf()).not.toHaveProperty(field);
    }
  });
});

describe("the volumes of a stage's pod", () => {
  test("hold the parts of the commit, in order, and the program", () => {
    expect(volumesOf(podOf())).toEqual({
      sources: {
        projected: {
          sources: [
            { secret: { name: "sources-0", items: [{ key: "part", path: "part-000" }] } },
            { secret: { name: "sources-1", items: [{ key: "part", path: "part-001" }] } },
          ],
        },
      },
      program: { configMap: { name: "bodywork-program-1", defaultMode: 0o555 } },
      work: { emptyDir: {} },
      cache: { emptyDir: {} },
    });
    expect(at(containerOf(podOf()), "volumeMounts")).toEqual([
      { name: "sources", mountPath: "/bodywork/sources", readOnly: true },
      { name: "program", mountPath: "/bodywork/program", readOnly: true },
      { name: "work", mountPath: "/bodywork/work" },
      { name: "cache", mountPath: "/bodywork/cache" },
    ]);
  });

  test.each([
    [{ claim: "envs" }, { persistentVolumeClaim: { claimName: "envs" } }],
    [
      { node: "/var/cache/bodywork" },
      { hostPath: { path: "/var/cache/bodywork", type: "DirectoryOrCreate" } },
    ],
  ])("keep environments for the next pod by the setting %j", (cache, volume) => {
    const pod = podOf({}, {}, { settings: settings({ environment_cache: cache }) });
    expect(volumesOf(pod).cache).toEqual(volume);
    expect(specificationOf(pod)).toMatchObject({ cacheIsShared: true });
  });
});

describe("the storage of outputs", () => {
  const claim = settings({ storage: { claim: "artifacts" } });
  const s3 = settings({
    storage: { s3: { bucket: "b", region: "eu-1", prefix: "bodywork", secret: "ops/s3-keys" } },
  });
  const outputs = { model: "model.joblib" };

  test("is a claim of the pod of a stage that makes something", () => {
    const pod = podOf({ outputs }, {}, { settings: claim });
    expect(volumesOf(pod).storage).toEqual({ persistentVolumeClaim: { claimName: "artifacts" } });
    expect(specificationOf(pod)).toMatchObject({ storage: { kind: "claim" } });
  });

  test("is nothing to a stage that keeps nothing there", () => {
    const pod = podOf({}, {}, { settings: claim });
    expect(volumesOf(pod)).not.toHaveProperty("storage");
    expect(specificationOf(pod)).not.toHaveProperty("storage");
    expect(variablesOf(podOf({}, {}, { settings: s3 }))).not.toHaveProperty("BODYWORK_STORAGE_ACCESS_KEY_ID");
  });

  test("also holds a commit that is too large for Secrets", () => {
    const pod = podOf({}, {}, { settings: claim, sources: { kind: "stored", key: "commits/1.tar.gz" } });
    expect(volumesOf(pod)).not.toHaveProperty("sources");
    expect(volumesOf(pod)).toHaveProperty("storage");
    expect(specificationOf(pod)).toMatchObject({ storedSources: "commits/1.tar.gz" });
  });

  test("may be a bucket, whose keys are in a secret", () => {
    const pod = podOf({ outputs }, {}, { settings: s3 });
    expect(specificationOf(pod)).toMatchObject({
      storage: { kind: "s3", bucket: "b", endpoint: "https://s3.eu-1.amazonaws.com", region: "eu-1" },
    });
    expect(variablesOf(pod)).toMatchObject({
      BODYWORK_STORAGE_ACCESS_KEY_ID: { secretKeyRef: { name: "ops-s3-keys", key: "AWS_ACCESS_KEY_ID" } },
      BODYWORK_STORAGE_SECRET_ACCESS_KEY: {
        secretKeyRef: { name: "ops-s3-keys", key: "AWS_SECRET_ACCESS_KEY" },
      },
    });
    expect(variablesOf(pod)).not.toHaveProperty("AWS_ACCESS_KEY_ID");
    expect(specificationOf(pod)).toMatchObject({
      secretVariables: ["BODYWORK_STORAGE_ACCESS_KEY_ID", "BODYWORK_STORAGE_SECRET_ACCESS_KEY"],
    });
  });

  test("in a bucket leaves a stage the keys of its own for another one", () => {
    const secrets = {
      AWS_ACCESS_KEY_ID: { group: "dev", name: "own", version: 1, key: "AWS_ACCESS_KEY_ID" },
    };
    const pod = podOf({ outputs }, { secrets }, { settings: s3 });
    expect(variablesOf(pod)).toMatchObject({
      AWS_ACCESS_KEY_ID: { secretKeyRef: { name: "own", key: "AWS_ACCESS_KEY_ID" } },
      BODYWORK_STORAGE_ACCESS_KEY_ID: { secretKeyRef: { name: "ops-s3-keys", key: "AWS_ACCESS_KEY_ID" } },
    });
  });
});
