/**
 * The programs of a one-node cluster, from Go modules: 6 to 14 minutes on two cores when Go has nothing in its cache,
 * half a minute when it has. What is there already is left alone.
 */

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Places, versions } from "./places.ts";
import { ClusterProblem, run, tryRun } from "./run.ts";

type Tell = (line: string) => void;

/** Builds those of `places.bin` that are missing, and copies the manifests of `places.crds`. */
export function buildBinaries(places: Pick<Places, "bin" | "crds">, tell: Tell): void {
  const missing = modules.filter(({ programs }) =>
    Object.keys(programs).some((name) => !existsSync(join(places.bin, name))),
  );
  if (missing.length === 0 && existsSync(places.crds)) return;
  requireGo();
  const folder = mkdtempSync(join(tmpdir(), "test-cluster-"));
  try {
    for (const module of missing) {
      tell(`building ${Object.keys(module.programs).join(", ")} (minutes, once)`);
      build(module, join(folder, module.name), places.bin);
    }
    if (!existsSync(places.crds)) copyManifests(join(folder, "crds"), places.crds);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface GoModule {
  readonly name: string;
  /** Name of a program → its package. */
  readonly programs: Readonly<Record<string, string>>;
  /** Lines of a go.mod: what it requires and replaces. */
  readonly requirements: () => readonly string[];
  readonly tidy: boolean;
  readonly flags?: readonly string[];
}

const kubernetes = `v${versions.kubernetes}`;
const traefikModule = `github.com/traefik/traefik/v3@v${versions.traefik}`;

const modules: readonly GoModule[] = [
  {
    name: "kubernetes",
    programs: Object.fromEntries(
      [
        ...["kube-apiserver", "kube-controller-manager", "kube-scheduler"],
        ...["kubelet", "kube-proxy", "kubectl"],
      ].map((name) => [name, `k8s.io/kubernetes/cmd/${name}`]),
    ),
    // Its own go.mod points its parts at folders that the module does not ship: their releases are the same.
    requirements: () => [
      `require k8s.io/kubernetes ${kubernetes}`,
      ...partsOf(goModOf(`k8s.io/kubernetes@${kubernetes}`)).map(
        (part) => `replace ${part} => ${part} v0.${versions.kubernetes.slice(2)}`,
      ),
    ],
    tidy: true,
    // What it would know of its version from Git; clients ask for it.
    flags: [
      `-X k8s.io/component-base/version.gitVersion=${kubernetes}`,
      `-X k8s.io/component-base/version.gitMajor=1`,
      `-X k8s.io/component-base/version.gitMinor=${versions.kubernetes.split(".")[1]}`,
      `-X k8s.io/client-go/pkg/version.gitVersion=${kubernetes}`,
    ],
  },
  {
    name: "etcd-and-coredns",
    programs: { etcd: "go.etcd.io/etcd/server/v3", coredns: "github.com/coredns/coredns" },
    requirements: () => [
      `require go.etcd.io/etcd/server/v3 v${versions.etcd}`,
      `require github.com/coredns/coredns v${versions.coredns}`,
    ],
    tidy: true,
  },
  {
    name: "traefik",
    programs: { traefik: "github.com/traefik/traefik/v3/cmd/traefik" },
    // What a module replaces holds for itself only, and this one does not build without.
    requirements: () => [
      `require ${traefikModule.replace("@", " ")}`,
      ...replacementsOf(goModOf(traefikModule)),
    ],
    tidy: false,
  },
];

function build(module: GoModule, folder: string, bin: string): void {
  mkdirSync(folder, { recursive: true });
  mkdirSync(bin, { recursive: true });
  const tools = Object.values(module.programs).map((path) => `tool ${path}`);
  writeFileSync(
    join(folder, "go.mod"),
    ["module testcluster", "", "go 1.25", "", ...module.requirements(), ...tools, ""].join("\n"),
  );
  if (module.tidy) go(folder, "mod", "tidy");
  for (const [name, path] of Object.entries(module.programs)) {
    if (existsSync(join(bin, name))) continue;
    const made = join(bin, `.${name}.${process.pid}`);
    go(
      folder,
      "build",
      "-mod=mod",
      "-ldflags",
      ["-s -w", ...(module.flags ?? [])].join(" "),
      "-o",
      made,
      path,
    );
    renameSync(made, join(bin, name));
  }
}

/** Of the Gateway API, and of Traefik's own kinds: what clusters with them have. */
function copyManifests(folder: string, target: string): void {
  mkdirSync(folder, { recursive: true });
  const gateway = download(`sigs.k8s.io/gateway-api@v${versions.gatewayApi}`).Dir;
  const traefik = download(traefikModule).Dir;
  cpSync(join(gateway, "config", "crd", "standard"), join(folder, "gateway"), { recursive: true });
  cpSync(
    join(traefik, "docs/content/reference/dynamic-configuration/kubernetes-crd-definition-v1.yml"),
    join(folder, "traefik.yaml"),
  );
  // The module cache is read-only, and its modes were copied.
  run("chmod", ["-R", "u+w", folder]);
  cpSync(folder, `${target}.${process.pid}`, { recursive: true });
  renameSync(`${target}.${process.pid}`, target);
}

function goModOf(module: string): string {
  return readFileSync(download(module).GoMod, "utf8");
}

/** The modules of a go.mod that it replaces by folders of its repository. */
export function partsOf(goMod: string): readonly string[] {
  return [...goMod.matchAll(/=> \.\/staging\/src\/(\S+)$/gm)].map(([, part]) => part as string);
}

/** The lines of a go.mod that replace one module by another. */
export function replacementsOf(goMod: string): readonly string[] {
  return [...goMod.matchAll(/^(?:replace )?\s*(\S+(?: v\S+)? => [^./\s]\S* v\S+)/gm)].map(
    ([, line]) => `replace ${line}`,
  );
}

function download(module: string): { readonly Dir: string; readonly GoMod: string } {
  return JSON.parse(run("go", ["mod", "download", "-json", module], { env: goEnvironment })) as never;
}

function go(cwd: string, ...args: readonly string[]): void {
  run("go", args, { cwd, env: goEnvironment });
}

const goEnvironment = { CGO_ENABLED: "0" };

function requireGo(): void {
  const { status, stdout } = tryRun("go", ["env", "GOVERSION"]);
  const [, minor = "0"] = /^go1\.(\d+)/.exec(stdout ?? "") ?? [];
  if (status === 0 && Number(minor) >= 25) return;
  throw new ClusterProblem(
    "Go 1.25 or newer is needed to build Kubernetes: install it from your system or go.dev, " +
      "or name a cluster that you have by BODYWORK_TEST_KUBECONFIG.",
  );
}
