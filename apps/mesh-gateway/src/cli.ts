#!/usr/bin/env node
/**
 * cli.ts: the program `fed-mesh-gateway`: flags, signals, exit code.
 *
 * The first SIGTERM or SIGINT stops it in order, a second one at once. stdout belongs to the announcement, or to the
 * bootstrap document; everything else goes to stderr.
 */
import { parseCommandLine } from './command-line.ts';
import { readConfig } from './config.ts';
import { type Log, openLog } from './log.ts';
import { main, printBootstrap } from './main.ts';
import { systemWorld } from './world.ts';

/** Mistakes of whoever called us, or of the machine: said in a line, not with a stack. */
const explained: ReadonlySet<string> = new Set([
  'UsageError',
  'AdminError',
  'AgentError',
  'EnvoyError',
  'BootstrapError',
  'XdsAddressError',
]);

/** What stopping may take beside the drain: the farewell at the agent, and an Envoy that has to be killed. */
const stopMsMax = 20_000;

const stop = new AbortController();
const world = systemWorld();
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    if (stop.signal.aborted) {
      world.programs.forward('SIGKILL');
      process.exit(1);
    }
    stop.abort();
  });
}
// Envoy reopens its log files on SIGUSR1 and ignores SIGHUP; the relay writes no files. What else SIGHUP does: main.ts.
for (const signal of ['SIGUSR1', 'SIGHUP'] as const) process.on(signal, () => world.programs.forward(signal));

try {
  const config = readConfig(parseCommandLine(process.argv.slice(2)), process.env);
  const log = openLog(config.logLevel);
  if (!config.bootstrapOnly) {
    endInTime(config.drainMs, log);
    process.exit(await main(config, world, log, stop.signal));
  }
  await printBootstrap(config, world, log, stop.signal);
} catch (e) {
  if (!(e instanceof Error && explained.has(e.name))) throw e;
  process.stderr.write(`fed-mesh-gateway: ${e.message}\n`);
  process.exit(1);
}

/** A stop that has not come to its end by then is a bug; whoever supervises us must not have to wait for it. */
function endInTime(drainMs: number, log: Log): void {
  stop.signal.addEventListener('abort', () => {
    world.clock.at(world.clock.now() + drainMs + stopMsMax, () => {
      log.error({ drainMs }, 'stopping takes too long; ending at once');
      world.programs.forward('SIGKILL');
      process.exit(1);
    });
  });
}
