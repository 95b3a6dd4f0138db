import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";

import type { KubernetesObject } from "../../src/engines/kubernetes/client/cluster.ts";
import { sourceSecrets } from "../../src/engines/kubernetes/manifests/sources.ts";
import {
  type PodReport,
  type PodSpecification,
  podPaths,
  specificationVariable,
} from "../../src/engines/kubernetes/pod/pod-contract.ts";
import { programName, programObject } from "../../src/engines/kubernetes/pod/program.ts";
import { archiveOf, aSpecification } from "../engines/kubernetes/pod/support.ts";
import { cluster, type TestCluster } from "../support/cluster.ts";
import type { Files } from "../support/git-project.ts";

/** Stages that run one after the other in containers of one pod, with the same commit, cache and storage. */
interface StagePod {
  readonly stages: readonly Partial<PodSpecification>[];
  readonly memory?: string;
  /** Variables that all of them have from a Secret. */
  readonly secrets?: Readonly<Record<string, string>>;
}

interface ContainerState {
  readonly terminated?: { readonly exitCode: number; readonly reason: string; readonly message?: string };
}

describe.skipIf(cluster === undefined)("the program in a pod", () => {
  // Looked at by tests only, which are skipped without one.
  const { kubectl, kubectlWithInput, json, namespace: newNamespace } = cluster ?? ({} as TestCluster);

  /** Makes the pod of a stage whose commit has these files. */
  async function start(namespace: string, name: string, files: Files, pod: StagePod): Promise<void> {
    const parts =
      sourceSecrets({ namespace, commit: "12".repeat(20), archive: await archiveOf(files) }) ?? [];
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name, namespace },
      stringData: pod.secrets ?? {},
    };
    const items = [programObject(namespace), secret, ...parts, stagePod(namespace, name, parts, pod)];
    const list = { apiVersion: "v1", kind: "List", items };
    await kubectlWithInput(JSON.stringify(list), "apply", "--server-side", "--filename", "-");
  }

  /** What came of the last stage, and the logs of all. */
  async function ended(namespace: string, name: string) {
    const done = "jsonpath={.status.containerStatuses[0].state.terminated.exitCode}";
    await kubectl("wait", "pod", name, "--namespace", namespace, `--for=${done}`, "--timeout=120s");
    const pod = await json<{ status: { containerStatuses: { state: ContainerState }[] } }>(
      ...["pod", name, "--namespace", namespace],
    );
    const state = pod.status.containerStatuses[0]?.state.terminated;
    const log = await kubectl("logs", name, "--namespace", namespace, "--all-containers");
    const report = JSON.parse(state?.message || "{}") as Partial<PodReport>;
    return { exitCode: state?.exitCode, reason: state?.reason, report, log };
  }

  test("installs what a stage asks for beside what the image has, and the next one finds it there", async () => {
    const namespace = await newNamespace("pod-room");
    const files = { "main.py": "import six, os; print('six', six.__version__, os.getpid() > 1)\n" };
    const stage = { requirements: ["six==1.17.0"] };
    await start(namespace, "both", files, { stages: [stage, stage] });
    const { log, report } = await ended(namespace, "both");
    expect(log.match(/^six 1\.17\.0 True$/gm), log).toHaveLength(2);
    expect(report).toMatchObject({ status: "succeeded", environmentSeconds: 0 });
  }, 240_000);

  test("hands outputs on, and nothing that the stage has left behind changes them", async () => {
    const namespace = await newNamespace("pod-room");
    const files = {
      "train.py": `
import os, subprocess, sys
open("model", "w").write("model")
os.makedirs("grown")
open("grown/log", "w").write("0123456789" * 1_000_000)
code = "import time\\nwhile True: open('grown/log', 'a').write('x'); time.sleep(0.001)"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
`,
      "serve.py": "import os; print('got', open(os.environ['BODYWORK_INPUT_MODEL']).read())",
    };
    const storage = { kind: "claim" } as const;
    const digest = `sha256:${createHash("sha256").update("model").digest("hex")}`;
    const model = { name: "model", path: "in/model", digest, kind: "file", bytes: 5 } as const;
    const train = { module: "train.py", storage, outputs: { model: "model", grown: "grown" } };
    await start(namespace, "both", files, {
      stages: [train, { module: "serve.py", storage, inputs: [model] }],
    });
    const { log, exitCode } = await ended(namespace, "both");
    expect(log).toContain("got model\n");
    expect(exitCode).toBe(0);
  }, 240_000);

  test("tells of a failure, of too little time and of too little memory in the last message", async () => {
    const namespace = await newNamespace("pod-room");
    await start(namespace, "three", { "main.py": "raise SystemExit(3)" }, { stages: [{}] });
    await start(
      namespace,
      "slow",
      { "main.py": "import time; time.sleep(300)" },
      {
        stages: [{ timeoutSeconds: 1 }],
      },
    );
    await start(
      namespace,
      "large",
      { "main.py": "x = bytearray(400_000_000); x[::4096] = x[::4096]" },
      {
        stages: [{}],
        memory: "100Mi",
      },
    );
    expect(await ended(namespace, "three")).toMatchObject({
      exitCode: 1,
      report: { status: "failed", reason: "exit 3", phase: "module" },
    });
    expect((await ended(namespace, "slow")).report.reason).toBe("timed out after 1 s");
    // Where the kernel ends the whole container, Kubernetes says it.
    const { reason, report } = await ended(namespace, "large");
    expect([reason, report.reason]).toEqual(
      expect.arrayContaining([expect.stringMatching(/^(OOMKilled|out of memory \(limit 100 MiB\))$/)]),
    );
  }, 240_000);

  test("shows no secret in the log or the last message, however the stage and what it leaves behind print it", async () => {
    const namespace = await newNamespace("pod-room");
    const secrets = {
      TOKEN: "hunter2-hunter3/+&?x",
      KEY: "-----BEGIN KEY-----\nMIIEvQIBADANBgkqh\nkiG9w0BAQEFAASCB\n-----END KEY-----\n",
    };
    const files = {
      "main.py": `
import base64, os, subprocess, sys, time
token, key = os.environ["TOKEN"], os.environ["KEY"]
print("plain", token, base64.b64encode(token.encode()).decode())
print("error", token, file=sys.stderr)
for at in range(1, len(key)):
    os.write(1, key[:at].encode())
    os.write(2, key[at:].encode())
code = "import os\\nwhile True: os.write(1, os.environb[b'TOKEN'] + b'\\\\n')"
subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
time.sleep(0.5)
print("the end")
`,
    };
    const failing = { requirements: ["./hunter2-hunter3/+&?x"] };
    const secretVariables = ["TOKEN", "KEY"];
    await start(namespace, "masked", files, { secrets, stages: [{ secretVariables }] });
    await start(namespace, "control", files, { secrets, stages: [{}] });
    await start(namespace, "told", files, { secrets, stages: [{ ...failing, secretVariables }] });
    await start(namespace, "told-control", files, { secrets, stages: [failing] });

    const masked = await ended(namespace, "masked");
    const values = /hunter|aHVudGVy|MIIE|kiG9/;
    expect(masked.log).not.toMatch(values);
    expect(masked.log).toMatch(/\nplain \*\*\* \*\*\*=*\nerror \*\*\*\n/);
    expect(masked.log).toMatch(/Successfully ran stage = .*\n$/);
    expect(masked).toMatchObject({ exitCode: 0, report: { status: "succeeded" } });
    const control = await ended(namespace, "control");
    for (const value of values.source.split("|")) expect(control.log).toContain(value);
    expect((await ended(namespace, "told")).report.reason).toMatch(/^(?!.*hunter).*\*\*\*/);
    expect((await ended(namespace, "told-control")).report.reason).toContain("hunter2");
  }, 240_000);

  test("lets a service that is told to end do so in good order, well before its time is up", async () => {
    const namespace = await newNamespace("pod-room");
    const serve = `
import signal, sys, time
def end(*_):
    time.sleep(1)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("serving", flush=True)
time.sleep(600)
`;
    await start(namespace, "serve", { "main.py": serve }, { stages: [{ kind: "service" }] });
    await kubectl("wait", "pod", "serve", "--namespace", namespace, "--for=condition=Ready", "--timeout=60s");
    const log = kubectl("logs", "serve", "--namespace", namespace, "--follow");
    for (let said = ""; !said.includes("serving"); ) {
      said = await kubectl("logs", "serve", "--namespace", namespace);
    }
    const before = performance.now();
    await kubectl("delete", "pod", "serve", "--namespace", namespace, "--grace-period=60");
    expect(performance.now() - before).toBeLessThan(30_000);
    expect(await log).toContain("Successfully ran stage");
  }, 240_000);
});

function stagePod(
  namespace: string,
  name: string,
  parts: readonly KubernetesObject[],
  { stages, memory, secrets = {} }: StagePod,
): KubernetesObject {
  const volumes = {
    sources: {
      projected: {
        sources: parts.map(({ metadata }, index) => ({
          secret: {
            name: metadata.name,
            items: [{ key: "part", path: `part-${String(index).padStart(3, "0")}` }],
          },
        })),
      },
    },
    program: { configMap: { name: programName() } },
    work: { emptyDir: {} },
    cache: { emptyDir: {} },
    storage: { emptyDir: {} },
  };
  const containers = stages.map((specification, index) => ({
    name: `stage-${index}`,
    image: cluster?.image,
    imagePullPolicy: "IfNotPresent",
    command: ["/bin/sh", `${podPaths.program}/start.sh`],
    args: ["https://example.com/shop.git", "train", "--branch=main"],
    env: [
      ...Object.keys(secrets).map((key) => ({ name: key, valueFrom: { secretKeyRef: { name, key } } })),
      { name: specificationVariable, value: JSON.stringify(aSpecification(specification)) },
    ],
    resources: memory === undefined ? {} : { limits: { memory } },
    volumeMounts: Object.entries(podPaths).map(([volume, mountPath]) => ({
      name: volume,
      mountPath,
      readOnly: volume === "sources" || volume === "program",
    })),
  }));
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace },
    spec: {
      restartPolicy: "Never",
      initContainers: containers.slice(0, -1),
      containers: containers.slice(-1),
      volumes: Object.entries(volumes).map(([volume, from]) => ({ name: volume, ...from })),
    },
  };
}
