/**
 * peers.ts: where run.mjs has put the programs of a peer.
 *
 * Lives here: reading its environment. Must not live here: looking for programs or building them (run.mjs).
 */

/** Path of one program, by the name under which run.mjs passes it on. */
export function program(variable: string): string {
  const path = process.env[variable];
  if (path === undefined || path === '')
    throw new Error(`${variable} is not set: start these tests with 'npm run interop'`);
  return path;
}
