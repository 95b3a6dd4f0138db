import { textIfThere } from "./read-if-there.ts";

/** Tells one boot of the machine from another: proc_sys_kernel(5); empty where there is no such thing. */
export function currentBoot(): string {
  return textIfThere("/proc/sys/kernel/random/boot_id")?.trim() ?? "";
}
