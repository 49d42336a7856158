/**
 * consul.ts: what must be known of a Consul program before it can be configured.
 *
 * An unknown key ends it, and a port it opens by default can be taken by the next one on this machine.
 */
import { execFileSync } from 'node:child_process';

/** Its ports that nobody here asks anything of, closed: those its version knows. */
export function closedPorts(program: string): Readonly<Record<string, number>> {
  const text = execFileSync(program, ['version'], { encoding: 'utf8' });
  const [, major, minor] = /v(\d+)\.(\d+)\./.exec(text) ?? [];
  if (major === undefined || minor === undefined)
    throw new Error(`'${program} version' names no version: ${text.split('\n')[0]}`);
  const hasGrpcTls = Number(major) > 1 || Number(minor) >= 14;
  return { dns: -1, https: -1, ...(hasGrpcTls ? { grpc_tls: -1 } : {}) };
}
