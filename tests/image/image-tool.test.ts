import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { createImageTool } from "../../src/image/image-tool.ts";
import type { ImageOrder } from "../../src/ports/image-tool.ts";
import { temporaryFolder } from "../support/temporary.ts";

const tag = "registry.example.com/team/bodywork:1";
const isBuilt = existsSync(join(import.meta.dirname, "..", "..", "dist", "main.js"));

interface Programs {
  readonly order: ImageOrder;
  readonly tool: ReturnType<typeof createImageTool>;
  /** What was called, one line each: `docker push IMAGE`. */
  calls(): readonly string[];
  /** What the last build was given as its context. */
  context(): readonly string[];
  output(): string;
}

/** Programs on a PATH of their own: each notes its words, lists its last one's files, and does as it is told. */
function programs(behaviours: Readonly<Record<string, string>>): Programs {
  const folder = temporaryFolder("programs");
  for (const [name, behaviour] of Object.entries(behaviours)) {
    const script = `#!/bin/sh
echo "${name} $*" >>${folder}/calls
for last; do :; done
[ "$1" = build ] && ls -A "$last" >${folder}/context
${behaviour}
`;
    writeFileSync(join(folder, name), script);
    chmodSync(join(folder, name), 0o755);
  }
  const read = (file: string): readonly string[] =>
    existsSync(join(folder, file)) ? readFileSync(join(folder, file), "utf8").trim().split("\n") : [];
  let output = "";
  return {
    tool: createImageTool({ variables: { PATH: `${folder}:/bin:/usr/bin` }, image: "usual/bodywork:4" }),
    order: {
      ...{ tag, platform: undefined, signal: new AbortController().signal },
      onOutput: (text) => {
        output += text;
      },
    },
    calls: () => read("calls"),
    context: () => read("context"),
    output: () => output,
  };
}

const works = "exit 0";
/** As docker's client does without its daemon. */
const noDaemon = `echo "Cannot connect to the Docker daemon" >&2; exit 1`;

describe.skipIf(!isBuilt)("image build (needs dist/: npm run build)", () => {
  test("has docker build it from the package and nothing else", async () => {
    const { tool, order, calls, context, output } = programs({ docker: 'echo "step 1"' });
    expect(await tool.build(order)).toEqual({ image: tag, program: "docker" });
    const [check, build = ""] = calls();
    expect(check).toMatch(/^docker version /);
    const folder = build.split(" ").at(-1) ?? "";
    expect(build).toBe(`docker build --tag ${tag} --file ${folder}/Dockerfile ${folder}`);
    expect(context()).toEqual(["Dockerfile", "bin", "bodywork.sh", "dist", "package.json"]);
    expect(existsSync(folder)).toBe(false);
    expect(output()).toBe("step 1\n");
  });

  test("hands on the platform, and takes the name of the settings when none is given", async () => {
    const { tool, order, calls } = programs({ docker: works });
    await tool.build({ ...order, tag: undefined, platform: "linux/arm64" });
    expect(calls()[1]).toMatch(/^docker build --tag usual\/bodywork:4 .* --platform linux\/arm64 /);
  });

  test("takes podman or buildah where docker does not work", async () => {
    const withPodman = programs({ docker: noDaemon, podman: works, buildah: works });
    expect((await withPodman.tool.build(withPodman.order)).program).toBe("podman");
    const withBuildah = programs({ docker: noDaemon, podman: noDaemon, buildah: works });
    expect((await withBuildah.tool.build(withBuildah.order)).program).toBe("buildah");
  });

  test("fails with the last of what the program said", async () => {
    const { tool, order } = programs({
      docker: 'if [ "$1" = build ]; then echo "no space left" >&2; exit 3; fi',
    });
    await expect(tool.build(order)).rejects.toMatchObject({
      code: "image-missing",
      message: `Cannot build the image ${tag}: docker failed (exit 3).`,
      details: ["no space left"],
    });
  });

  test("leaves nothing behind when it is interrupted", async () => {
    const { tool, order, calls } = programs({ docker: '[ "$1" = build ] && exec sleep 60; exit 0' });
    const stop = new AbortController();
    const before = readdirSync("/tmp").filter((name) => name.startsWith("bodywork-image-"));
    const building = tool.build({ ...order, signal: stop.signal });
    building.catch(() => {});
    while (calls().length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
    stop.abort(new Error("enough"));
    await expect(building).rejects.toThrow("enough");
    const after = readdirSync("/tmp").filter((name) => name.startsWith("bodywork-image-"));
    expect(after).toEqual(before);
  });
});

describe("image push", () => {
  test("has the program that works send it", async () => {
    const { tool, order, calls } = programs({ docker: works });
    expect(await tool.push(order)).toEqual({ image: tag, program: "docker" });
    expect(calls()[1]).toBe(`docker push ${tag}`);
  });

  test("fails with the hint to log in", async () => {
    const { tool, order } = programs({ podman: '[ "$1" = push ] && exit 125; exit 0' });
    await expect(tool.push(order)).rejects.toMatchObject({ hint: "Perhaps it needs: podman login" });
  });
});

test("without any program that works it is said what was found, and what to do", async () => {
  const { tool, order } = programs({ docker: noDaemon });
  await expect(tool.push(order)).rejects.toMatchObject({
    code: "image-missing",
    message: `Cannot push the image ${tag}: neither docker, podman nor buildah works here.`,
    details: ["docker: Cannot connect to the Docker daemon"],
    hint: expect.stringContaining("Install one of them"),
  });
});
