/**
 * cluster.ts: one etcd, or several that form a cluster, as child processes with their data in a temporary folder.
 *
 * Lives here: starting, killing, starting again, asking over etcd's HTTP gateway. Must not live here: our engine.
 */
import { readFileSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { join } from 'node:path';
import { freePorts } from '@fed/tooling/ports';
import { Child } from '../lib/child.ts';
import { program } from '../lib/peers.ts';
import { TempFolder } from '../lib/temp-folder.ts';
import { until } from '../lib/until.ts';

/** Files of certificates, when clients must prove who they are. */
export interface ClusterTls {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
}

interface Member {
  readonly name: string;
  readonly clientUrl: string;
  readonly peerUrl: string;
  child: Child | undefined;
}

/** How long a member may take to answer after its start, in ms. */
const upMs = 30_000;

export class EtcdCluster implements AsyncDisposable {
  readonly members: readonly Member[];
  readonly #folder: TempFolder;
  readonly #tls: ClusterTls | undefined;

  private constructor(folder: TempFolder, members: readonly Member[], tls: ClusterTls | undefined) {
    this.#folder = folder;
    this.members = members;
    this.#tls = tls;
  }

  static async open(size: number, tls?: ClusterTls): Promise<EtcdCluster> {
    const ports = await freePorts(2 * size);
    const scheme = tls === undefined ? 'http' : 'https';
    const members = Array.from({ length: size }, (_, i) => ({
      name: `etcd${i}`,
      clientUrl: `${scheme}://127.0.0.1:${ports[2 * i]}`,
      peerUrl: `http://127.0.0.1:${ports[2 * i + 1]}`,
      child: undefined,
    }));
    const cluster = new EtcdCluster(await TempFolder.open(), members, tls);
    for (const member of cluster.members) cluster.start(member);
    for (const member of cluster.members) await cluster.answers(member);
    return cluster;
  }

  get endpoints(): readonly string[] {
    return this.members.map(({ clientUrl }) => clientUrl);
  }

  /** Begins or goes on where its data says. */
  start(member: Member): void {
    const tls = this.#tls;
    member.child = new Child(member.name, program('FED_PEER_ETCD'), {
      args: [
        ...['--name', member.name, '--data-dir', join(this.#folder.path, member.name)],
        ...['--listen-client-urls', member.clientUrl, '--advertise-client-urls', member.clientUrl],
        ...['--listen-peer-urls', member.peerUrl, '--initial-advertise-peer-urls', member.peerUrl],
        ...['--initial-cluster', this.members.map(({ name, peerUrl }) => `${name}=${peerUrl}`).join()],
        ...['--log-level', 'error', '--logger', 'zap'],
        ...(tls === undefined
          ? []
          : [
              '--cert-file',
              tls.cert,
              '--key-file',
              tls.key,
              '--trusted-ca-file',
              tls.ca,
              '--client-cert-auth',
            ]),
      ],
    });
  }

  async kill(member: Member): Promise<void> {
    await member.child?.kill();
  }

  /** Killed, and everything it had is gone. */
  async wipe(member: Member): Promise<void> {
    await this.kill(member);
    rmSync(join(this.#folder.path, member.name), { recursive: true });
  }

  /** Whoever leads the cluster now, as a member itself says. */
  async leader(): Promise<Member> {
    return await until('a member of etcd says that it leads', upMs, async () => {
      for (const member of this.members) {
        if (!member.child?.running) continue;
        const status = await this.ask(member, '/v3/maintenance/status', {}).catch(() => undefined);
        const { leader, header } = (status ?? {}) as { leader?: string; header?: { member_id: string } };
        if (leader !== undefined && leader === header?.member_id) return member;
      }
      return undefined;
    });
  }

  async answers(member: Member): Promise<void> {
    const key = Buffer.from('up').toString('base64');
    await until(`${member.name} answers\n${member.child?.tail()}`, upMs, async () => {
      await this.ask(member, '/v3/kv/range', { key });
      return true;
    });
  }

  /** One call of etcd's JSON gateway. */
  ask(member: Member, path: string, body: unknown, token?: string): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const tls = this.#tls;
    const options = {
      method: 'POST',
      timeout: 2_000,
      ...(token === undefined ? {} : { headers: { Authorization: token } }),
      ...(tls === undefined
        ? {}
        : { ca: readFileSync(tls.ca), cert: readFileSync(tls.cert), key: readFileSync(tls.key) }),
    };
    const send = tls === undefined ? httpRequest : httpsRequest;
    const request = send(member.clientUrl + path, options, (response) => {
      let text = '';
      response.on('data', (part: Buffer) => (text += part.toString()));
      response.on('error', reject);
      response.on('end', () => {
        if (response.statusCode === 200) resolve(JSON.parse(text));
        else reject(new Error(`${path}: ${response.statusCode} ${text}`));
      });
    });
    request.on('error', reject);
    request.on('timeout', () => request.destroy(new Error(`${path}: no answer`)));
    request.end(JSON.stringify(body));
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // No leave-taking: there is nothing to keep, and nobody to tell.
    for (const member of this.members) await member.child?.kill();
    await this.#folder[Symbol.asyncDispose]();
  }
}
