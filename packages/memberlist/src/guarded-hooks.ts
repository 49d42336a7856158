/**
 * guarded-hooks.ts: other people's code, kept from breaking ours.
 *
 * A hook that throws has a bug; the member must not miss its probes for that. Lives here: the catching. Must not live
 * here: what hooks are asked.
 */
import type { Hooks } from './api.ts';
import type { LogEvent } from './ports.ts';

/** I8: the same hooks, none of which throws. A broken `refuse...` hook refuses: it was put there to keep somebody out. */
export function guardHooks(hooks: Hooks, log: (event: LogEvent) => void): Hooks {
  const guarded: Record<string, unknown> = {};
  for (const name of hookNames) {
    const hook = hooks[name] as ((...args: unknown[]) => unknown) | undefined;
    if (hook === undefined) continue;
    guarded[name] = (...args: unknown[]): unknown => {
      try {
        return hook.apply(hooks, args);
      } catch (cause) {
        log({ level: 'error', code: 'hook_failed', text: `hook ${name} threw`, cause });
        return onFailure[name];
      }
    };
  }
  return guarded;
}

const onFailure: { readonly [name in keyof Hooks]?: unknown } = {
  meta: new Uint8Array(0),
  broadcasts: [],
  hasBroadcasts: false,
  localState: new Uint8Array(0),
  ackPayload: new Uint8Array(0),
  refuseAlive: 'our own check failed',
  refuseMerge: 'our own check failed',
};

const hookNames = [
  'meta',
  'userMessage',
  'broadcasts',
  'hasBroadcasts',
  'localState',
  'mergeRemoteState',
  'changed',
  'conflict',
  'refuseAlive',
  'refuseMerge',
  'ackPayload',
  'pingCompleted',
] as const satisfies readonly (keyof Hooks)[];
