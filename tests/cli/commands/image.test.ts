import { describe, expect, test } from "vitest";
import { runCli } from "../../../src/cli/run-cli.ts";
import { Failure } from "../../../src/core/failure.ts";
import type { ImageTool } from "../../../src/ports/image-tool.ts";
import { run, testTerminal, testWiring } from "../support/terminal.ts";

const made = { image: "mine:1", program: "podman" };

function tool(change: Partial<ImageTool> = {}): { readonly wiring: { imageTool(): Promise<ImageTool> } } {
  const none = async (): Promise<never> => {
    throw new Error("the test gives none");
  };
  return { wiring: { imageTool: async () => ({ build: none, push: none, ...change }) } };
}

describe("image build", () => {
  test("says what was built by which program, which says what it likes on standard error", async () => {
    const orders: unknown[] = [];
    const built = await run(
      "image build --tag mine:1 --platform linux/arm64",
      tool({
        async build({ onOutput, tag, platform }) {
          orders.push({ tag, platform });
          onOutput("step 1\u001b[2J\n");
          return made;
        },
      }),
    );
    expect(built).toMatchObject({ exitCode: 0, stdout: "Built image=mine:1 (by podman)\n" });
    expect(built.stderr).toMatch(/^step 1.*\[2J\n$/);
    expect(built.stderr).not.toContain("\u001b");
    expect(orders).toEqual([{ tag: "mine:1", platform: "linux/arm64" }]);
  });

  test("gives a program its record, and leaves the name to the settings", async () => {
    const { stdout } = await run(
      "image build --output json",
      tool({ build: async ({ tag }) => ({ ...made, image: tag ?? "usual:4" }) }),
    );
    expect(JSON.parse(stdout)).toEqual({ image: "usual:4", program: "podman" });
  });

  test("fails as the program does", async () => {
    const failure = new Failure("image-missing", "Cannot build the image mine:1.", {
      hint: "Install docker.",
    });
    const { exitCode, stderr } = await run("image build", tool({ build: () => Promise.reject(failure) }));
    expect(exitCode).toBe(1);
    expect(stderr).toContain("Install docker.");
  });

  test("ends by Ctrl-C", async () => {
    const terminal = testTerminal();
    const waits: ImageTool["build"] = ({ signal }) =>
      new Promise((_, reject) =>
        signal.addEventListener("abort", () => reject(signal.reason), { once: true }),
      );
    const ending = runCli(["image", "build"], terminal.io, testWiring(tool({ build: waits })));
    await new Promise((resolve) => setTimeout(resolve, 50));
    terminal.send("SIGINT");
    expect(await ending).not.toBe(0);
    expect(terminal.stderr()).toContain("Stopped by SIGINT.");
  });
});

test("image push says which setting makes the cluster use it", async () => {
  const pushed = await run("image push --tag mine:1", tool({ push: async () => made }));
  expect(pushed.stdout).toBe("Pushed image=mine:1 (by podman)\n");
  expect(pushed.stderr).toContain("kubernetes.image is mine:1");
});
