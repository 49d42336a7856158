/**
 * take-place.ts: after a restore the catalog may be that of another time or another machine: this server writes its own rows
 * into it again, and checks what it finds there under its name.
 */
import type { Fsm, NodeRow } from '@fed/fsm';
import type { Agent } from '../agent/agent.ts';
import { registerCommand } from '../agent/requests.ts';
import { ownHealth, ownService } from '../self-rows.ts';

export async function takePlace(o: {
  readonly fsm: Pick<Fsm, 'apply' | 'store'>;
  readonly self: NodeRow;
  readonly serverPort: number;
  readonly agent: Pick<Agent, 'resume'>;
}): Promise<void> {
  const held = o.fsm.store.node(o.self.Node).row;
  if (held !== undefined && held.ID !== o.self.ID) {
    // Another machine had our name, and is said to be alive: only who is not gives up a name. Its services become ours.
    const gone = {
      ...ownHealth(held.Node),
      Status: 'critical',
      Output: 'replaced by a server of the same name',
    };
    await o.fsm.apply(registerCommand(held, { checks: [gone] }));
  }
  const rows = { service: ownService(o.serverPort), checks: [ownHealth(o.self.Node)] };
  await o.fsm.apply(registerCommand(o.self, rows));
  o.agent.resume();
}
