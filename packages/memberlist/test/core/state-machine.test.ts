/**
 * state-machine.test.ts: what Go's membership state machine does, step by step, and ours with it.
 *
 * Every vector drives the table (core/members.ts) and the version check directly; after each step everything that can
 * be seen is compared.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { lan } from '../../src/config.ts';
import { Agenda } from '../../src/core/agenda.ts';
import { Awareness } from '../../src/core/awareness.ts';
import { type Broadcast, BroadcastQueue } from '../../src/core/broadcast-queue.ts';
import type { Due, Effect } from '../../src/core/event.ts';
import { Members } from '../../src/core/members.ts';
import { unpack } from '../../src/core/packed.ts';
import { incompatibility } from '../../src/core/push-pull.ts';
import { stateCodes } from '../../src/core/row.ts';
import type { MemberState } from '../../src/member.ts';
import { decodeMessage } from '../../src/wire/codec.ts';
import type { NodeState } from '../../src/wire/message.ts';

interface GoBytes {
  readonly $bytes: string;
}

interface GoMessage {
  readonly type?: string;
  readonly Node: string;
  readonly Incarnation: number;
  readonly From?: string;
  readonly Addr?: GoBytes | null;
  readonly Port?: number;
  readonly Meta?: GoBytes | null;
  readonly Vsn?: GoBytes | null;
}

interface GoNode {
  readonly Name: string;
  readonly Addr: GoBytes | null;
  readonly Port: number;
  readonly Meta: GoBytes | null;
  readonly Incarnation: number;
  readonly State: string | number;
  readonly Vsn: readonly number[] | GoBytes | null;
}

interface After {
  readonly nodes: readonly GoNode[];
  readonly numNodes: number;
  readonly events: readonly { readonly event: string; readonly node: string; readonly theirs?: string }[];
  readonly broadcasts: readonly GoMessage[];
  readonly timers: Readonly<
    Record<
      string,
      {
        readonly k: number;
        readonly n: number;
        readonly from: readonly string[];
        readonly minMs: number;
        readonly maxMs: number;
      }
    >
  >;
  readonly health: number;
}

type Step = { readonly error?: string; readonly after: After } & (
  | { readonly op: 'alive' | 'suspect' | 'dead'; readonly message: GoMessage }
  | { readonly op: 'merge' | 'mergeJoin'; readonly nodes: readonly GoNode[] }
  | { readonly op: 'age'; readonly node: string; readonly ms: number }
  | { readonly op: 'leaving' | 'reset' }
);

interface Vector {
  readonly name: string;
  readonly description: string;
  readonly deadNodeReclaimMs: number;
  readonly steps: readonly Step[];
}

const file = new URL('../vectors/state-machine.json', import.meta.url);
const { vectors } = JSON.parse(readFileSync(file, 'utf8')) as { readonly vectors: readonly Vector[] };

describe('state machine, as recorded from Go', () => {
  for (const vector of vectors)
    test(`${vector.name}: ${vector.description}`, () => {
      const world = new World(vector.deadNodeReclaimMs);
      for (const [index, step] of vector.steps.entries()) {
        const error = world.run(step);
        expect({ step: index, error, ...world.look() }).toEqual({
          step: index,
          error: step.error,
          ...normalised(step.after),
        });
      }
    });
});

class RecordingQueue extends BroadcastQueue {
  readonly added: Uint8Array[] = [];
  override add(broadcast: Broadcast): void {
    this.added.push(broadcast.message);
    super.add(broadcast);
  }
}

class World {
  readonly #awareness = new Awareness(lan.awarenessMaxMultiplier);
  readonly #queue: RecordingQueue;
  readonly #members: Members;
  readonly #effects: Effect[] = [];
  #now = 1_000_000;

  constructor(deadNodeReclaimMs: number) {
    this.#queue = new RecordingQueue({
      retransmitMult: lan.retransmitMult,
      tableSize: () => this.#members.size,
    });
    this.#members = new Members({
      name: 'self',
      addr: Uint8Array.of(10, 0, 0, 1),
      port: 7946,
      vsn: Uint8Array.of(1, 5, 2, 0, 0, 0),
      config: { ...lan, probeIntervalMs: 3_600_000, deadNodeReclaimMs },
      rng: { below: () => 0 },
      agenda: new Agenda<Due>(),
      awareness: this.#awareness,
      queue: this.#queue,
      policy: {},
      emit: (effect) => this.#effects.push(effect),
    });
    this.#members.announce(new Uint8Array(0), this.#now);
    this.#effects.length = 0;
    this.#queue.added.length = 0;
  }

  run(step: Step): string | undefined {
    const members = this.#members;
    switch (step.op) {
      case 'alive': {
        const { Node, Incarnation, Addr, Port, Meta, Vsn } = step.message;
        const addr = bytes(Addr);
        members.alive(
          {
            kind: 'alive',
            node: Node,
            incarnation: Incarnation,
            addr,
            port: Port!,
            meta: bytes(Meta),
            vsn: bytes(Vsn),
          },
          this.#now,
        );
        return undefined;
      }
      case 'suspect':
      case 'dead': {
        const { Node: node, Incarnation: incarnation, From: from = '' } = step.message;
        members[step.op]({ kind: step.op, node, incarnation, from } as never, this.#now);
        return undefined;
      }
      case 'merge':
      case 'mergeJoin': {
        const nodes = step.nodes.map(nodeState);
        const reason = incompatibility(nodes, members.list);
        if (reason === undefined) members.merge(nodes, this.#now);
        return reason;
      }
      case 'age':
        this.#now += step.ms;
        return undefined;
      case 'leaving':
        members.startLeaving();
        return undefined;
      case 'reset':
        members.startRound(this.#now);
        return undefined;
    }
  }

  /** Everything visible; events and broadcasts since the last look. */
  look(): object {
    const nodes = [...this.#members.list]
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .map((row) => ({
        name: row.name,
        addr: hex(unpack(row.addr)),
        port: row.port,
        meta: hex(unpack(row.meta)),
        incarnation: row.incarnation,
        state: row.state,
        vsn: [...row.vsn],
      }));
    const events = this.#effects.flatMap((effect): readonly object[] => {
      if (effect.kind === 'changed') return [{ event: effect.change.kind, node: effect.change.member.name }];
      if (effect.kind !== 'conflict') return [];
      const { existing, other } = effect;
      return [{ event: 'conflict', node: existing.name, theirs: `${other.host}:${other.port}` }];
    });
    this.#effects.length = 0;
    const broadcasts = this.#queue.added.splice(0).map((encoded) => plainMessage(encoded));
    const timers = Object.fromEntries(
      this.#members.list.flatMap(({ name }) => {
        const s = this.#members.suspicion(name);
        if (s === undefined) return [];
        const { wanted: k, confirmed: n, minMs, maxMs, heard } = s;
        return [[name, { k, n, minMs, maxMs, from: [...heard].sort() }]];
      }),
    );
    return { nodes, numNodes: this.#members.size, events, broadcasts, timers, health: this.#awareness.score };
  }
}

function plainMessage(encoded: Uint8Array): unknown {
  const m = decodeMessage(encoded);
  if (m.kind === 'alive') return { ...m, addr: hex(m.addr), meta: hex(m.meta), vsn: hex(m.vsn) };
  return m;
}

function normalised(after: After): object {
  return {
    nodes: after.nodes.map((node) => ({
      name: node.Name,
      addr: hex(bytes(node.Addr)),
      port: node.Port,
      meta: hex(bytes(node.Meta)),
      incarnation: node.Incarnation,
      state: node.State,
      vsn: node.Vsn,
    })),
    numNodes: after.numNodes,
    events: after.events,
    broadcasts: after.broadcasts.map((b) => {
      const { type: kind, Node: node, Incarnation: incarnation, From: from } = b;
      if (kind !== 'alive') return { kind, incarnation, node, from };
      const addr = hex(bytes(b.Addr));
      return {
        kind,
        incarnation,
        node,
        addr,
        port: b.Port,
        meta: hex(bytes(b.Meta)),
        vsn: hex(bytes(b.Vsn)),
      };
    }),
    timers: after.timers,
    health: after.health,
  };
}

function nodeState(node: GoNode): NodeState {
  const state = typeof node.State === 'number' ? node.State : stateCodes[node.State as MemberState];
  const vsn = Array.isArray(node.Vsn) ? Uint8Array.from(node.Vsn) : bytes(node.Vsn as GoBytes | null);
  return {
    name: node.Name,
    addr: bytes(node.Addr),
    port: node.Port,
    meta: bytes(node.Meta),
    incarnation: node.Incarnation,
    state: state as NodeState['state'],
    vsn,
  };
}

function bytes(value: GoBytes | null | undefined): Uint8Array {
  return Uint8Array.from(Buffer.from(value?.$bytes ?? '', 'hex'));
}

function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}
