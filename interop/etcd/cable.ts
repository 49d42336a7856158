/**
 * cable.ts: a TCP way to one endpoint that can be cut: bytes stop in both directions, and nobody is told.
 *
 * Lives here: forwarding, cutting, mending. Must not live here: what is sent.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class Cable implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #cut = false;

  private constructor(to: URL) {
    this.#server = createServer({ pauseOnConnect: true }, (near) => {
      const far = connect(Number(to.port), to.hostname);
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      for (const [from, into] of [pair, [far, near] as const]) {
        from.on('error', () => {});
        from.on('close', () => {
          into.destroy();
          this.#pairs.delete(pair);
        });
      }
      if (!this.#cut) join(pair);
    });
  }

  static async open(to: string): Promise<Cable> {
    const cable = new Cable(new URL(to));
    cable.#server.listen(0, '127.0.0.1');
    await once(cable.#server, 'listening');
    return cable;
  }

  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What is connected hangs, and so does what will connect. */
  cut(): void {
    this.#cut = true;
    for (const pair of this.#pairs)
      for (const socket of pair) {
        socket.unpipe();
        socket.pause();
      }
  }

  /** What hung is reset, as by a network whose state is gone; what connects from now on gets through. */
  mend(): void {
    this.#cut = false;
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy();
      far.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
}

function join([near, far]: readonly [Socket, Socket]): void {
  near.pipe(far);
  far.pipe(near);
}
