import { existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { createAddresses } from "../../../../src/engines/local/addresses.ts";
import { writeHosts } from "../../../../src/engines/local/name-hook/hosts-file.ts";
import { scanPythons } from "../../../../src/environments/scan-pythons.ts";
import { hookedEnvironment, machineVariables } from "./support/environment.ts";
import { answering, hookForTest, outputOf, startProgram, unusedPort } from "./support/programs.ts";

let python: string;
beforeAll(async () => {
  ({ python } = await hookedEnvironment([]));
}, 300_000);

const listModules = "import sys; print('\\n'.join(sorted(sys.modules)))";

describe("a program that never imports socket", () => {
  test("loads no other module because of the hook", async () => {
    const bind = [{ port: 5000, address: "127.71.0.3", addressPort: 5000 }];
    const variables = hookForTest().variables(bind);
    const without = (await outputOf([python, "-c", listModules])).split("\n");
    const hooked = (await outputOf([python, "-c", listModules], variables)).split("\n");
    expect(hooked.filter((name) => !without.includes(name))).toEqual(["bodywork_hook"]);
    expect(without.filter((name) => !hooked.includes(name))).toEqual([]);
  });

  test("would load the other half once it imports socket", async () => {
    const variables = hookForTest().variables();
    const modules = await outputOf([python, "-c", `import socket; ${listModules}`], variables);
    expect(modules.split("\n")).toContain("bodywork_sockets");
  });
});

describe("the start-up hook", () => {
  test("does nothing without its variables", async () => {
    const names = await outputOf([python, "-c", `import socket; ${listModules}`]);
    expect(names).not.toContain("bodywork");
  });

  test("runs once, although Python reads the start-up file twice in a virtual environment", async () => {
    const program =
      "import sys; print([getattr(f, '__name__', '') for f in sys.meta_path].count('bodywork_hook'))";
    expect(await outputOf([python, "-c", program], hookForTest().variables())).toBe("1\n");
  });

  test("leaves modules as they would be without it", async () => {
    const program =
      "import _socket; print(*(type(one) for one in (_socket.__loader__, _socket.__spec__.loader)), _socket.__spec__.origin)";
    expect(await outputOf([python, "-c", program], hookForTest().variables())).toBe(
      await outputOf([python, "-c", program]),
    );
  });

  test("keeps its bytecode beside it, also when the program asks for none", async () => {
    const variables: Record<string, string> = {
      ...hookForTest().variables(),
      PYTHONDONTWRITEBYTECODE: "1",
    };
    const program = "import sys, socket; print(sys.dont_write_bytecode)";
    expect(await outputOf([python, "-c", program], variables)).toBe("True\n");
    const folder = dirname(variables.BODYWORK_STARTUP_HOOK as string);
    const compiled = readdirSync(join(folder, "__pycache__")).map((name) => name.split(".")[0]);
    expect(compiled.sort()).toEqual(["bodywork_hook", "bodywork_sockets"]);
  });

  test("lets the program run when its files are gone, and says so", async () => {
    const variables = hookForTest().variables();
    rmSync(dirname(variables.BODYWORK_STARTUP_HOOK as string), { recursive: true });
    const program = startProgram([python, "-c", "print('ran')"], variables);
    expect(await program.ended).toBe(0);
    expect(program.output()).toContain("ran\n");
    expect(program.output()).toContain("_bodywork.pth");
  });

  test("works for a program whose socket module was imported before it", async () => {
    const hook = hookForTest();
    writeHosts(hook.hostsFile, [{ address: "127.71.0.3", names: ["stage-4"] }]);
    const file = hook.variables().BODYWORK_STARTUP_HOOK as string;
    const program = [
      "import importlib.util, socket, sys",
      `spec = importlib.util.spec_from_file_location("bodywork_hook", ${JSON.stringify(file)})`,
      "module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)",
      "spec.loader.exec_module(module)",
      "print(socket.gethostbyname('stage-4'), socket.getaddrinfo('stage-4', 80)[0][4][0])",
    ].join("\n");
    const { BODYWORK_HOSTS } = hook.variables();
    expect(await outputOf([python, "-c", program], { BODYWORK_HOSTS: BODYWORK_HOSTS as string })).toBe(
      "127.71.0.3 127.71.0.3\n",
    );
  });
});

const versions = [...new Set(scanPythons(machineVariables(), "/nonexistent").map(({ minor }) => minor))]
  .filter((minor): minor is string => minor !== undefined && Number(minor.split(".")[1]) >= 8)
  .sort((one, other) => Number(one.split(".")[1]) - Number(other.split(".")[1]));

describe("each Python of this machine", () => {
  test.each(versions)("binds, finds names and makes children with the hook: %s", async (version) => {
    const environment = await hookedEnvironment([], version);
    expect(environment.pythonVersion).toMatch(new RegExp(`^${version.replace(".", "\\.")}\\.`));
    const port = await unusedPort();
    const addresses = await createAddresses();
    const [own, other] = [await addresses.choose(port, new Set()), await addresses.choose(port, new Set())];
    await answering("found", other);
    const hook = hookForTest();
    writeHosts(hook.hostsFile, [{ address: other.host, names: ["stage-4", "stage-4.ns.svc.cluster.local"] }]);
    const bind = [{ port, address: own.host, addressPort: port }];
    expect(
      JSON.parse(
        await outputOf([environment.python, "standard_library.py", String(port)], hook.variables(bind)),
      ),
    ).toEqual({
      bound: [own.host, own.host, own.host],
      short: "found",
      long: "found",
      asyncio: "found",
      child: "found",
      itself: [own.host, port],
      missing: "does not resolve",
    });
    expect(existsSync(hook.variables().BODYWORK_STARTUP_HOOK as string)).toBe(true);
  });
});
