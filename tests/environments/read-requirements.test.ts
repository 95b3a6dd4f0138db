import { expect, test } from "vitest";
import { hasHashes, nameOfSpec, readRequirements } from "../../src/environments/read-requirements.ts";
import { redact } from "../../src/environments/redact.ts";

test("items are pip's arguments: requirements, and options as one item, as two, or joined by =", () => {
  const forms = [
    ["--extra-index-url https://one/simple", "numpy>=2,<3; python_version > '3.8'"],
    ["--extra-index-url", "https://one/simple", " numpy>=2,<3; python_version > '3.8' "],
    ["numpy>=2,<3; python_version > '3.8'", "--extra-index-url=https://one/simple"],
  ];
  for (const items of forms) {
    expect(readRequirements(items, undefined)).toEqual({
      specs: ["numpy>=2,<3; python_version > '3.8'"],
      options: [{ name: "extra-index-url", value: "https://one/simple" }],
      file: undefined,
    });
  }
});

test("short options are read as the long ones that they stand for", () => {
  const { options } = readRequirements(
    ["-f", "https://one/", "-i=https://two", "-fhttps://three", "--pre", "-U"],
    undefined,
  );
  expect(options).toEqual([
    { name: "find-links", value: "https://one/" },
    { name: "index-url", value: "https://two" },
    { name: "find-links", value: "https://three" },
    { name: "pre", value: undefined },
    { name: "upgrade", value: undefined },
  ]);
});

test("packages from Git, from the web and from a wheel of the machine are requirements like others", () => {
  const items = [
    "git+https://github.com/someone/thing.git@v1#egg=thing",
    "thing @ https://host/thing-1-py3-none-any.whl",
    "/opt/wheels/thing-1-py3-none-any.whl",
    "-e git+https://github.com/someone/other.git#egg=other",
    "uvicorn[standard]==0.30",
  ];
  expect(readRequirements(items, undefined).specs).toEqual([
    ...items.slice(0, 3),
    items[3]?.slice(3),
    items[4],
  ]);
});

const refused: readonly (readonly [readonly string[], string | undefined])[] = [
  [["-r", "other.txt"], undefined],
  [["--requirement=other.txt"], undefined],
  [["-c constraints.txt"], undefined],
  [["--target", "/somewhere"], undefined],
  [["--prefix=/somewhere"], undefined],
  [["."], undefined],
  [["-e ."], undefined],
  [["./wheels/thing-1-py3-none-any.whl"], undefined],
  [["thing-1-py3-none-any.whl"], undefined],
  [["lib/thing"], undefined],
  [["thing @ ../thing"], undefined],
  [["thing @ file:../thing"], undefined],
  [["~/thing"], undefined],
  [["/home/me/thing"], undefined],
  [["--find-links wheels"], undefined],
  [["-f file:wheels"], undefined],
  [[], "numpy\n-r more.txt\n"],
  [[], "numpy \\\n  --hash=sha256:0\n-e .  # ours\n"],
  [[], "--find-links ./wheels\n"],
  [[], "./thing\n"],
];
test.for(refused)(
  "%j with the file %j is refused, for the environment is shared between commits",
  ([items, file]) => {
    expect(() => readRequirements(items, file)).toThrow(
      expect.objectContaining({ code: "environment-failed", hint: expect.stringMatching(/./) }),
    );
  },
);

test("a file may have comments, options, hashes, conditions and addresses with a fragment", () => {
  const file = [
    "# -r not-really.txt",
    "--index-url https://one/simple",
    "numpy==2.0 \\",
    "    --hash=sha256:0123 # the wheel",
    "thing @ https://host/x.whl#sha256=0123",
    "other; sys_platform == 'linux'  # ./not-a-path",
    "",
  ].join("\r\n");
  expect(readRequirements([], file).file).toBe(file);
  expect(hasHashes(file)).toBe(true);
  expect(hasHashes("numpy # --hash=sha256:0\n")).toBe(false);
  expect(hasHashes(undefined)).toBe(false);
});

test("a requirement's name is compared as package indexes do", () => {
  const specs = [
    "Scikit_Learn>=1",
    "scikit.learn[x]",
    " scikit--learn ; python_version>'3'",
    "git+https://x/y",
  ];
  expect(specs.map(nameOfSpec)).toEqual(["scikit-learn", "scikit-learn", "scikit-learn", undefined]);
});

test("user names and passwords in web addresses are hidden, and nothing else", () => {
  const texts: readonly (readonly [string, string])[] = [
    ["https://me:word@host/simple", "https://****@host/simple"],
    ["git+https://token@host/x.git@v1", "git+https://****@host/x.git@v1"],
    ["HTTP://a:b%40c@host", "HTTP://****@host"],
    ["https://me:p@ss@host/x", "https://****@host/x"],
    ["https://host/@scope/x?mail=a@b", "https://host/@scope/x?mail=a@b"],
    ["me@host and thing @ https://host/x", "me@host and thing @ https://host/x"],
    ["'https://a:b@one' \"https://c:d@two\"", "'https://****@one' \"https://****@two\""],
  ];
  for (const [text, expected] of texts) expect(redact(text)).toBe(expected);
});
