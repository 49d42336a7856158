/**
 * our-member.ts: @fed/memberlist behind the same JSON lines as main.go, so that a test cannot tell one from the other.
 *
 * A process of its own, because a member that is killed must take its sockets with it. Errors also carry `code`, and
 * `causes` with one entry per address of a failed join. Lives here: the translation. Must not live here: expectations.
 */
import { createInterface } from 'node:readline';
import {
  Keyring,
  local,
  type Memberlist,
  type MemberlistConfig,
  MemberlistError,
  openMemberlist,
  openUdpTcpTransport,
} from '@fed/memberlist';
import { Gate } from '../lib/gate.ts';

interface Request extends Partial<MemberlistConfig> {
  readonly id: number;
  readonly cmd: string;
  readonly name?: string;
  readonly key?: string;
  readonly label?: string;
  readonly meta?: string;
  readonly targets?: readonly string[];
  readonly to?: string;
  readonly text?: string;
  readonly reliable?: boolean;
  readonly op?: 'install' | 'use' | 'remove';
  readonly ports?: readonly number[];
}

let list: Memberlist | undefined;
let keyring: Keyring | undefined;
let gate: Gate | undefined;
let meta = '';

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line) as Request;
  let answer: Record<string, unknown>;
  try {
    answer = await perform(request);
  } catch (error) {
    answer = describeError(error as Error);
  }
  say({ id: request.id, ...answer });
}
await list?.[Symbol.asyncDispose]();

async function perform(r: Request): Promise<Record<string, unknown>> {
  if (r.cmd === 'open') return open(r);
  if (list === undefined) throw new Error('open comes first');
  switch (r.cmd) {
    case 'join':
      return { joined: (await list.join(r.targets ?? [])).joined };
    case 'members':
      return { members: list.members().map(describe) };
    case 'updateMeta':
      meta = r.meta ?? '';
      await list.updateMeta();
      return {};
    case 'send': {
      const to = list.member(r.to ?? '');
      if (to === undefined) throw new Error(`${r.to} is no member`);
      if (r.reliable === true) await list.sendReliable(to, Buffer.from(r.text ?? ''));
      else list.sendBestEffort(to, Buffer.from(r.text ?? ''));
      return {};
    }
    case 'key':
      changeKey(r);
      return {};
    case 'cut':
      gate?.cut({ ports: r.ports ?? [] });
      return {};
    case 'leave':
      await list.leave({ timeoutMs: 5_000 });
      return {};
    case 'shutdown':
      await list[Symbol.asyncDispose]();
      return {};
  }
  throw new Error(`unknown command '${r.cmd}'`);
}

function changeKey({ op, key = '' }: Request): void {
  if (keyring === undefined) throw new Error('this member has no keys');
  const bytes = Buffer.from(key, 'base64');
  if (op === 'install') keyring.add(bytes);
  else if (op === 'use') keyring.use(bytes);
  else if (op === 'remove') keyring.remove(bytes);
  else throw new Error(`unknown operation '${op}'`);
}

async function open(r: Request): Promise<Record<string, unknown>> {
  const { id: _id, cmd: _cmd, name = '', key, label, meta: given = '', ...config } = r;
  meta = given;
  const bytes = key === undefined || key === '' ? undefined : Buffer.from(key, 'base64');
  keyring = bytes && new Keyring([], bytes);
  gate = new Gate(await openUdpTcpTransport({ host: '127.0.0.1', port: 0 }));
  list = await openMemberlist({
    name,
    transport: gate,
    config: { ...local, ...config },
    ...(keyring && { keyring }),
    ...(label === undefined || label === '' ? {} : { label }),
    hooks: {
      meta: () => Buffer.from(meta),
      userMessage: (payload) => say({ event: 'message', text: Buffer.from(payload).toString() }),
      changed: ({ kind, member }) => say({ event: kind, ...describe(member) }),
      conflict: ({ name, port }, other) => say({ event: 'conflict', name, port, otherPort: other.port }),
    },
    log: ({ level, code, text }) => console.error(`[${level}] ${code}: ${text}`),
  });
  return { port: list.local().port };
}

function describe(m: ReturnType<Memberlist['local']>): Record<string, unknown> {
  return { name: m.name, host: m.host, port: m.port, meta: Buffer.from(m.meta).toString(), state: m.state };
}

function describeError(error: Error & { readonly code?: unknown }): Record<string, unknown> {
  const { message, code } = error;
  if (!(error instanceof MemberlistError)) return { error: message, code };
  const causes = error.errors.map(({ address, cause }) => ({
    address,
    code: cause.code,
    text: cause.message,
  }));
  return { error: message, code, causes };
}

function say(line: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
