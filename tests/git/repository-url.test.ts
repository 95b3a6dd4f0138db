import { describe, expect, it } from "vitest";

import { Failure } from "../../src/core/failure.ts";
import { parseRepositoryUrl, type RepositoryUrl } from "../../src/git/repository-url.ts";

const accepted: readonly (readonly [text: string, address: string])[] = [
  ["https://github.com/owner/name", "https://github.com/owner/name"],
  ["https://github.com/owner/name.git", "https://github.com/owner/name.git"],
  ["https://github.com/owner/name/", "https://github.com/owner/name/"],
  ["HTTPS://GitHub.com/owner/Name", "https://github.com/owner/Name"],
  ["https://github.com:443/owner/name", "https://github.com/owner/name"],
  ["https://git.example.com:8443/owner/name", "https://git.example.com:8443/owner/name"],
  ["https://dev.azure.com/org/project/_git/name", "https://dev.azure.com/org/project/_git/name"],
  ["https://org@dev.azure.com/org/project/_git/name", "https://dev.azure.com/org/project/_git/name"],
  ["https://user:secret@example.com/a", "https://example.com/a"],
  ["https://us%40er:se%3Acret@example.com/a", "https://example.com/a"],
  ["https://gitlab.com/group/sub/group/name.git", "https://gitlab.com/group/sub/group/name.git"],
  ["https://example.com/~me/name", "https://example.com/~me/name"],
  ["https://example.com/a%20b", "https://example.com/a%20b"],
  ["https://example.com/grün", "https://example.com/gr%C3%BCn"],
  ["https://example.com/a/../b", "https://example.com/b"],
  ["https://127.0.0.1:3000/a/b", "https://127.0.0.1:3000/a/b"],
  ["https://[::1]:3000/a/b", "https://[::1]:3000/a/b"],
  ["https://git_server.internal/a", "https://git_server.internal/a"],
  ["http://git.internal/a", "http://git.internal/a"],
  ["http://git.internal:8080/a", "http://git.internal:8080/a"],
  ["http://LISTED.example:8080/a", "http://listed.example:8080/a"],
  ["git@github.com:owner/name.git", "git@github.com:owner/name.git"],
  ["git@gitlab.com:group/sub/name", "git@gitlab.com:group/sub/name"],
  ["git@ssh.dev.azure.com:v3/org/project/name", "git@ssh.dev.azure.com:v3/org/project/name"],
  ["org@vs-ssh.visualstudio.com:v3/org/project/name", "org@vs-ssh.visualstudio.com:v3/org/project/name"],
  ["github-work:owner/name", "github-work:owner/name"],
  ["me@host:~/name", "me@host:~/name"],
  ["me@host:/srv/name.git", "me@host:/srv/name.git"],
  ["me@[::1]:name", "me@[::1]:name"],
  ["ssh://git@github.com/owner/name.git", "ssh://git@github.com/owner/name.git"],
  ["ssh://git@ssh.github.com:443/owner/name.git", "ssh://git@ssh.github.com:443/owner/name.git"],
  ["SSH://host/srv/name", "ssh://host/srv/name"],
  ["ssh://host/~me/name", "ssh://host/~me/name"],
  ["ssh://git@[fe80::1]:22/name", "ssh://git@[fe80::1]:22/name"],
  ["file:///srv/name", "file:///srv/name"],
  ["file:///srv/name.git/", "file:///srv/name.git/"],
  ["file://localhost/srv/name", "file:///srv/name"],
  ["FILE:///srv/a%20b", "file:///srv/a%20b"],
  ["file:///srv/a/../b", "file:///srv/b"],
  ["file:///srv/--upload-pack=x", "file:///srv/--upload-pack=x"],
];

const refused: readonly string[] = [
  "",
  " https://github.com/a/b",
  "https://github.com/a/b ",
  "https://github.com/a b",
  "https://github.com/a\tb",
  "https://github.com/a\nb",
  "https://github.com/a\0b",
  "https://github.com/a%0ahost=evil.com",
  "https://github.com/a%0D%0Ab",
  "https://github.com/a%00b",
  "https://github.com/a?x=1",
  "https://github.com/a#x",
  "https://github.com",
  "https://github.com/",
  "https:///a/b",
  "https://",
  "https:/github.com/a",
  "https:github.com/a",
  "https://github.com:99999/a",
  "https://github.com:x/a",
  "https://-oProxyCommand=x/a%zz@",
  "https://github。com/a",
  "https://github．com/a",
  "https://github.com／a/b",
  "https://evil.com\\@github.com/a",
  "https://git\u202ehub.com/a",
  "https://bücher.example/a",
  "https://[fe80::1%25eth0]/a",
  "https://a b@github.com/a",
  "https://%zz@github.com/a",
  "http://github.com/a/b",
  "http://user:secret@github.com/a/b",
  "http://notlisted.example/a",
  "http://listed.example/a",
  "http://listed.example:8081/a",
  "http://bad.repo",
  "ext::sh -c touch% x",
  "ext::sh",
  "fd::3",
  "fd::3,4/x",
  "git://github.com/a/b",
  "git+ssh://git@github.com/a",
  "ftp://github.com/a",
  "rsync://host/a",
  "data:text/plain,x",
  "javascript:alert(1)//",
  "ssh://-oProxyCommand=touch/x",
  "ssh://-oProxyCommand=touch@host/x",
  "ssh://git@-oProxyCommand=touch/x",
  "ssh://git:secret@host/x",
  "ssh://host",
  "ssh://host/",
  "ssh://host:0/x",
  "ssh://host:70000/x",
  "ssh://host:-1/x",
  "ssh://a@b@c/x",
  "ssh://ho$(touch)st/x",
  "ssh://host`id`/x",
  "ssh://host;id/x",
  "ssh://host/x%0ay",
  "-oProxyCommand=touch:x",
  "-u@host:x",
  "git@-oProxyCommand=x:y",
  "git@host:-x",
  "git@host:",
  "git@ho st:x",
  "git@host$(id):x",
  "C:/Users/x",
  "C:\\Users\\x",
  "\\\\server\\share\\x",
  "//server/share/x",
  "/srv/name",
  "./name",
  "../name",
  "name",
  "~/name",
  "--upload-pack=touch X",
  "file://server/share/x",
  "file://../x",
  "file:/srv/x",
  "file://",
  "file:///",
  "file:///a%2Fb",
  "file:///a%00b",
  "file:///a%0ab",
  "file:///a?b",
  "file:///a%zz",
  "HTTP://github.com/a",
  "https://user:p@ss@github.com/a",
];

const insecureHosts = ["git.internal", "Listed.example:8080"];

function parsed(text: string): RepositoryUrl | Failure {
  try {
    return parseRepositoryUrl(text, insecureHosts);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
}

describe("The address of a repository", () => {
  it.each(accepted)("%s is accepted", (text, address) => {
    expect(parsed(text)).toMatchObject({ address });
  });

  it.each(refused)("%j is refused", (text) => {
    expect(parsed(text)).toMatchObject({ code: "repository-url", hint: expect.any(String) });
  });

  it("is refused when it is longer than 2048 characters", () => {
    expect(parsed(`https://github.com/${"a".repeat(2029)}`)).toMatchObject({ protocol: "https" });
    expect(parsed(`https://github.com/${"a".repeat(2030)}`)).toMatchObject({ code: "repository-url" });
  });

  it("is refused in the original's words when it is of no kind that we know", () => {
    expect(parsed("/srv/name")).toMatchObject({
      message: expect.stringContaining("cannot identify connection protocol"),
    });
    expect(parsed("http://github.com/a/b")).toMatchObject({
      message: expect.stringContaining("cannot identify connection protocol"),
      hint: expect.stringContaining("insecure_git_hosts: [github.com]"),
    });
  });

  it("says how to write a folder of this machine", () => {
    expect(parsed("/srv/my project")).toMatchObject({ code: "repository-url" });
    expect(parsed("/srv/name")).toMatchObject({ hint: expect.stringContaining("file:///srv/name") });
    expect(parsed("./name")).toMatchObject({ hint: expect.stringContaining("file:///PATH") });
  });

  it("never shows the credentials in it, whether it is accepted or refused", () => {
    const texts = [
      "https://canary-user:canary-pass@example.com/a",
      "http://canary-user:canary-pass@example.com/a",
      "https://canary-user:canary-pass@example.com/a?b",
      "ssh://canary-user:canary-pass@example.com/a",
      "git://canary-user:canary-pass@example.com/a",
      "https://example.com/a?private_token=canary",
      "https://canary:pass/canary@example.com/a",
      "https:/canary-user:canary-pass@example.com/a",
      "//canary-user:canary-pass@example.com/a",
    ];
    for (const text of texts) {
      const url = parsed(text);
      const shown = url instanceof Failure ? [url.message, url.hint] : [url.address, url.shown, url.key];
      expect(shown.join("\n"), text).not.toContain("canary");
    }
    expect(parsed("https://canary-user:canary-pass@example.com/a")).toMatchObject({
      username: "canary-user",
      password: "canary-pass",
      shown: "https://example.com/a",
    });
  });

  it("gives one mirror to one address, with and without credentials, and another to any other", () => {
    const key = (text: string): string => (parsed(text) as RepositoryUrl).key;
    expect(key("https://a:b@EXAMPLE.com/x")).toBe(key("https://example.com:443/x"));
    const others = [
      "https://example.com/x",
      "https://example.com/X",
      "http://git.internal/x",
      "me@example.com:x",
    ];
    expect(new Set(others.map(key)).size).toBe(others.length);
  });
});
