/**
 * open.ts: from a cluster's endpoints to a running engine.
 *
 * Lives here: the order of opening, and undoing it when a step fails. Must not live here: the steps.
 */
import { randomBytes } from 'node:crypto';
import type { EngineHooks, LogEngine, OpenEngine } from '../engine.ts';
import { steadyClock } from '../system.ts';
import { openEtcd } from './client.ts';
import { EtcdLog } from './etcd-log.ts';
import type { EtcdEngineOptions, EtcdLogOptions } from './options.ts';

/** The engine for `openFsm`: `openFsm({ engine: etcdLog({ endpoints, prefix: '/fed/dc1/', node, address }) })`. */
export function etcdLog(o: EtcdLogOptions): OpenEngine {
  return (hooks: EngineHooks) => openEtcdLog({ ...o, ...hooks });
}

/**
 * Reads the whole state from etcd into the state machine, then follows it, and leads when nobody else does. Throws
 * RangeError for an endpoint, prefix or certificate that cannot be, EtcdLogError when etcd refuses us, holds something else, or is silent.
 */
export async function openEtcdLog(o: EtcdEngineOptions): Promise<LogEngine> {
  if (!/^.+\/$/.test(o.prefix)) throw new RangeError(`the prefix "${o.prefix}" must end in "/"`);
  const clock = o.clock ?? steadyClock;
  const etcd = o.etcd ?? (await openEtcd(o, clock));
  const log = new EtcdLog(o, etcd, clock, o.instance ?? `${o.node}-${randomBytes(8).toString('hex')}`);
  try {
    await log.open();
  } catch (error) {
    await log[Symbol.asyncDispose]();
    throw error;
  }
  return log;
}
