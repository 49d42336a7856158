/**
 * take-place.ts: this server's own rows in the catalog, all of them in one step, over whatever it finds there under its name.
 *
 * Once per term, and after a restore, when the catalog may be that of another time or another machine.
 */
import type { Fsm, NodeRow } from '@fed/fsm';
import { registerCommand } from '../agent/requests.ts';
import { ownService, serfCheck } from '../server-rows.ts';

export async function takePlace(o: {
  readonly fsm: Pick<Fsm, 'apply' | 'store'>;
  readonly self: NodeRow;
  readonly serverPort: number;
}): Promise<void> {
  const held = o.fsm.store.node(o.self.Node).row;
  if (held !== undefined && held.ID !== o.self.ID) {
    // Another machine had our name, and is said to be alive: only who is not gives up a name. Its services become ours.
    const gone = {
      ...serfCheck(held.Node, 'critical'),
      Output: 'replaced by a server of the same name',
    };
    await o.fsm.apply(registerCommand(held, { checks: [gone] }));
  }
  const rows = { service: ownService(o.serverPort), checks: [serfCheck(o.self.Node, 'passing')] };
  await o.fsm.apply(registerCommand(o.self, rows));
}
