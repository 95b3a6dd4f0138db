import { expect, test } from "vitest";
import { asyncJobId, madeUpJobId, meantJobId } from "../../src/core/job-name.ts";
import { kubernetesNameProblem } from "../../src/core/naming.ts";

test("a name is sanitised as everywhere, written in small letters, and gets the original's prefix", () => {
  expect(asyncJobId("foo")).toBe("async-workflow-foo");
  expect(asyncJobId(" My_Job 2 ")).toBe("async-workflow-my-job-2");
});

test("a job is meant by its name or its id, however they are written", () => {
  for (const written of [
    "my-job-2",
    "My_Job 2",
    " MY_JOB-2",
    "async-workflow-my-job-2",
    "Async_Workflow_My_Job_2",
  ]) {
    expect(meantJobId(written), written).toBe("async-workflow-my-job-2");
  }
});

test("a name that Kubernetes would not take is refused", () => {
  for (const name of ["", "-", "a-", "x".repeat(60)]) {
    expect(() => asyncJobId(name), name).toThrow(/^Cannot create workflow-job=async-workflow-.*: its name /);
  }
});

test("a name that is made up tells the repository and the branch", () => {
  const url = "https://forge.test/me/My_Project.git/";
  expect(madeUpJobId({ url, branch: "feature/x" }, 7)).toBe("async-workflow-my-project-feature-x-7");
  const ofDefault = madeUpJobId({ url: "git@forge.test:me/p.git", branch: undefined }, 999_999);
  expect(ofDefault).toBe("async-workflow-p-default-999999");
});

test("whatever the repository and the branch are called, Kubernetes takes the name that is made up", () => {
  const texts = ["", "/", "---", "Ünïcödé", "a".repeat(200), `${"a".repeat(29)}-${"b".repeat(40)}`, "x.git"];
  for (const url of texts) {
    for (const branch of [undefined, ...texts]) {
      const id = madeUpJobId({ url, branch }, 123_456);
      expect(kubernetesNameProblem(id, "job"), id).toBeUndefined();
      expect(id).toMatch(/-123456$/);
    }
  }
});
