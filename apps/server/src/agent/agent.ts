/**
 * agent.ts: the services of this very node: registered over HTTP, checked here, kept in the catalog.
 *
 * There is one copy of them: the catalog's rows of our node. So what was acknowledged survives whatever the log
 * survives, and a restarted server goes on checking what it finds there.
 * Must not live here: HTTP (http/agent.ts), how checks run (checks.ts).
 */
import type { CheckRow, Fsm, NodeRow, ServiceRow } from '@fed/fsm';
import { type CheckPorts, CheckRunner, type Verdict } from './checks.ts';
import type { Registration } from './registration.ts';
import { deregisterCommand, registerCommand } from './requests.ts';

/** Service and check of the server itself; the leader writes them, no client may. */
export const consulService = 'consul';
export const serfHealth = 'serfHealth';

export interface AgentOptions {
  readonly node: NodeRow;
  readonly fsm: Pick<Fsm, 'store' | 'apply'>;
  readonly clock: CheckPorts['clock'];
  readonly probe: CheckPorts['probe'];
  readonly failed: (what: string, error: unknown) => void;
}

export class Agent implements Disposable {
  readonly #o: AgentOptions;
  readonly #checks: CheckRunner;

  constructor(o: AgentOptions) {
    this.#o = o;
    this.#checks = new CheckRunner({
      clock: o.clock,
      probe: o.probe,
      verdict: (check, verdict) => this.#store(check, verdict),
      giveUp: (check) =>
        void this.deregister(check.ServiceID).catch((error: unknown) =>
          o.failed(`deregister ${check.ServiceID}`, error),
        ),
    });
    for (const check of this.checks()) if (check.ServiceID !== '') this.#checks.watch(check);
  }

  /** Services registered at this node by clients, in id order. */
  services(): readonly ServiceRow[] {
    return this.#o.fsm.store.nodeServices(this.#o.node.Node).rows.filter((row) => row.ID !== consulService);
  }

  service(id: string): ServiceRow | undefined {
    return this.services().find((row) => row.ID === id);
  }

  checks(): readonly CheckRow[] {
    return this.#o.fsm.store.nodeChecks(this.#o.node.Node).rows.filter((row) => row.CheckID !== serfHealth);
  }

  /** Durable once this resolves. Registering an id again replaces it and its checks. */
  async register({ service, checks }: Registration): Promise<void> {
    const old = this.checks().filter((check) => check.ServiceID === service.ID);
    const rows = checks.map((check) => {
      // A re-registration does not forget what the last run of the same check found.
      const before = old.find((o) => o.CheckID === check.CheckID && o.Type === check.Type);
      return before === undefined ? check : { ...check, Status: before.Status, Output: before.Output };
    });
    await this.#o.fsm.apply(registerCommand(this.#o.node, { service, checks: rows }));
    for (const gone of old.filter((o) => !rows.some((row) => row.CheckID === o.CheckID))) {
      this.#checks.forget(gone.CheckID);
      await this.#o.fsm.apply(deregisterCommand(this.#o.node, { CheckID: gone.CheckID }));
    }
    for (const row of rows) this.#checks.watch(row);
  }

  /** False when there is no such service. */
  async deregister(id: string): Promise<boolean> {
    if (this.service(id) === undefined) return false;
    for (const check of this.checks()) if (check.ServiceID === id) this.#checks.forget(check.CheckID);
    await this.#o.fsm.apply(deregisterCommand(this.#o.node, { ServiceID: id }));
    return true;
  }

  /** A TTL check's own word; false when there is no such TTL check. */
  heard(checkId: string, verdict: Verdict): boolean {
    return this.#checks.heard(checkId, verdict);
  }

  [Symbol.dispose](): void {
    this.#checks[Symbol.dispose]();
  }

  #store(check: CheckRow, verdict: Verdict): void {
    const row = { ...check, Status: verdict.status, Output: verdict.output };
    this.#o.fsm
      .apply(registerCommand(this.#o.node, { checks: [row] }))
      .catch((error: unknown) => this.#o.failed(`store the verdict on ${check.CheckID}`, error));
  }
}
