import { expect, test } from "vitest";
import { type Bodywork, bodywork } from "../support/bodywork.ts";
import { makeProject } from "../support/git-project.ts";
import { answering, batch, projectFile, service } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";

const twoServices = {
  "bodywork.yaml": projectFile({
    name: "story",
    dag: "one, two",
    stages: { one: service(5000), two: service(5001) },
  }),
  "one.py": answering("one"),
  "two.py": answering("two", 5001),
};
const oneService = {
  "bodywork.yaml": projectFile({ name: "story", dag: "one", stages: { one: service(5000) } }),
  "two.py": null,
};

test("a service that the newer commit has no more goes with its route, the other serves on", async () => {
  const tool = bodywork();
  const project = await makeProject({ files: twoServices, path: temporaryFolder("project") });
  await deployed(tool, project.url);
  expect(await statuses(tool, ["one", "two"])).toEqual([200, 200]);

  await project.commit(oneService);
  const second = await deployed(tool, project.url);
  expect(second).toContain("Removing service: two from previous deployment with git-commit-hash");
  expect(await statuses(tool, ["one", "two"])).toEqual([200, 404]);
  const { stdout } = await tool.run("get", "deployment", "story");
  expect(stdout).toContain("story/one");
  expect(stdout).not.toContain("two");
}, 240_000);

test("one service is deleted with its route, and comes back with the next deployment", async () => {
  const tool = bodywork();
  const project = await makeProject({ files: twoServices, path: temporaryFolder("project") });
  await deployed(tool, project.url);
  const gone = await tool.run("delete", "deployment", "story", "two", "--yes");
  expect(gone).toMatchObject({ exitCode: 0, stdout: "Deleted service=two\n" });
  expect(gone.stderr).toContain("The next deployment of story brings it back.");
  expect(await statuses(tool, ["one", "two"])).toEqual([200, 404]);
  const again = await tool.run("delete", "deployment", "story", "two", "--yes");
  expect(again).toMatchObject({ exitCode: 0, stdout: "Could not find service=two\n" });
  await deployed(tool, project.url);
  expect(await statuses(tool, ["one", "two"])).toEqual([200, 200]);
}, 240_000);

test("a pipeline of batch stages alone leaves nothing running, is listed with its history, and deleted by its name", async () => {
  const tool = bodywork();
  const project = await makeProject({
    files: {
      "bodywork.yaml": projectFile({ name: "story", dag: "train", stages: { train: batch() } }),
      "train.py": "print('trained')\n",
    },
    path: temporaryFolder("project"),
  });
  await deployed(tool, project.url);
  const [deployment] = await tool.deployments();
  expect(deployment).toMatchObject({ name: "story", liveRelease: 1, services: [] });
  expect((await tool.runs()).map(({ status }) => status)).toEqual(["succeeded"]);
  expect((await tool.run("logs", "story")).stdout).toContain("trained");
  const gone = await tool.run("delete", "deployment", "story", "--yes");
  expect(gone.stdout).toBe("deployment=story deleted.\n");
  expect([await tool.deployments(), await tool.runs()]).toEqual([[], []]);
}, 240_000);

async function deployed(tool: Bodywork, url: string): Promise<string> {
  const { exitCode, stdout, stderr } = await tool.run("create", "deployment", url);
  expect(exitCode, stdout + stderr).toBe(0);
  return stdout;
}

async function statuses(tool: Bodywork, services: readonly string[]): Promise<readonly number[]> {
  const { ingress } = await tool.server();
  return Promise.all(services.map(async (name) => (await fetch(`${ingress}/story/${name}/`)).status));
}
