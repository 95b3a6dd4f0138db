import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";

import type { ImageContents } from "../../tools/assemble-image.ts";

const folder = join(import.meta.dirname, "..", "..", "image");
const contents: ImageContents = parse(readFileSync(join(folder, "contents.yaml"), "utf8"));
const dockerfile = readFileSync(join(folder, "Dockerfile"), "utf8");
/** Of the image itself, which is the last stage. */
const lines = dockerfile
  .slice(dockerfile.lastIndexOf("\nFROM "))
  .split("\n")
  .map((line) => line.trim());

test("the Dockerfile installs the packages that the list has, and no others", () => {
  const from = lines.findIndex((line) => line.includes("apt-get install"));
  const to = lines.findIndex((line, index) => index > from && line.startsWith("&&"));
  const packages = lines.slice(from + 1, to).map((line) => line.replace(/ \\$/, ""));
  expect(packages).toEqual(contents.debian.packages);
  expect(dockerfile).toContain(`ARG DEBIAN=docker.io/library/debian:${contents.debian.suite}-slim\n`);
});

test("the Dockerfile takes the Node that the list has, for both architectures, and checks it", () => {
  const { version } = contents.node;
  for (const architecture of ["amd64", "arm64"] as const) {
    const { package: name, sha256 } = contents.node[architecture];
    expect(dockerfile).toContain(`${architecture}) name=${name} digest=${sha256} ;;`);
  }
  expect(dockerfile).toContain(`npm pack "$name@${version}"`);
  expect(dockerfile).toContain("sha256sum -c -");
});

test("the Node of the list is the one that the checkout is set up with", () => {
  const setup = readFileSync(join(folder, "..", "tools", "setup.mjs"), "utf8");
  expect(setup).toContain(`"linux-x64": "${contents.node.amd64.package}@${contents.node.version}"`);
  expect(setup).toContain(`"linux-arm64": "${contents.node.arm64.package}@${contents.node.version}"`);
});

test("the Dockerfile puts the files where the list has them, and nothing else", () => {
  const { from, to, alias } = contents.program;
  const copied = lines.filter((line) => line.startsWith("COPY ") && !line.includes("--from"));
  expect(copied).toEqual([
    ...Object.entries(contents.files).map(([source, target]) => `COPY ${source} ${target}`),
    `COPY ${from} ${to}`,
  ]);
  expect(lines).toContain(`&& ln -s ${to.split("/").at(-1)} ${alias}`);
});

test("the image runs as the user of the list, by number, and does what the original's image does", () => {
  const { name, id, home } = contents.user;
  expect(id).toBeGreaterThan(0);
  expect(lines).toEqual(
    expect.arrayContaining([
      `&& groupadd --gid ${id} ${name} \\`,
      `&& useradd --uid ${id} --gid ${id} --home-dir ${home} --create-home --shell /bin/sh ${name} \\`,
      `USER ${id}:${id}`,
      `ENV HOME=${home}`,
      `WORKDIR ${home}`,
      `ENTRYPOINT ${asJson(contents.entrypoint)}`,
      `CMD ${asJson(contents.command)}`,
    ]),
  );
});

function asJson(words: readonly string[]): string {
  return `[${words.map((word) => JSON.stringify(word)).join(", ")}]`;
}
