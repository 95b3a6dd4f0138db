import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { bodywork } from "../support/bodywork.ts";
import { type Files, makeProject } from "../support/git-project.ts";
import { batch, projectFile, service } from "../support/pipelines.ts";
import { temporaryFolder } from "../support/temporary.ts";

/** Code as it is written for containers: fixed ports on 0.0.0.0, other services by name, files beside the module. */
const files: Files = {
  "bodywork.yaml": projectFile({
    name: "whole",
    dag: "count, weigh >> report >> front, back >> ask",
    stages: {
      count: [
        "executable_module_path: count/count.py",
        "args: [Hello, World of stages]",
        ...batch(),
        "outputs: {number: number.txt}",
      ],
      weigh: ["executable_module_path: weigh/weigh.py", ...batch(), "outputs: {weights: weights}"],
      report: [
        "executable_module_path: report/report.ipynb",
        ...batch(120),
        "inputs: {number: {from: count.number, path: in/number.txt}, weights: weigh.weights}",
        "outputs: {sum: sum.txt}",
      ],
      front: [
        "executable_module_path: front/app.py",
        "requirements: [flask, requests]",
        "inputs: {sum: report.sum}",
        ...service(5000, { replicas: 2 }),
      ],
      back: [
        "executable_module_path: back/app.py",
        'requirements: [fastapi, "uvicorn[standard]", requests, httpx, aiohttp]',
        "inputs: {sum: report.sum}",
        "service: {max_startup_time_seconds: 60, replicas: 2, port: 5000, ingress: true, health_path: /health}",
      ],
      ask: ["executable_module_path: ask.py", "requirements: [requests]", ...batch()],
    },
  }),
  "shared/names.py": 'GREETING = "hello from the root"\n',
  "tracked.txt": "as committed\n",
  "count/count.py": `
import os, sys
from shared.names import GREETING
assert sys.argv[1:] == ["Hello", "World of stages"], sys.argv
assert os.getcwd() == os.path.dirname(os.path.abspath(__file__))
open("../tracked.txt", "w").write("overwritten by count\\n")
open("number.txt", "w").write("40")
print(GREETING, "at", os.environ["GIT_COMMIT_HASH"])
`,
  "weigh/weigh.py": `
import os
os.mkdir("weights")
open("weights/a.txt", "w").write("1")
open("weights/b.txt", "w").write("1")
assert open("../tracked.txt").read() == "as committed\\n"
`,
  "report/report.ipynb": JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    metadata: { kernelspec: { name: "python3", display_name: "Python 3", language: "python" } },
    cells: [
      cell("a", "number = int(open('in/number.txt').read())\nopen('in/number.txt', 'w').write('spoilt')"),
      cell(
        "b",
        "import os\nassert open('../tracked.txt').read() == 'as committed\\n'\ntotal = number + sum(int(open(f'weights/{name}').read()) for name in os.listdir('weights'))",
      ),
      cell("c", "open(os.environ['BODYWORK_OUTPUT_SUM'], 'w').write(str(total))\nprint('the sum is', total)"),
    ],
  }),
  "front/app.py": `
import os
import requests
from flask import Flask, jsonify

app = Flask(__name__)
SUM = open("sum.txt").read()
open("sum.txt", "w").write("spoilt by front")

@app.get("/v1/sum")
def answer():
    return jsonify(sum=SUM, pid=os.getpid())

@app.get("/v1/back")
def back():
    return jsonify(requests.get("http://back:5000/v1/sum", timeout=10).json())

if __name__ == "__main__":
    app.run(host="0.0.0.0", port=5000)
`,
  "back/app.py": `
import os
import aiohttp, httpx, requests, uvicorn
from fastapi import FastAPI

app = FastAPI()

@app.get("/health")
def health():
    return "ok"

@app.get("/v1/sum")
def answer():
    return {"sum": open(os.environ["BODYWORK_INPUT_SUM"]).read(), "pid": os.getpid()}

@app.get("/v1/front/requests")
def by_requests():
    return requests.get("http://front:5000/v1/sum", timeout=10).json()

@app.get("/v1/front/httpx")
async def by_httpx():
    async with httpx.AsyncClient() as client:
        return (await client.get("http://front.whole:5000/v1/sum")).json()

@app.get("/v1/front/aiohttp")
async def by_aiohttp():
    async with aiohttp.ClientSession() as session:
        async with session.get("http://front.whole.svc.cluster.local:5000/v1/sum") as response:
            return await response.json()

@app.get("/v1/nobody")
async def nobody():
    try:
        async with httpx.AsyncClient() as client:
            await client.get("http://nobody.whole.svc.cluster.local:5000/")
    except httpx.ConnectError as error:
        return {"refused": str(error)}

@app.get("/v1/loop")
async def loop():
    import asyncio
    return {"loop": type(asyncio.get_running_loop()).__module__}

if __name__ == "__main__":
    uvicorn.run(app, host="0.0.0.0", port=5000, loop=os.environ.get("LOOP", "uvloop"))
`,
  "ask.py": `
import requests
for _ in range(10):
    assert requests.get("http://back:5000/v1/sum", timeout=10).json()["sum"] == "42"
    assert requests.get("http://front:5000/v1/sum", timeout=10).json()["sum"] == "42"
print("both answer by name")
`,
};

function cell(id: string, source: string) {
  return { id, cell_type: "code", source, metadata: {}, outputs: [], execution_count: null };
}

test("batch stages side by side, a notebook, two services with one port and two replicas each, calling each other by name: unchanged code deploys and answers", async () => {
  const tool = bodywork();
  const project = await makeProject({ files, path: temporaryFolder("project") });
  const deployed = await tool.run("create", "deployment", project.url, "--branch", "main");
  expect(deployed.exitCode, deployed.stdout + deployed.stderr).toBe(0);
  expect(deployed.stdout).toContain("hello from the root at");
  expect(deployed.stdout).toContain("the sum is 42");
  expect(deployed.stdout).toContain("both answer by name");
  expect(deployed.stdout).toContain("Deployment successful");

  const { ingress } = await tool.server();
  const get = async (
    path: string,
  ): Promise<{ sum?: string; pid?: number; loop?: string; refused?: string }> => {
    const response = await fetch(`${ingress}${path}`);
    expect(response.headers.get("x-bodywork-release"), path).toBe("1");
    expect(response.status, path).toBe(200);
    return (await response.json()) as object;
  };
  for (const path of [
    "/whole/front/v1/sum",
    "/whole//front//v1/sum",
    "/whole/back/v1/sum",
    "/whole/front/v1/back",
    "/whole/back/v1/front/requests",
    "/whole/back/v1/front/httpx",
    "/whole/back/v1/front/aiohttp",
  ]) {
    expect(await get(path), path).toMatchObject({ sum: "42" });
  }
  expect((await get("/whole/back/v1/loop")).loop).toContain("uvloop");
  expect((await get("/whole/back/v1/nobody")).refused).toBeTypeOf("string");
  expect((await fetch(`${ingress}/whole/nowhere/`)).status).toBe(404);

  const pids = new Set<number | undefined>();
  for (let time = 0; time < 10; time++) pids.add((await get("/whole/front/v1/sum")).pid);
  expect(pids.size, "requests are spread over the replicas").toBe(2);

  const [run] = await tool.runs();
  expect(run?.stages.map(({ stage, status }) => [stage, status])).toEqual(
    ["count", "weigh", "report", "front", "back", "ask"].map((stage) => [stage, "succeeded"]),
  );
  const report = run?.stages.find(({ stage }) => stage === "report");
  expect(report?.outputs).toMatchObject([{ name: "sum", kind: "file", bytes: 2 }]);
  const html = join(tool.home, "runs", run?.id ?? "", "report", "attempt-1", "notebook.html");
  expect(readFileSync(html, "utf8")).toContain("the sum is 42");

  const redeployed = await tool.run("create", "deployment", project.url, "--branch", "main");
  expect(redeployed.exitCode, redeployed.stdout + redeployed.stderr).toBe(0);
  const again = (await tool.runs())[0];
  expect(again?.stages.map(({ environment }) => environment?.built)).toEqual(again?.stages.map(() => false));

  const gone = await tool.run("delete", "deployment", "whole", "--yes");
  expect(gone.stdout).toContain("deployment=whole deleted.");
  expect((await tool.run("get", "deployments")).stdout).toContain("No deployments found");
  expect((await fetch(`${ingress}/whole/front/v1/sum`)).status).toBe(404);
}, 300_000);

test("a notebook whose cell fails fails its stage, and the cell is shown", async () => {
  const tool = bodywork();
  const notebook = {
    nbformat: 4,
    nbformat_minor: 5,
    metadata: {},
    cells: [cell("a", "x = 1"), cell("b", "# the bad one\n1 / 0")],
  };
  const project = await makeProject({
    files: {
      "bodywork.yaml": projectFile({
        name: "notebook",
        dag: "broken",
        stages: { broken: ["executable_module_path: broken.ipynb", ...batch(120)] },
      }),
      "broken.ipynb": JSON.stringify(notebook),
    },
    path: temporaryFolder("project"),
  });
  const failed = await tool.run("create", "deployment", project.url);
  expect(failed.exitCode).toBe(1);
  expect(failed.stdout).toContain("Cell 2 failed");
  expect(failed.stdout).toContain("ZeroDivisionError");
}, 240_000);
