/**
 * worker.ts: a process that relays and knows nothing else: no agent, no xDS, no admin port.
 *
 * It lives as long as the channel to the process that started it. Signals of a terminal are that one's to heed.
 * Lives here: the channel on one side, a relay on the other. Must not live here: decisions.
 */
import { connectionsMax } from '../limits.ts';
import { openLog, relayLogger } from '../log.ts';
import { Relay } from '../relay/relay.ts';
import { systemWorld } from '../world.ts';
import type { Answers, FromWorker, Question, ToWorker } from './messages.ts';

const world = systemWorld();
let relay: Relay | undefined;

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1'] as const) process.on(signal, () => {});
process.on('disconnect', () => process.exit(1)); // nobody would ever configure or end us

process.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'begin':
      relay = open(message.index, message.logLevel);
      return;
    case 'apply':
      relay?.apply(message.config); // checked by the sender
      tellReady();
      return;
    case 'ask':
      if (relay) tell({ kind: 'answer', id: message.id, value: answer(relay, message.question) });
      return;
    case 'drain':
      void relay?.drain(message.withinMs).then(() => process.exit(0));
      tellReady();
      return;
  }
});

function open(index: number, logLevel: string): Relay {
  const logRelay = relayLogger(openLog(logLevel).child({ worker: index }), () => world.clock.now());
  return new Relay({
    ...world,
    sharedPorts: true,
    limits: { connectionsMax: connectionsMax(world.openFilesMax()) },
    onEvent: (e) => {
      logRelay(e);
      if (e.kind !== 'closed') tellReady();
    },
  });
}

function answer(from: Relay, question: Question): Answers[Question] {
  switch (question) {
    case 'connections':
      return from.connections;
    case 'journal':
      return from.journal.list();
    case 'tally':
      return from.measure().tally();
  }
}

function tellReady(): void {
  tell({ kind: 'ready', ready: relay?.ready ?? false });
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message);
}
