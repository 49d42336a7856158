/**
 * gateway-news.ts: where the primary's gateways are, told to everybody over gossip.
 *
 * A secondary learns of new gateways from the primary's records, which it fetches through the old ones. When all of these
 * were replaced at once that is a circle; but the primary still reaches the secondaries through theirs, and gossip flows
 * from it, or by way of a third datacenter. So the primary's servers carry their gateways' addresses in a tag. It is a hint:
 * whoever follows it still verifies by TLS whom he found.
 * Lives here: the tag, and who writes and reads it. Must not live here: choosing a way (the locator).
 * Servers that are not ours ignore a tag they do not know; Consul has nothing like it.
 */
import type { Fsm } from '@fed/fsm';
import {
  gatewayList,
  type HostPort,
  type Locator,
  parseGatewayAddress,
  renderHostPort,
  wanAddress,
} from '@fed/gateway-locator';
import type { Serf, SerfEvent } from '@fed/serf';

/** Not `ft_…`: those are feature flags, and must be integers. */
export const gatewaysTag = 'fed_gw';
/** All tags together have 512 bytes, of which a server's own take about 200. Six addresses and more fit in. */
const tagBytesMax = 160;

type Pool = Pick<Serf, 'setTags' | 'local'>;
type Tagged = { readonly name: string; readonly tags: Readonly<Record<string, string>> };

/** As many of the addresses as fit. */
export function tagOfGateways(gateways: readonly HostPort[]): string {
  let text = '';
  for (const gateway of gateways) {
    const longer = text === '' ? renderHostPort(gateway) : `${text},${renderHostPort(gateway)}`;
    if (longer.length > tagBytesMax) break;
    text = longer;
  }
  return text;
}

/** What is no address is left out: the tag was written by somebody else. */
export function gatewaysOfTag(tag: string): readonly HostPort[] {
  if (tag.length > tagBytesMax) return [];
  return tag.split(',').flatMap((text) => {
    try {
      return [parseGatewayAddress(text)];
    } catch {
      return [];
    }
  });
}

/** In the primary: whenever its gateways change, its servers say so. With none left they go on telling the last ones. */
export function tellGateways(o: {
  readonly datacenter: string;
  readonly primary: string;
  readonly fsm: Pick<Fsm, 'watch'>;
  readonly pool: Pool;
  readonly failed: (error: unknown) => void;
}): Disposable {
  if (o.datacenter !== o.primary) return { [Symbol.dispose]() {} };
  return o.fsm.watch(
    (store) => store.serviceKind('mesh-gateway').rows,
    (rows) => {
      const tag = tagOfGateways(gatewayList(rows, wanAddress).addresses);
      const { tags } = o.pool.local();
      if (tag === '' || tag === tags[gatewaysTag]) return;
      o.pool.setTags({ ...tags, [gatewaysTag]: tag }).catch(o.failed);
    },
  );
}

/** In a secondary: what the primary's servers say reaches the locator. */
export class GatewayNews {
  readonly #primary: string;
  readonly #locator: Pick<Locator, 'hear'>;
  /** By server: they may not all have heard the same yet. */
  readonly #told = new Map<string, string>();

  constructor(o: { readonly primary: string; readonly locator: Pick<Locator, 'hear'> }) {
    this.#primary = o.primary;
    this.#locator = o.locator;
  }

  /** Who is in the pool already. */
  members(members: readonly Tagged[]): void {
    let changed = false;
    for (const { name, tags } of members) {
      const tag = tags[gatewaysTag];
      if (tags['dc'] !== this.#primary || tag === undefined || tag === this.#told.get(name)) continue;
      this.#told.set(name, tag);
      changed = true;
    }
    if (changed) this.#tell();
  }

  event(event: SerfEvent): void {
    switch (event.kind) {
      case 'member-join':
      case 'member-update':
        this.members(event.members);
        break;
      case 'member-leave':
      case 'member-reap':
        if (event.members.filter(({ name }) => this.#told.delete(name)).length > 0) this.#tell();
        break;
      case 'member-failed': // what it said may be the way to it
      case 'user':
      case 'query':
        break;
    }
  }

  #tell(): void {
    const addresses = [...this.#told.values()].flatMap(gatewaysOfTag);
    this.#locator.hear({ kind: 'told', addresses });
  }
}
