/**
 * limits.ts: how much one process that relays takes on.
 */

/** Each relayed connection is two descriptors; a tenth is left for everything else. */
const connectionsPerDescriptor = 0.45;

export function connectionsMax(openFilesMax: number): number {
  return Math.floor(openFilesMax * connectionsPerDescriptor);
}
