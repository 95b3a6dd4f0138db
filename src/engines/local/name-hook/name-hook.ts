import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../../../lib/files.ts";
import { textIfThere } from "../../../lib/read-if-there.ts";

/**
 * Content of the file `_bodywork.pth` in the site-packages of every environment we build. It does nothing unless the
 * variable BODYWORK_STARTUP_HOOK names a Python file, which it then runs before the program. Environments live long
 * and are shared by versions of this tool: the text never changes, what it runs may. Python runs such a file twice in a
 * virtual environment, hence the look into sys.modules.
 */
export const startupPth = `${[
  'import os, sys; os.environ.get("BODYWORK_STARTUP_HOOK") and "bodywork_hook" not in sys.modules and exec("',
  "import _frozen_importlib_external as loading\\n",
  "file, kept, sys.dont_write_bytecode = os.environ['BODYWORK_STARTUP_HOOK'], sys.dont_write_bytecode, False\\n",
  "try: code = loading.SourceFileLoader('bodywork_hook', file).get_code('bodywork_hook')\\n",
  "finally: sys.dont_write_bytecode = kept\\n",
  "hook = sys.modules['bodywork_hook'] = type(sys)('bodywork_hook')\\n",
  "hook.__file__ = file\\n",
  "exec(code, hook.__dict__)",
  '")',
].join("")}\n`;

/** The Python half of this room; the bundle has both files beside it. The one that starts the hook comes last. */
const pythonFiles = ["bodywork_sockets.py", "bodywork_hook.py"] as const;

/**
 * Puts the hook's Python files into a folder of their own below `folder`, named by their digest, so that a newer tool
 * never changes the files of a running process. Cheap when they are there already.
 * @returns the value for BODYWORK_STARTUP_HOOK, an absolute path when `folder` is one
 */
export function installNameHook(folder: string): string {
  const contents = pythonFiles.map((name) => readFileSync(new URL(`./${name}`, import.meta.url), "utf8"));
  const digest = createHash("sha256").update(contents.join("\0")).digest("hex").slice(0, 16);
  const home = join(folder, digest);
  for (const [index, name] of pythonFiles.entries()) {
    const file = join(home, name);
    const content = contents[index] as string;
    if (textIfThere(file) !== content) writeFileAtomic(file, content, 0o644);
  }
  return join(home, "bodywork_hook.py");
}

/** A port that the program binds, and where it is in truth: the replica's own address. */
export interface PortBind {
  readonly port: number;
  readonly address: string;
  /** Differs from `port` only where the platform has no address but 127.0.0.1. */
  readonly addressPort: number;
}

/**
 * The variables that switch the hook on in a process and in its children. A batch stage has no `bind`.
 * @param options.hook what `installNameHook` returned
 * @param options.hostsFile path of the file that `writeHosts` writes
 */
export function nameHookVariables(options: {
  readonly hook: string;
  readonly bind: readonly PortBind[];
  readonly hostsFile: string;
}): Record<string, string> {
  return {
    BODYWORK_STARTUP_HOOK: options.hook,
    BODYWORK_HOSTS: options.hostsFile,
    ...(options.bind.length === 0
      ? {}
      : {
          BODYWORK_BIND: options.bind.map((one) => `${one.port}=${one.address}:${one.addressPort}`).join(","),
        }),
  };
}

/**
 * The value for NO_PROXY (and no_proxy): what the machine has, then loopback and the services, none of which a proxy
 * can reach. `*` stays alone.
 */
export function noProxyNames(existing: string | undefined, names: readonly string[]): string {
  const kept = (existing ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  if (kept.includes("*")) return "*";
  return [...new Set([...kept, "localhost", "127.0.0.1", ".svc.cluster.local", ...names])].join(",");
}
