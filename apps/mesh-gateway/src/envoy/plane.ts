/**
 * plane.ts: a real Envoy as a data plane: started, looked after, ended, and when it ends so do we.
 *
 * There is no restarting here: whoever supervises this program supervises Envoy with it, by its exit status. Readiness,
 * statistics and everything else an operator may ask are Envoy's own, on the address of --admin-bind.
 * Lives here: its life. Must not live here: which Envoy (binary.ts), what it is told (bootstrap.ts).
 * Source: Consul command/connect/envoy/exec_unix.go (arguments, secrecy of the bootstrap); Envoy docs, "Draining".
 */
import { type HostPort, renderHostPort } from '@fed/alpn-mux';
import type { GatewayConfig } from '../config.ts';
import type { Announce, DataPlane } from '../data-plane.ts';
import type { Log } from '../log.ts';
import type { Running, Secret } from '../programs.ts';
import type { World } from '../world.ts';
import { EnvoyAdmin } from './admin-client.ts';
import { EnvoyError, findEnvoy } from './binary.ts';
import { bootstrapText } from './bootstrap.ts';

/** Between two questions to the admin port, while Envoy starts and while it drains. */
const askAgainMs = 50;
/** Between two questions later on, when it waits for its first configuration. */
const askAgainLaterMs = 1_000;
const startMs = 10_000;
/** Envoy reads the bootstrap before anything else; by then it has, or never will. */
const bootstrapKeptMsMax = 30_000;
/** From SIGTERM to SIGKILL. */
const endMs = 5_000;
/** A listener or chain that left the configuration: how long its connections go on. As the embedded relay. */
const drainTimeSec = 600;

export interface EnvoyOptions {
  readonly config: GatewayConfig;
  readonly world: World;
  readonly log: Log;
  readonly announce: Announce;
}

/** Nothing runs before `start`. Throws an EnvoyError when nothing could. */
export async function openEnvoyPlane(o: EnvoyOptions): Promise<DataPlane> {
  const { config, world, log } = o;
  const { clock, programs } = world;
  const binary = await findEnvoy(programs, {
    ...(config.envoyBinary !== undefined && { given: config.envoyBinary }),
    anyVersion: config.ignoreEnvoyCompatibility,
  });
  if (binary.untested)
    log.warn({ version: binary.version }, 'this Envoy is newer than any we have been tested with');
  await assertFree(config.adminBind, world);

  const admin = new EnvoyAdmin({ address: config.adminBind, exchange: world.exchange, clock });
  let envoy: Running | undefined;
  let secret: Secret | undefined;
  let over = false;
  let tellEnded: (status: number) => void = () => {};
  const ended = new Promise<number>((resolve) => {
    tellEnded = resolve;
  });
  const forget = (): void => {
    secret?.[Symbol.dispose]();
    secret = undefined;
  };
  const pause = (ms: number): Promise<void> =>
    new Promise((resolve) => void clock.at(clock.now() + ms, resolve));

  /** Until it is ready: the secret goes with the first answer, the announcement comes with the right one. */
  const watch = async (): Promise<void> => {
    const began = clock.now();
    for (let state = await admin.state(); !over; state = await admin.state()) {
      if (state !== 'silent' || clock.now() - began > bootstrapKeptMsMax) forget();
      if (state === 'live') {
        o.announce(await admin.listeners(), config.adminBind);
        return;
      }
      await pause(clock.now() - began < startMs ? askAgainMs : askAgainLaterMs);
    }
  };

  const end = async (): Promise<number> => {
    if (envoy === undefined) return 0;
    const running = envoy;
    running.kill('SIGTERM');
    using _impatience = clock.at(clock.now() + endMs, () => running.kill('SIGKILL'));
    return await running.ended;
  };

  return {
    ended,
    async start(assignment) {
      const text = await bootstrapText(config, assignment, world.resolve);
      try {
        secret = programs.secret('bootstrap.json', text);
      } catch (cause) {
        throw new EnvoyError(
          'bootstrap_unwritable',
          `cannot write Envoy's bootstrap: ${(cause as Error).message}; is the folder for temporary files (TMPDIR) ours to write?`,
          { cause },
        );
      }
      try {
        envoy = await programs.start(binary.path, [
          ...['--config-path', secret.path],
          '--disable-hot-restart',
          ...['--drain-time-s', String(drainTimeSec)],
          ...(config.concurrency === undefined ? [] : ['--concurrency', String(config.concurrency)]),
          ...config.envoyArgs,
        ]);
      } catch (cause) {
        forget();
        throw new EnvoyError('envoy_unusable', `${binary.path}: ${(cause as Error).message}`, { cause });
      }
      log.info({ path: binary.path, version: binary.version }, 'Envoy started');
      void envoy.ended.then((status) => {
        over = true;
        forget();
        log.info({ status }, 'Envoy ended');
        tellEnded(status);
      });
      watch().catch((err: unknown) => log.warn({ err }, 'Envoy is ready, but does not say where it listens'));
    },
    redirect: () => {}, // it has all servers from the start
    connections: () => (over ? Promise.resolve(0) : admin.connections().catch(() => 0)),
    async drain(withinMs) {
      const deadline = clock.now() + withinMs;
      try {
        if (withinMs > 0 && envoy !== undefined && !over) await admin.stopListening();
        while (!over && clock.now() < deadline && (await admin.connections()) > 0) await pause(askAgainMs);
      } catch (err) {
        log.warn({ err }, 'Envoy does not say whether it is drained; ending it');
      }
      return await end();
    },
    async [Symbol.asyncDispose]() {
      await end();
      forget();
    },
  };
}

async function assertFree(bind: HostPort, world: World): Promise<void> {
  try {
    await world.freePort(bind.host, bind.port);
  } catch (cause) {
    throw new EnvoyError(
      'admin_bind_taken',
      `--admin-bind: Envoy could not listen on ${renderHostPort(bind)}: ${(cause as Error).message}; does another Envoy still run there?`,
      { cause },
    );
  }
}
