import { expect, it } from "vitest";

import { fingerprintOf } from "../../src/git/find-host-keys.ts";
import { forgeKnownHosts } from "../../src/git/host-keys.ts";

it("The embedded host keys have the fingerprints that the forges publish", () => {
  const fingerprints = forgeKnownHosts.map((line) => {
    const [hosts = "", type = "", base64 = ""] = line.split(" ");
    return `${hosts} ${type} ${fingerprintOf(base64)}`;
  });
  expect(fingerprints).toEqual([
    "github.com,[ssh.github.com]:443 ssh-ed25519 SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU",
    "github.com,[ssh.github.com]:443 ecdsa-sha2-nistp256 SHA256:p2QAMXNIC1TJYWeIOttrVc98/R1BUFWu3/LiyKgUfQM",
    "github.com,[ssh.github.com]:443 ssh-rsa SHA256:uNiVztksCsDhcc0u9e8BujQXVUpKZIDTMczCvj3tD2s",
    "gitlab.com ssh-ed25519 SHA256:eUXGGm1YGsMAS7vkcx6JOJdOGHPem5gQp4taiCfCLB8",
    "gitlab.com ecdsa-sha2-nistp256 SHA256:HbW3g8zUjNSksFbqTiUWPWg2Bq1x8xdGUrliXFzSnUw",
    "gitlab.com ssh-rsa SHA256:ROQFvPThGrW4RuWLoL9tq9I9zJ42fK4XywyRtbOz/EQ",
    "bitbucket.org ssh-ed25519 SHA256:ybgmFkzwOSotHTHLJgHO0QN8L0xErw6vd0VhFA9m3SM",
    "bitbucket.org ecdsa-sha2-nistp256 SHA256:FC73VB6C4OQLSCrjEayhMp9UMxS97caD/Yyi2bhW/J0",
    "bitbucket.org ssh-rsa SHA256:46OSHA1Rmj8E8ERTC6xkNcmGOw9oFxYr0WF6zWW8l1E",
    "ssh.dev.azure.com,vs-ssh.visualstudio.com ssh-rsa SHA256:ohD8VZEXGWo6Ez8GSEJQ9WpafgLFsOfLOtGGQCQo6Og",
  ]);
});
