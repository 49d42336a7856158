/**
 * agent.ts: the services and checks of this very node: registered over HTTP, checked here, kept in the catalog.
 *
 * There is one copy of them: the catalog's rows of our node. So what was acknowledged survives whatever the log
 * survives, and a restarted server goes on checking what it finds there.
 * Must not live here: HTTP (http/), when and how checks run (checks.ts, probe.ts).
 */
import { type CheckRow, type Fsm, type NodeRow, newCheck, type ServiceRow } from '@fed/fsm';
import { onRestored } from '../on-restored.ts';
import { type CheckPorts, CheckRunner, type Verdict } from './checks.ts';
import type { OwnWrite } from './own-writes.ts';
import { consulService, type Registration, serfHealth } from './registration.ts';
import { deregisterCommand, registerCommand } from './requests.ts';

export { consulService } from './registration.ts';

export interface AgentOptions {
  readonly node: NodeRow;
  readonly fsm: Pick<Fsm, 'store' | 'query' | 'watch'>;
  /** Durable and visible here once it resolves. */
  readonly write: OwnWrite;
  readonly clock: CheckPorts['clock'];
  readonly probe: CheckPorts['probe'];
  readonly failed: (what: string, error: unknown) => void;
}

const nodeMaintenance = '_node_maintenance';
const serviceMaintenance = '_service_maintenance:';
/** Set by a person, not run by anybody. */
const maintenanceType = 'maintenance';

export class Agent implements Disposable {
  readonly #o: AgentOptions;
  readonly #checks: CheckRunner;
  readonly #restored: Disposable;
  /** Verdicts on their way into the log, by check. */
  readonly #storing = new Map<string, Promise<unknown>>();

  constructor(o: AgentOptions) {
    this.#o = o;
    this.#checks = new CheckRunner({
      clock: o.clock,
      probe: o.probe,
      verdict: (check, verdict) => this.#store(check, verdict),
      giveUp: (check) => this.#giveUp(check),
    });
    for (const check of this.checks()) this.#watch(check);
    this.#restored = onRestored(o.fsm, () => this.#resume());
  }

  /** The catalog was replaced: what stands in it now is what is checked. A check that stood there before goes on. */
  #resume(): void {
    const held = this.checks();
    this.#checks.keep(held);
    for (const check of held) if (!this.#checks.runs(check.CheckID)) this.#watch(check);
  }

  get nodeName(): string {
    return this.#o.node.Node;
  }

  /** Services registered at this node by clients, in id order. */
  services(): readonly ServiceRow[] {
    return this.#o.fsm.store.nodeServices(this.#o.node.Node).rows.filter((row) => row.ID !== consulService);
  }

  service(id: string): ServiceRow | undefined {
    return this.services().find((row) => row.ID === id);
  }

  /** Resolves when a service or the node has changed, when `waitMs` is over, or rejects when `signal` aborts. */
  async servicesChanged(waitMs: number, signal: AbortSignal): Promise<void> {
    const now = this.#o.fsm.store.nodeServices(this.#o.node.Node).index;
    await this.#o.fsm.query({ minIndex: now, waitMs, signal }, (store) => {
      const { index } = store.nodeServices(this.#o.node.Node);
      return { index, value: undefined };
    });
  }

  /** With what was found last, which the catalog may not have been told yet. */
  checks(): readonly CheckRow[] {
    return this.#o.fsm.store
      .nodeChecks(this.#o.node.Node)
      .rows.filter((row) => row.CheckID !== serfHealth)
      .map((row) => this.#asFound(row));
  }

  check(id: string): CheckRow | undefined {
    return this.checks().find((row) => row.CheckID === id);
  }

  /** Durable once this resolves. Registering an id again replaces it; its other checks stay unless they are to go. */
  async register({ service, checks }: Registration, o: { readonly replaceChecks: boolean }): Promise<void> {
    const old = this.checks().filter((check) => check.ServiceID === service.ID);
    const rows = checks.map((check) => remembered(check, old));
    await this.#o.write(registerCommand(this.#o.node, { service, checks: rows }));
    for (const row of rows) this.#watch(row);
    if (!o.replaceChecks) return;
    for (const gone of old.filter((check) => !rows.some((row) => row.CheckID === check.CheckID)))
      await this.deregisterCheck(gone.CheckID);
  }

  /** False when there is no such service. */
  async deregister(id: string): Promise<boolean> {
    if (this.service(id) === undefined) return false;
    for (const check of this.checks()) if (check.ServiceID === id) this.#checks.forget(check.CheckID);
    await this.#o.write(deregisterCommand(this.#o.node, { ServiceID: id }));
    return true;
  }

  async registerCheck(check: CheckRow): Promise<void> {
    const row = remembered(check, this.checks());
    await this.#o.write(registerCommand(this.#o.node, { checks: [row] }));
    this.#watch(row);
  }

  /** False when there is no such check. */
  async deregisterCheck(id: string): Promise<boolean> {
    if (this.check(id) === undefined) return false;
    this.#checks.forget(id);
    await this.#o.write(deregisterCommand(this.#o.node, { CheckID: id }));
    return true;
  }

  /** A TTL check's own word. Durable once this resolves, if it changed anything. */
  async heard(checkId: string, verdict: Verdict): Promise<'heard' | 'unknown' | 'no_ttl'> {
    const answer = this.#checks.heard(checkId, verdict);
    await this.#storing.get(checkId);
    return answer;
  }

  /** Takes the node, or one of its services, out of rotation, or puts it back: a critical check nobody runs. */
  async maintain(service: ServiceRow | undefined, on: boolean, reason: string): Promise<void> {
    const id = service === undefined ? nodeMaintenance : `${serviceMaintenance}${service.ID}`;
    if (!on) {
      await this.deregisterCheck(id);
      return;
    }
    const what = service === undefined ? 'Node' : 'Service';
    await this.registerCheck(
      newCheck({
        CheckID: id,
        Name: `${what} Maintenance Mode`,
        Node: this.#o.node.Node,
        Notes:
          reason ||
          `Maintenance mode is enabled for this ${what.toLowerCase()}, but no reason was provided. This is a default message.`,
        ServiceID: service?.ID ?? '',
        ServiceName: service?.Service ?? '',
        ServiceTags: service?.Tags ?? [],
        Status: 'critical',
        Type: maintenanceType,
      }),
    );
  }

  [Symbol.dispose](): void {
    this.#restored[Symbol.dispose]();
    this.#checks[Symbol.dispose]();
  }

  #watch(check: CheckRow): void {
    // What somebody has written into the catalog under our node is not ours to run.
    if (['ttl', 'tcp', 'http'].includes(check.Type)) this.#checks.watch(check);
  }

  #asFound(row: CheckRow): CheckRow {
    const latest = this.#checks.latest(row.CheckID);
    return latest === undefined ? row : { ...row, Status: latest.status, Output: latest.output };
  }

  /** A service goes with its check; a check of the node goes alone. */
  #giveUp(check: CheckRow): void {
    const going =
      check.ServiceID === '' ? this.deregisterCheck(check.CheckID) : this.deregister(check.ServiceID);
    going.catch((error: unknown) => this.#o.failed(`deregister ${check.ServiceID || check.CheckID}`, error));
  }

  #store(check: CheckRow, verdict: Verdict): void {
    const row = { ...check, Status: verdict.status, Output: verdict.output };
    const storing = this.#o.write(registerCommand(this.#o.node, { checks: [row] }));
    this.#storing.set(check.CheckID, storing);
    storing
      .catch((error: unknown) => this.#o.failed(`store the verdict on ${check.CheckID}`, error))
      .finally(() => {
        if (this.#storing.get(check.CheckID) === storing) this.#storing.delete(check.CheckID);
      });
  }
}

/** A re-registration does not forget what the last run of the same check found. */
function remembered(check: CheckRow, old: readonly CheckRow[]): CheckRow {
  const before = old.find((row) => row.CheckID === check.CheckID && row.Type === check.Type);
  return before === undefined ? check : { ...check, Status: before.Status, Output: before.Output };
}
