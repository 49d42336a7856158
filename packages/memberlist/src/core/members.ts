/**
 * members.ts: the table of members and its only writers.
 *
 * Four rumours can change a row: alive, suspect, dead, and our own refutation. Each is judged by its incarnation,
 * a number that only the member itself raises: at equal numbers bad news wins, and only the accused can top it.
 * The order of the tests inside each writer is that of memberlist state.go (aliveNode, suspectNode, deadNode, refute),
 * because mixed clusters converge only if all judge alike.
 * Lives here: rows, suspicions, the probe order. Must not live here: packets, targets, streams.
 */
import type { MemberlistConfig } from '../config.ts';
import type { Millis, Rng } from '../ports.ts';
import { addrToText } from '../wire/address.ts';
import { encodeMessage } from '../wire/codec.ts';
import type { Alive, Dead, Message, NodeState, Ping, Suspect } from '../wire/message.ts';
import { isImpossibleVsn, sharedVsn, vsnBytes } from '../wire/vsn.ts';
import type { Agenda, Entry } from './agenda.ts';
import type { Awareness } from './awareness.ts';
import type { BroadcastQueue } from './broadcast-queue.ts';
import type { Due, Emit, Policy } from './event.ts';
import { suspicionTimeoutMs } from './formulas.ts';
import { holds, pack, unpack } from './packed.ts';
import { shuffle } from './random.ts';
import { glance, isGone, type Row, snapshot } from './row.ts';
import { Suspicion } from './suspicion.ts';

/** I5: rows a table may have, each of some 200 bytes with its places. Each peer may announce any number of names. */
export const membersMax = 131_072;
/** I5: characters of a name, and of the accuser's in an accusation. Names in use are host names, of 253 at most. */
export const nameCharsMax = 512;
/** I5: bytes of meta. memberlist net.go, MetaMaxSize: no member announces more. */
export const metaBytesMax = 512;

export interface MembersOptions {
  readonly name: string;
  readonly addr: Uint8Array;
  readonly port: number;
  /** Six bytes. */
  readonly vsn: Uint8Array;
  readonly config: MemberlistConfig;
  readonly rng: Rng;
  readonly agenda: Agenda<Due>;
  readonly awareness: Awareness;
  readonly queue: BroadcastQueue;
  readonly policy: Policy;
  readonly emit: Emit;
}

export class Members {
  /** How our pings say who we are. */
  readonly source: Required<Pick<Ping, 'sourceAddr' | 'sourcePort' | 'sourceNode'>>;
  readonly #o: MembersOptions;
  readonly #byName = new Map<string, Row>();
  /** The probe order; the same rows as `#byName`. */
  readonly #list: Row[] = [];
  readonly #suspicions = new Map<string, { readonly suspicion: Suspicion; entry: Entry<Due> }>();
  #incarnation = 0;
  #leaving = false;

  constructor(o: MembersOptions) {
    this.#o = o;
    this.source = { sourceAddr: o.addr, sourcePort: o.port, sourceNode: o.name };
  }

  get size(): number {
    return this.#list.length;
  }

  get list(): readonly Row[] {
    return this.#list;
  }

  get leaving(): boolean {
    return this.#leaving;
  }

  get(name: string): Row | undefined {
    return this.#byName.get(name);
  }

  suspicion(name: string): Suspicion | undefined {
    return this.#suspicions.get(name)?.suspicion;
  }

  get self(): Row {
    const row = this.#byName.get(this.#o.name);
    if (row === undefined) throw new Error('the table has no row of our own: announce() comes first');
    return row;
  }

  /** What we say of ourselves. */
  selfAlive(): Alive {
    const { name, addr, port, meta, vsn, incarnation } = this.self;
    return { kind: 'alive', incarnation, node: name, addr: unpack(addr), port, meta: unpack(meta), vsn };
  }

  anyOtherAlive(): boolean {
    return this.#list.some((row) => row.name !== this.#o.name && !isGone(row));
  }

  /** Our own start, or new meta: the next incarnation, with `finished` called when it has been told enough. */
  announce(meta: Uint8Array, now: Millis, finished?: () => void): void {
    const { name, addr, port, vsn } = this.#o;
    const incarnation = this.#nextIncarnation(1);
    this.#alive({ kind: 'alive', incarnation, node: name, addr, port, meta, vsn }, now, {
      own: true,
      finished,
    });
  }

  /** As if these had been told and settled long ago; what they say of us does not count. */
  acquaint(known: readonly Row[], now: Millis): void {
    for (const { name, addr, port, meta, vsn, incarnation, state } of known) {
      if (this.#byName.has(name)) continue;
      const row: Row = {
        name,
        addr,
        port,
        meta,
        vsn,
        incarnation,
        state,
        stateChangedAt: now,
        shown: undefined,
      };
      this.#byName.set(name, row);
      this.#list.push(row);
    }
    shuffle(this.#list, this.#o.rng);
  }

  alive(a: Alive, now: Millis): void {
    this.#alive(a, now, { own: false, finished: undefined });
  }

  #alive(a: Alive, now: Millis, o: { own: boolean; finished: (() => void) | undefined }): void {
    const { name, policy, emit, config } = this.#o;
    const isSelf = a.node === name;
    if (isSelf && this.#leaving) return;
    if (a.node.length > nameCharsMax || a.meta.length > metaBytesMax) {
      this.#tooLong('alive', a.node, `${a.meta.length} bytes of meta`);
      return;
    }
    if (addrToText(a.addr) === undefined) {
      emit({
        kind: 'dropped',
        code: 'bad_address',
        detail: `alive of '${a.node}': ${a.addr.length} bytes of address`,
      });
      return;
    }
    if (isImpossibleVsn(a.vsn)) {
      emit({
        kind: 'dropped',
        code: 'bad_versions',
        detail: `alive of '${a.node}': protocol ${a.vsn[0]} to ${a.vsn[1]}`,
      });
      return;
    }
    if (policy.refuseAlive !== undefined && !o.own) {
      if (a.vsn.length < vsnBytes) {
        emit({
          kind: 'dropped',
          code: 'bad_versions',
          detail: `alive of '${a.node}' with ${a.vsn.length} version bytes`,
        });
        return;
      }
      const reason = policy.refuseAlive(snapshot(a.node, a, 'alive'));
      if (reason !== undefined) {
        emit({ kind: 'dropped', code: 'alive_refused', detail: `alive of '${a.node}': ${reason}` });
        return;
      }
    }

    let row = this.#byName.get(a.node);
    let moved = false;
    if (row === undefined) {
      if (!o.own && !this.#mayEnter(a)) return;
      row = this.#enter(a);
      // I4
    } else if (row.port !== a.port || !holds(row.addr, a.addr)) {
      if (!this.#allowed(a)) return;
      const reclaimable = config.deadNodeReclaimMs > 0 && now - row.stateChangedAt > config.deadNodeReclaimMs;
      if (row.state !== 'left' && !(row.state === 'dead' && reclaimable)) {
        emit({ kind: 'conflict', existing: glance(row), other: snapshot(a.node, a, 'alive') });
        return;
      }
      moved = true;
    }
    // I3: at equal incarnations an alive changes nothing, unless the name moves.
    if (isSelf ? a.incarnation < row.incarnation : a.incarnation <= row.incarnation && !moved) return;

    this.#dropSuspicion(a.node);
    const before = row.state;
    const metaBefore = row.meta;
    if (isSelf && !o.own) {
      const sameVsn = Buffer.compare(a.vsn, row.vsn) === 0;
      if (a.incarnation === row.incarnation && holds(row.meta, a.meta) && sameVsn) return;
      this.#refute(row, a.incarnation);
    } else {
      this.#broadcast(a.node, a, o.finished);
      this.#write(row, {
        incarnation: a.incarnation,
        meta: holds(row.meta, a.meta) ? row.meta : pack(a.meta),
        addr: moved ? pack(a.addr) : row.addr,
        port: a.port,
        ...(a.vsn.length >= vsnBytes ? { vsn: sharedVsn(a.vsn) } : {}),
        ...(row.state === 'alive' ? {} : { state: 'alive', stateChangedAt: now }),
      });
    }
    const kind =
      before === 'dead' || before === 'left' ? 'join' : metaBefore !== row.meta ? 'update' : undefined;
    if (kind !== undefined) emit({ kind: 'changed', change: { kind, member: glance(row) } });
  }

  suspect(s: Suspect, now: Millis): void {
    const row = this.#byName.get(s.node);
    if (row === undefined || s.incarnation < row.incarnation) return;
    if (s.from.length > nameCharsMax) {
      this.#tooLong('suspect', s.node, `from '${s.from.slice(0, 64)}...'`);
      return;
    }
    const running = this.#suspicions.get(s.node);
    if (running !== undefined) {
      if (running.suspicion.confirm(s.from)) {
        this.#o.agenda.cancel(running.entry);
        running.entry = this.#o.agenda.add(Math.max(now, running.suspicion.deadline), running.entry.due);
        this.#broadcast(s.node, s);
      }
      return;
    }
    if (row.state !== 'alive') return;
    if (row.name === this.#o.name) {
      this.#refute(row, s.incarnation);
      return;
    }
    this.#broadcast(s.node, s);
    this.#write(row, { incarnation: s.incarnation, state: 'suspect', stateChangedAt: now });

    const { suspicionMult, suspicionMaxTimeoutMult, probeIntervalMs } = this.#o.config;
    const enoughWitnesses = this.size - 2 >= suspicionMult - 2;
    const minMs = suspicionTimeoutMs(suspicionMult, this.size, probeIntervalMs);
    const suspicion = new Suspicion(s.from, {
      since: now,
      minMs,
      maxMs: suspicionMaxTimeoutMult * minMs,
      wanted: enoughWitnesses ? suspicionMult - 2 : 0,
    });
    const entry = this.#o.agenda.add(suspicion.deadline, { kind: 'suspicion', name: s.node });
    this.#suspicions.set(s.node, { suspicion, entry });
  }

  /** The agenda says that a suspect has had its time. */
  suspicionOver(name: string, now: Millis): void {
    const over = this.#suspicions.get(name);
    const row = this.#byName.get(name);
    if (over === undefined || row === undefined) return;
    const { confirmed, wanted } = over.suspicion;
    this.#o.emit({
      kind: 'noted',
      level: 'info',
      code: 'suspect_failed',
      text: `marking '${name}' as failed: it did not refute a suspicion with ${confirmed} of ${wanted} further witnesses`,
    });
    this.dead({ kind: 'dead', incarnation: row.incarnation, node: name, from: this.#o.name }, now);
  }

  dead(d: Dead, now: Millis, finished?: () => void): void {
    const row = this.#byName.get(d.node);
    if (row === undefined || d.incarnation < row.incarnation) return;
    if (d.from.length > nameCharsMax) {
      this.#tooLong('dead', d.node, `from '${d.from.slice(0, 64)}...'`);
      return;
    }
    this.#dropSuspicion(d.node);
    if (isGone(row)) return;
    if (row.name === this.#o.name && !this.#leaving) {
      this.#refute(row, d.incarnation);
      return;
    }
    this.#broadcast(d.node, d, finished);
    const state = d.node === d.from ? 'left' : 'dead';
    this.#write(row, { incarnation: d.incarnation, state, stateChangedAt: now });
    this.#o.emit({ kind: 'changed', change: { kind: 'leave', member: glance(row) } });
  }

  /** From now on we no longer defend ourselves. Idempotent. */
  startLeaving(): void {
    this.#leaving = true;
  }

  /** The rows of a push/pull, as rumours: what others call dead is a suspicion of ours first. */
  merge(nodes: readonly NodeState[], now: Millis): void {
    for (const node of nodes) {
      const { name, incarnation, addr, port, meta, vsn } = node;
      switch (node.state) {
        case 0:
          this.alive({ kind: 'alive', incarnation, node: name, addr, port, meta, vsn }, now);
          break;
        case 1:
        case 2:
          this.suspect({ kind: 'suspect', incarnation, node: name, from: this.#o.name }, now);
          break;
        case 3:
          this.dead({ kind: 'dead', incarnation, node: name, from: name }, now);
          break;
      }
    }
  }

  /** The end of a probe round: the long dead are forgotten and the rest is shuffled. */
  startRound(now: Millis): void {
    let kept = 0;
    for (const row of this.#list) {
      const gone =
        row.name !== this.#o.name &&
        isGone(row) &&
        now - row.stateChangedAt > this.#o.config.gossipToTheDeadMs;
      if (gone) this.#byName.delete(row.name);
      else this.#list[kept++] = row;
    }
    this.#list.length = kept;
    shuffle(this.#list, this.#o.rng);
  }

  #mayEnter(a: Alive): boolean {
    if (!this.#allowed(a)) return false;
    if (this.#list.length < membersMax) return true;
    this.#o.emit({
      kind: 'dropped',
      code: 'table_full',
      detail: `alive of '${a.node}': ${membersMax} members are known`,
    });
    return false;
  }

  #tooLong(kind: string, name: string, what: string): void {
    this.#o.emit({ kind: 'dropped', code: 'too_long', detail: `${kind} of '${name.slice(0, 64)}': ${what}` });
  }

  #allowed(a: Alive): boolean {
    if (this.#o.policy.addressAllowed?.(a.addr) ?? true) return true;
    this.#o.emit({ kind: 'dropped', code: 'address_not_allowed', detail: `alive of '${a.node}'` });
    return false;
  }

  /** A newcomer starts as dead with incarnation 0, which any alive of 1 or more beats. */
  #enter(a: Alive): Row {
    const row: Row = {
      name: a.node,
      addr: pack(a.addr),
      port: a.port,
      meta: pack(a.meta),
      vsn: sharedVsn(a.vsn.length >= vsnBytes ? a.vsn : noVersions),
      incarnation: 0,
      state: 'dead',
      stateChangedAt: Number.NEGATIVE_INFINITY,
      shown: undefined,
    };
    this.#byName.set(row.name, row);
    // At a random place, so that newcomers are not probed by everybody at the same time.
    const at = this.#o.rng.below(this.#list.length + 1);
    this.#list.push(row);
    this.#list[this.#list.length - 1] = this.#list[at]!;
    this.#list[at] = row;
    return row;
  }

  /** The one place where a row changes. I2 */
  #write(row: Row, change: Partial<Omit<Row, 'name' | 'shown'>>): void {
    Object.assign(row, change);
    row.shown = undefined;
  }

  /** Says, one above the accusation, that we are alive. Costs health: somebody had a reason. */
  #refute(self: Row, accused: number): void {
    const next = this.#nextIncarnation(1);
    const incarnation = accused >= next ? this.#nextIncarnation(accused - next + 1) : next;
    this.#write(self, { incarnation });
    this.#o.awareness.apply(1);
    this.#broadcast(self.name, this.selfAlive());
  }

  #nextIncarnation(step: number): number {
    this.#incarnation = (this.#incarnation + step) >>> 0;
    return this.#incarnation;
  }

  #dropSuspicion(name: string): void {
    const running = this.#suspicions.get(name);
    if (running === undefined) return;
    this.#o.agenda.cancel(running.entry);
    this.#suspicions.delete(name);
  }

  #broadcast(subject: string, message: Message, finished?: () => void): void {
    this.#o.queue.add({
      subject,
      message: encodeMessage(message),
      ...(finished === undefined ? {} : { finished }),
    });
  }
}

const noVersions: Uint8Array = new Uint8Array(vsnBytes);
