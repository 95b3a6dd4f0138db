/** What the text of `docker_image` says. Nothing is asked of a registry. */

/** True when it has the form of an image's name: `[HOST[:PORT]/]NAME[/NAME…][:TAG][@DIGEST]`. */
export function isDockerImage(image: string): boolean {
  return image.length <= 512 && imageForm.test(image);
}

/**
 * The Python version of a well-known image: the tag of an image called `python`, 3.9 for the original's own images,
 * else what a tag such as `py3.11` or `python3.11` says. Undefined when the image says nothing.
 */
export function pythonOfImage(image: string): string | undefined {
  const { name, tag } = splitTag(image);
  if (/(?:^|\/)bodyworkml\/bodywork-core$/.test(name)) return "3.9";
  if (/(?:^|\/)python$/.test(name)) return /^(3\.\d+(?:\.\d+)?)(?![\d.])/.exec(tag)?.[1];
  return /(?:^|[-_.])py(?:thon)?-?(3\.\d+(?:\.\d+)?)(?![\d.])/.exec(tag)?.[1];
}

function splitTag(image: string): { name: string; tag: string } {
  const [withoutDigest = ""] = image.split("@");
  const colon = withoutDigest.lastIndexOf(":");
  // A colon before a slash belongs to the registry's port.
  if (colon <= withoutDigest.lastIndexOf("/")) return { name: withoutDigest, tag: "" };
  return { name: withoutDigest.slice(0, colon), tag: withoutDigest.slice(colon + 1) };
}

/** The grammar of github.com/distribution/reference. */
const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*";
const hostName = "[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?";
const imageForm = new RegExp(
  `^(?:${hostName}(?::[0-9]{1,5})?/)?${component}(?:/${component})*(?::[\\w][\\w.-]{0,127})?(?:@[a-z0-9]+:[a-fA-F0-9]{32,})?$`,
);
