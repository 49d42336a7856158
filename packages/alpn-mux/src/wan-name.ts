/**
 * wan-name.ts: what a server is called among servers of all datacenters: `<node>.<datacenter>`.
 *
 * Exactly one dot. A node name with a dot of its own cannot be told apart from its datacenter, so it is refused
 * here, at the door, and not found out by a probe that never arrives.
 * Lives here: joining and splitting. Must not live here: addresses, SNI.
 * Source: Consul agent/consul/wanfed/wanfed.go (SplitNodeName).
 */

/** `<node>.<datacenter>`. Throws a RangeError if the result could not be split again. */
export function wanName(node: string, datacenter: string): string {
  if (node === '' || datacenter === '' || node.includes('.') || datacenter.includes('.')) {
    throw new RangeError(
      `"${node}" in "${datacenter}" makes no WAN name: both parts must be non-empty and without dots`,
    );
  }
  return `${node}.${datacenter}`;
}

/** The two parts, or undefined unless there are exactly two and neither is empty. */
export function splitWanName(name: string): { node: string; datacenter: string } | undefined {
  const parts = name.split('.');
  const [node, datacenter] = parts;
  if (parts.length !== 2 || !node || !datacenter) return undefined;
  return { node, datacenter };
}
