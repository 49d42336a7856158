/**
 * feed.ts: one gateway's newest snapshot, shared by all streams that may see it.
 *
 * What a world holds was read with a token, so a feed belongs to a gateway and a token. It lives while a stream is
 * joined. A gateway that is deregistered keeps its last configuration: what runs, runs on.
 * Lives here: watch, timer, the last snapshot. Must not live here: the waiting (core/settling.ts), streams.
 */
import type { Profile } from './core/profile.ts';
import { Settling } from './core/settling.ts';
import type { Snapshot } from './core/snapshot.ts';
import { Workshop } from './core/workshop.ts';
import type { GatewayWorld } from './core/world.ts';
import type { Clock, Notice } from './ports.ts';

/** Who asks to be configured: the gateway's service id and name, and with which token it was allowed to ask. */
export interface WatchedNode {
  readonly id: string;
  readonly cluster: string;
  /** The catalog node it is registered on. Absent: the server's own. */
  readonly nodeName?: string;
  readonly token?: string;
}

interface FeedOptions {
  readonly watchGateway: (
    node: WatchedNode,
    onWorld: (world: GatewayWorld | undefined) => void,
  ) => Disposable;
  readonly profile: Profile;
  readonly coalesceMs?: number;
  readonly clock: Clock;
  readonly log: (n: Notice) => void;
}

/** Feeds of one server share what their gateways have in common. */
type SharedOptions = FeedOptions & { readonly workshop: Workshop };
type Listener = (snapshot: Snapshot) => void;

export class Feeds {
  readonly #o: SharedOptions;
  readonly #feeds = new Map<string, Feed>();

  constructor(o: FeedOptions) {
    this.#o = { ...o, workshop: new Workshop(o.profile) };
  }

  get size(): number {
    return this.#feeds.size;
  }

  /** `listener` is called with the newest snapshot, at once if there is one. Disposing leaves. */
  join(node: WatchedNode, listener: Listener): Disposable {
    const key = JSON.stringify([node.id, node.nodeName ?? '', node.token ?? '']);
    let feed = this.#feeds.get(key);
    if (feed === undefined) {
      feed = new Feed(node, this.#o);
      this.#feeds.set(key, feed);
      feed.start();
    }
    feed.add(listener);
    const joined = feed;
    return {
      [Symbol.dispose]: () => {
        if (!joined.remove(listener)) return;
        joined[Symbol.dispose]();
        this.#feeds.delete(key);
      },
    };
  }
}

class Feed {
  readonly #node: WatchedNode;
  readonly #o: SharedOptions;
  readonly #settling: Settling;
  readonly #listeners = new Set<Listener>();
  #watch: Disposable | undefined;
  #timer: Disposable | undefined;
  #snapshot: Snapshot | undefined;
  #registered: boolean | undefined;
  #noticed = '';

  constructor(node: WatchedNode, o: SharedOptions) {
    this.#node = node;
    this.#o = o;
    const { profile, coalesceMs } = o;
    this.#settling = new Settling({ profile, ...(coalesceMs !== undefined ? { coalesceMs } : {}) });
  }

  start(): void {
    this.#watch = this.#o.watchGateway(this.#node, (world) => this.#hear(world));
  }

  add(listener: Listener): void {
    this.#listeners.add(listener);
    if (this.#snapshot !== undefined) listener(this.#snapshot);
  }

  /** Whether nobody is left. */
  remove(listener: Listener): boolean {
    return this.#listeners.delete(listener) && this.#listeners.size === 0;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#watch?.[Symbol.dispose]();
  }

  #hear(world: GatewayWorld | undefined): void {
    const registered = world !== undefined;
    if (registered !== this.#registered) {
      this.#registered = registered;
      const text = `gateway ${this.#node.id} is ${registered ? 'registered' : 'not registered; its stream stays open'}`;
      this.#o.log({ level: 'info', code: registered ? 'registered' : 'not_registered', text });
    }
    if (world === undefined) return;
    this.#settling.offer(world, this.#o.clock.now());
    this.#rearm();
  }

  #rearm(): void {
    this.#timer?.[Symbol.dispose]();
    const deadline = this.#settling.deadline();
    this.#timer = deadline === undefined ? undefined : this.#o.clock.at(deadline, () => this.#publish());
  }

  #publish(): void {
    const taken = this.#settling.take(this.#o.clock.now());
    this.#rearm();
    if (taken === undefined) return;
    let snapshot: Snapshot;
    try {
      snapshot = this.#o.workshop.snapshotOf(taken.world);
    } catch (cause) {
      const text = `gateway ${this.#node.id} keeps its last configuration: ${(cause as Error).stack}`;
      this.#o.log({ level: 'warn', code: 'internal', text });
      return;
    }
    this.#snapshot = snapshot;
    this.#tell([...taken.notices, ...snapshot.notices]);
    for (const listener of [...this.#listeners]) listener(snapshot);
  }

  /** The same warnings come with every snapshot; they are told when they change. */
  #tell(notices: readonly Notice[]): void {
    const text = JSON.stringify(notices);
    if (text === this.#noticed) return;
    this.#noticed = text;
    for (const notice of notices) this.#o.log(notice);
  }
}
