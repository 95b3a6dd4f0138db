import { expect, test } from "vitest";
import { isDockerImage, pythonOfImage } from "../../src/core/docker-image.ts";

test.each([
  ["python:3.11-slim", "3.11"],
  ["python:3.11", "3.11"],
  ["python:3.11.9-bookworm", "3.11.9"],
  ["docker.io/library/python:3.12", "3.12"],
  [`registry.test:5000/mirror/python:3.10@sha256:${"ab".repeat(32)}`, "3.10"],
  ["bodyworkml/bodywork-core:latest", "3.9"],
  ["bodyworkml/bodywork-core", "3.9"],
  ["bodyworkml/bodywork-core:3.0", "3.9"],
  ["tiangolo/uvicorn-gunicorn-fastapi:python3.8", "3.8"],
  ["ml/base:cuda12-py3.10", "3.10"],
  ["python:latest", undefined],
  ["python", undefined],
  ["python:3", undefined],
  ["me/my-python:3.11", undefined],
  ["me/model:3.11", undefined],
  ["python:2.7", undefined],
  ["", undefined],
])("the image %j says Python %s", (image, version) => {
  expect(pythonOfImage(image)).toBe(version);
});

test.each([
  "python:3.11",
  "me/image",
  "a/b/c:d",
  "localhost:5000/x",
  "registry.test/team/image:1.0_rc-1",
  `me/image@sha256:${"0".repeat(64)}`,
  "under_score/double__score",
])("%s is an image's name", (image) => {
  expect(isDockerImage(image)).toBe(true);
});

test.each([
  "",
  " ",
  "bad:me/image:1",
  "me/image:",
  "Me/Image",
  "me//image",
  "/image",
  "me/image:a b",
  "me/image@sha256:12",
  "a".repeat(600),
])("%j is no image's name", (image) => {
  expect(isDockerImage(image)).toBe(false);
});
