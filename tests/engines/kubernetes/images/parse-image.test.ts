import { expect, test } from "vitest";
import { parseImage } from "../../../../src/engines/kubernetes/images/parse-image.ts";

const digest = `sha256:${"0a".repeat(32)}`;

test.each([
  ["python", "docker.io", "library/python", "latest"],
  ["python:3.11", "docker.io", "library/python", "3.11"],
  ["bodyworkml/bodywork-core:0.0.1", "docker.io", "bodyworkml/bodywork-core", "0.0.1"],
  ["docker.io/us/model:1", "docker.io", "us/model", "1"],
  ["docker.io/python", "docker.io", "library/python", "latest"],
  ["index.docker.io/us/model", "docker.io", "us/model", "latest"],
  ["ghcr.io/us/group/model:v1.2", "ghcr.io", "us/group/model", "v1.2"],
  ["registry.test:5000/model", "registry.test:5000", "model", "latest"],
  ["localhost/model:2", "localhost", "model", "2"],
  ["Registry/model:2", "Registry", "model", "2"],
])("%s is of the registry %s, there %s with tag %s", (image, registry, repository, tag) => {
  expect(parseImage(image)).toMatchObject({ registry, repository, tag, digest: undefined });
});

test.each([
  [`python@${digest}`, "python"],
  [`registry.test:5000/a/b:1@${digest}`, "registry.test:5000/a/b"],
])("%s is named by its digest, and its name is %s", (image, name) => {
  expect(parseImage(image)).toMatchObject({ name, digest });
});

test.each([
  "",
  "bad:bodyworkml/bodywork-core:0.0.0",
  "a/b:",
  "Python:3.11",
  "python:3.11 ",
  "a//b",
  "python@sha256:12",
])("%j is the name of no image", (image) => {
  expect(() => parseImage(image)).toThrow(
    expect.objectContaining({
      code: "project-invalid",
      message: `Invalid Docker image specified: ${image}`,
    }),
  );
});
