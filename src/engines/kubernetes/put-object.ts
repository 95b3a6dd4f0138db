import { createHash, createHmac } from "node:crypto";

import { Failure } from "../../core/failure.ts";

export interface Bucket {
  /** `https://s3.us-east-1.amazonaws.com`; a path before the bucket's name is kept. */
  readonly endpoint: string;
  readonly bucket: string;
  readonly region: string;
  /** AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. */
  readonly id: string;
  readonly secret: string;
}

const tries = 3;

/**
 * Writes one object, path-style, signed by version 4 of Amazon's procedure
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html). Fails: cluster-refused.
 */
export async function putObject(bucket: Bucket, key: string, content: Buffer): Promise<void> {
  const base = bucket.endpoint.replace(/\/+$/, "");
  const url = new URL(`${base}/${encoded(bucket.bucket)}/${key.split("/").map(encoded).join("/")}`);
  let why = "";
  for (let left = tries; left > 0; left -= 1) {
    try {
      const headers = signedHeaders(bucket, url, content, new Date());
      const answer = await fetch(url, {
        method: "PUT",
        headers,
        body: new Uint8Array(content),
        redirect: "error",
      });
      const text = await answer.text();
      if (answer.ok) return;
      why = `HTTP ${answer.status}${/<Code>([^<]+)<\/Code>/.exec(text)?.[1]?.replace(/^/, " ") ?? ""}`;
      if (answer.status < 500 && answer.status !== 429) break;
    } catch (error) {
      const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
      why = cause instanceof Error ? cause.message : String(cause);
    }
  }
  throw new Failure("cluster-refused", `Cannot write to the bucket ${bucket.bucket} at ${base}: ${why}.`, {
    hint: "Check kubernetes.storage in the settings, and the keys in its secret.",
  });
}

/** Of a PUT without a query. */
export function signedHeaders(
  { region, id, secret }: Bucket,
  url: URL,
  content: Buffer,
  now: Date,
): Record<string, string> {
  const at = now.toISOString().replace(/[-:]|\.\d+/g, "");
  const digest = createHash("sha256").update(content).digest("hex");
  const names = "host;x-amz-content-sha256;x-amz-date";
  const request = [
    "PUT",
    url.pathname,
    "",
    `host:${url.host}`,
    `x-amz-content-sha256:${digest}`,
    `x-amz-date:${at}`,
    "",
    names,
    digest,
  ].join("\n");
  const scope = `${at.slice(0, 8)}/${region}/s3/aws4_request`;
  const toSign = ["AWS4-HMAC-SHA256", at, scope, createHash("sha256").update(request).digest("hex")].join(
    "\n",
  );
  const key = scope
    .split("/")
    .reduce<string | Buffer>(
      (previous, part) => createHmac("sha256", previous).update(part).digest(),
      `AWS4${secret}`,
    );
  const signature = createHmac("sha256", key).update(toSign).digest("hex");
  return {
    "x-amz-content-sha256": digest,
    "x-amz-date": at,
    authorization: `AWS4-HMAC-SHA256 Credential=${id}/${scope}, SignedHeaders=${names}, Signature=${signature}`,
  };
}

/** RFC 3986, which Amazon's procedure asks for. */
function encoded(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
