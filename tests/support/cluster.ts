import { randomBytes } from "node:crypto";
import { onTestFinished } from "vitest";
import { runCommand } from "../../src/lib/run-command.ts";

/** A real cluster, for tests that are skipped without one: `npm run test:kubernetes` provides it, or a developer names theirs. */
export interface TestCluster {
  /** Path of a kubeconfig whose current context may do everything. */
  readonly kubeconfig: string;
  /** What makes the tool work on this cluster: environment variables. */
  readonly variables: Readonly<Record<string, string>>;
  /** Where pods reach servers of this machine, and where those have to listen: the node's own address. */
  readonly address: string;
  /** An image with Python 3.11, pip and venv that the nodes have or can pull. */
  readonly image: string;
  /** The tool's own image, of the code that is tested, for what runs in the cluster by itself; undefined when it is not there. */
  readonly controllerImage: string | undefined;
  /** Where requests from outside arrive, `http://127.0.0.1:8081`. */
  readonly ingress: string;
  /** Runs kubectl; what it printed. Throws with its stderr when it fails. */
  kubectl(...args: readonly string[]): Promise<string>;
  /** The same, with a text on standard input: manifests for `apply -f -`. */
  kubectlWithInput(input: string, ...args: readonly string[]): Promise<string>;
  /** One object, or the List of all, as `kubectl get ARGS --output json` has it. */
  json<T>(...args: readonly string[]): Promise<T>;
  /** A new namespace `PREFIX-xxxxxx` that goes when the test has finished; call it inside a test. */
  namespace(prefix: string): Promise<string>;
  /** For hooks: nobody deletes it but the caller. */
  makeNamespace(prefix: string): Promise<string>;
  /** With all that is in it; returns when it is gone. No error when it was not there. */
  deleteNamespace(name: string): Promise<void>;
  /**
   * Every object of the cluster but those that the system made for itself, and events: sorted lines
   * `KIND NAMESPACE/NAME`, `-` for no namespace. To compare before and after.
   */
  inventory(): Promise<readonly string[]>;
}

/** The cluster that the environment names; undefined without one, and then its tests are skipped. */
export const cluster: TestCluster | undefined = await clusterOf(process.env);

/** How to get one, for who sees skipped tests. */
export const howToRun = "npm run test:kubernetes";

async function clusterOf(env: NodeJS.ProcessEnv): Promise<TestCluster | undefined> {
  const kubeconfig = env.BODYWORK_TEST_KUBECONFIG;
  if (kubeconfig === undefined || kubeconfig === "") return undefined;
  const kubectlWithInput = (input: string, ...args: readonly string[]): Promise<string> =>
    runKubectl(kubeconfig, args, input);
  const kubectl = (...args: readonly string[]): Promise<string> => runKubectl(kubeconfig, args, "");
  const deleteNamespace = async (name: string): Promise<void> => {
    await kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=120s");
  };
  const makeNamespace = async (prefix: string): Promise<string> => {
    const name = `${prefix}-${randomBytes(3).toString("hex")}`;
    await kubectl("create", "namespace", name);
    return name;
  };
  return {
    kubeconfig,
    variables: { KUBECONFIG: kubeconfig, BODYWORK_ENGINE: "kubernetes" },
    address: env.BODYWORK_TEST_ADDRESS || (await nodeAddress(kubectl)),
    image: env.BODYWORK_TEST_IMAGE || "docker.io/local/python:3.11",
    controllerImage: env.BODYWORK_TEST_CONTROLLER_IMAGE || undefined,
    ingress: (env.BODYWORK_TEST_INGRESS_URL || "http://127.0.0.1:8081").replace(/\/+$/, ""),
    kubectl,
    kubectlWithInput,
    json: async <T>(...args: readonly string[]) =>
      JSON.parse(await kubectl("get", ...args, "--output", "json")) as T,
    makeNamespace,
    deleteNamespace,
    namespace: async (prefix) => {
      const name = await makeNamespace(prefix);
      // Its name is used once only: nobody has to wait until it is gone.
      onTestFinished(async () => {
        await kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false");
      });
      return name;
    },
    inventory: () => inventoryOf(kubectl),
  };
}

type Kubectl = (...args: readonly string[]) => Promise<string>;

async function runKubectl(kubeconfig: string, args: readonly string[], input: string): Promise<string> {
  const kubectl = process.env.BODYWORK_TEST_KUBECTL || "kubectl";
  const { exitCode, stdout, stderr, startError } = await runCommand(kubectl, args, {
    env: { PATH: process.env.PATH ?? "", HOME: process.env.HOME ?? "/", KUBECONFIG: kubeconfig },
    input,
    timeout: 180_000,
  });
  if (exitCode === 0) return stdout;
  throw new Error(`kubectl ${args.join(" ")} failed (exit ${exitCode}): ${startError ?? stderr}`);
}

/** Of the first node: a cluster for tests has one, and it is this machine. */
async function nodeAddress(kubectl: Kubectl): Promise<string> {
  const path = '{.items[0].status.addresses[?(@.type=="InternalIP")].address}';
  const address = (await kubectl("get", "nodes", "--output", `jsonpath=${path}`)).trim();
  if (address === "") throw new Error("the cluster of BODYWORK_TEST_KUBECONFIG has no node with an address");
  return address;
}

async function inventoryOf(kubectl: Kubectl): Promise<readonly string[]> {
  const types = (await kubectl("api-resources", "--verbs=list", "--output=name"))
    .split("\n")
    .filter((type) => type !== "" && !transient.has(type));
  const listed = await kubectl(
    ...["get", types.join(","), "--all-namespaces", "--ignore-not-found", "--no-headers"],
    ...["--output", "custom-columns=K:.kind,S:.metadata.namespace,N:.metadata.name"],
  );
  return listed
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words): words is [string, string, string] => words.length === 3)
    .filter(([kind, namespace, name]) => !isSystems(kind, namespace, name))
    .map(([kind, namespace, name]) => `${kind} ${namespace === "<none>" ? "-" : namespace}/${name}`)
    .sort();
}

/** They come and go by themselves, or are no objects that anybody stores. */
const transient = new Set([
  ...["events", "events.events.k8s.io", "componentstatuses", "endpoints"],
  ...["nodes.metrics.k8s.io", "pods.metrics.k8s.io"],
]);

const systemNamespaces = new Set(["kube-system", "kube-public", "kube-node-lease"]);

/** Of the cluster itself, or put into every namespace by it. */
function isSystems(kind: string, namespace: string, name: string): boolean {
  if (systemNamespaces.has(namespace) || (kind === "Namespace" && systemNamespaces.has(name))) return true;
  if (kind === "ConfigMap" && name === "kube-root-ca.crt") return true;
  if (kind === "ServiceAccount" && name === "default") return true;
  if (kind.startsWith("ClusterRole") && name.startsWith("system:")) return true;
  return ["APIService", "FlowSchema", "PriorityLevelConfiguration", "Node", "CSINode"].includes(kind);
}
