/**
 * agent.ts: one real `serf agent`, and what its command line client says about it.
 *
 * Lives here: starting it, asking it. Must not live here: what a test expects.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { reconnectIntervalMs } from './our-options.ts';

const run = promisify(execFile);
/** One call of the client may take this long, in ms: a query of all members, and some. */
const clientMs = 20_000;
/** Between looking for a port and listening on it somebody else may take it. */
const startsMax = 3;

export interface AgentOptions {
  readonly tags?: Readonly<Record<string, string>>;
  /** Base64, primary first; kept in a keyring file. */
  readonly keys?: readonly string[];
  /** Where it remembers who was there. */
  readonly snapshotPath?: string;
}

/** A member as `serf members -format=json` shows it. */
export interface ListedMember {
  readonly name: string;
  readonly addr: string;
  readonly port: number;
  readonly tags: Readonly<Record<string, string>>;
  readonly status: string;
}

export class Agent implements AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly child: Child;
  readonly #folder: TempFolder;
  readonly #rpc: string;

  private constructor(o: { name: string; port: number; rpcPort: number; child: Child; folder: TempFolder }) {
    this.name = o.name;
    this.port = o.port;
    this.child = o.child;
    this.#folder = o.folder;
    this.#rpc = `-rpc-addr=127.0.0.1:${o.rpcPort}`;
  }

  /**
   * Answers the query "uptime" with its name and the question, and keeps what the user event "deploy" brings in a file.
   * Its profile is LAN: with "local" every message is sent twice only, and one member in nine misses what is said once.
   */
  static async open(name: string, o: AgentOptions = {}): Promise<Agent> {
    const folder = await TempFolder.open();
    const keyring = join(folder.path, 'keyring');
    await folder.write('agent.json', JSON.stringify({ reconnect_interval: `${reconnectIntervalMs}ms` }));
    if (o.keys !== undefined) await folder.write('keyring', JSON.stringify(o.keys));
    for (let starts = 1; ; starts += 1) {
      const [port, rpcPort] = (await freePorts(2)) as [number, number];
      const child = new Child(name, program('FED_PEER_SERF'), {
        args: [
          'agent',
          `-node=${name}`,
          `-bind=127.0.0.1:${port}`,
          `-rpc-addr=127.0.0.1:${rpcPort}`,
          `-config-file=${join(folder.path, 'agent.json')}`,
          '-profile=lan',
          '-log-level=debug',
          `-event-handler=user:deploy=cat >> ${join(folder.path, 'deployed')}`,
          '-event-handler=query:uptime=printf "%s answers " "$SERF_SELF_NAME"; cat',
          ...Object.entries(o.tags ?? {}).map(([tag, value]) => `-tag=${tag}=${value}`),
          ...(o.keys === undefined ? [] : [`-keyring-file=${keyring}`]),
          ...(o.snapshotPath === undefined ? [] : [`-snapshot=${o.snapshotPath}`]),
        ],
        cwd: folder.path,
      });
      try {
        await child.says(/Serf agent running/, 10_000);
        return new Agent({ name, port, rpcPort, child, folder });
      } catch (cause) {
        await child[Symbol.asyncDispose]();
        if (starts < startsMax && child.log.join().includes('address already in use')) continue;
        await folder[Symbol.asyncDispose]();
        throw cause;
      }
    }
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** What `serf <command>` prints about this agent. Throws when it fails, with what it said. */
  async serf(command: string, ...args: readonly string[]): Promise<string> {
    try {
      const called = await run(program('FED_PEER_SERF'), [command, this.#rpc, ...args], {
        timeout: clientMs,
      });
      return called.stdout;
    } catch (cause) {
      const { stdout = '', stderr = '' } = cause as { readonly stdout?: string; readonly stderr?: string };
      throw new Error(`${this.name}: serf ${command} ${args.join(' ')}: ${stdout}${stderr}`, { cause });
    }
  }

  async members(): Promise<readonly ListedMember[]> {
    const { members } = JSON.parse(await this.serf('members', '-format=json')) as { members: ListedMember[] };
    return members;
  }

  async member(name: string): Promise<ListedMember | undefined> {
    return (await this.members()).find((member) => member.name === name);
  }

  /** What "deploy" events have brought so far. */
  async deployed(): Promise<string> {
    return await readFile(join(this.#folder.path, 'deployed'), 'utf8').catch(() => '');
  }

  /** The keyring file, primary first. */
  async keyring(): Promise<readonly string[]> {
    return JSON.parse(await readFile(join(this.#folder.path, 'keyring'), 'utf8')) as string[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.child.kill(); // asked politely it would say goodbye first, which takes seconds
    await this.#folder[Symbol.asyncDispose]();
  }
}
